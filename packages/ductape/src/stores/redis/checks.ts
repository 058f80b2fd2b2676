import type { Redis } from "ioredis";
import { StoreError } from "../../base/errors.js";
import type { Logger } from "../../base/logger.js";
import { reasonOf, unavailable } from "./errors.js";
import type { RedisSettings } from "./settings.js";

const VERSION_MIN = [6, 2] as const;

/** Checks servers when the store opens, and warns about each problem once. */
export class Checks {
  readonly #settings: RedisSettings;
  readonly #logger: Logger;
  readonly #warned = new Set<string>();

  constructor(settings: RedisSettings, logger: Logger) {
    this.#settings = settings;
    this.#logger = logger;
  }

  /**
   * Throws `STORE_UNAVAILABLE` for a server that is too old; warns about settings that may lose
   * counts.
   */
  async check(servers: readonly Redis[]): Promise<void> {
    await Promise.all(servers.map((redis) => this.#checkOne(redis)));
  }

  async #checkOne(redis: Redis): Promise<void> {
    const { name } = this.#settings;
    const info = await redis.info().catch((error: unknown) => {
      if (!reasonOf(error).startsWith("NOPERM")) throw unavailable(name, error);
      this.#warn("cannot be checked: its user may not call INFO");
      return "";
    });
    if (info === "") return;
    const version = fieldOf(info, "redis_version");
    if (isOlder(version)) {
      const message = `the store ${name}: Redis ${version} is too old, 6.2 or newer is needed`;
      throw new StoreError("STORE_UNAVAILABLE", message, { retryable: false });
    }
    this.#checkEviction(fieldOf(info, "maxmemory_policy"));
    await this.#checkPersistence(redis, fieldOf(info, "aof_enabled") === "1");
  }

  #checkEviction(policy: string): void {
    if (policy === "" || policy === "noeviction") return;
    this.#warn(
      `may drop counters, because its maxmemory-policy is ${policy}; set it to noeviction`,
    );
  }

  async #checkPersistence(redis: Redis, hasLog: boolean): Promise<void> {
    const isDurable = this.#settings.durability === "durable";
    if (hasLog && !isDurable) return;
    if (!hasLog && isDurable) {
      this.#warn("should be durable but has no log; set appendonly yes and appendfsync always");
      return;
    }
    const option = isDurable ? "appendfsync" : "save";
    const value = await configOf(redis, option);
    if (value === null) {
      this.#warn(`cannot be checked: its user may not call CONFIG GET ${option}`);
    } else if (isDurable && value !== "always") {
      this.#warn(`should be durable but syncs its log ${value}; set appendfsync always`);
    } else if (!isDurable && value === "") {
      this.#warn("loses all counters at a restart, because it saves nothing; set appendonly yes");
    }
  }

  #warn(what: string): void {
    const message = `the store ${this.#settings.name} ${what}`;
    if (this.#warned.has(message)) return;
    this.#warned.add(message);
    this.#logger.warn(message);
  }
}

/** An option of a server; null if it may not be read. */
export async function configOf(redis: Redis, option: string): Promise<string | null> {
  const answer: unknown = await redis.config("GET", option).catch(() => null);
  return Array.isArray(answer) && typeof answer[1] === "string" ? answer[1] : null;
}

/** A field of the answer to INFO; empty if it is missing. */
export function fieldOf(info: string, field: string): string {
  const line = info.split("\r\n").find((each) => each.startsWith(`${field}:`));
  return line === undefined ? "" : line.slice(field.length + 1);
}

/** True for a version of Redis older than 6.2; false if it cannot be read. */
export function isOlder(version: string): boolean {
  const [major = NaN, minor = NaN] = version.split(".").map(Number);
  return major < VERSION_MIN[0] || (major === VERSION_MIN[0] && minor < VERSION_MIN[1]);
}
