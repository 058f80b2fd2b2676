import type { Redis } from "ioredis";
import { StoreError } from "../../base/errors.js";
import { reasonOf, unavailable } from "./errors.js";
import { DOCUMENTS_SLOT, SLOTS } from "./keys.js";
import { connected, isReady, type Connect, type Nodes } from "./nodes.js";
import type { Address, RedisSettings } from "./settings.js";

const HEAL_MS = 150;

/**
 * The masters of a cluster, by slot. When one is lost, the store reconnects to it and asks the
 * others who owns its slots, until every slot has its master.
 */
export class ClusterNodes implements Nodes {
  readonly isCluster = true;
  readonly #settings: RedisSettings;
  readonly #connect: Connect;
  readonly #timeoutMs: number;
  readonly #masters = new Map<string, Redis>();
  /** The address of each slot's master. */
  #owners: (string | undefined)[] = [];
  #refreshing: Promise<void> | null = null;
  #healing: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(settings: RedisSettings, connect: Connect, timeoutMs: number) {
    this.#settings = settings;
    this.#connect = connect;
    this.#timeoutMs = timeoutMs;
  }

  async open(): Promise<void> {
    try {
      await this.refresh();
      const ready = [...this.#masters.values()].map((redis) => connected(redis, this.#timeoutMs));
      // A missing master affects only its own slots, unless it has the definitions.
      await Promise.allSettled(ready);
      this.at(DOCUMENTS_SLOT);
    } catch (error) {
      throw unavailable(this.#settings.name, error);
    }
  }

  at(slot: number): Redis {
    const owner = this.#owners[slot];
    const redis = owner === undefined ? undefined : this.#masters.get(owner);
    if (redis !== undefined && isReady(redis)) return redis;
    this.#heal();
    const what = owner === undefined ? `no master for slot ${slot}` : `no connection to ${owner}`;
    throw unavailable(this.#settings.name, new Error(`there is ${what}`));
  }

  masters(): readonly Redis[] {
    return [...this.#masters.values()];
  }

  refresh(): Promise<void> {
    this.#refreshing ??= this.#refreshNow().finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }

  named(address: string): Redis | null {
    const known = this.#masters.get(this.#reachable(address));
    return known !== undefined && isReady(known) ? known : null;
  }

  listener(slot: number): Redis {
    return this.#connect(addressOf(this.#owners[slot] ?? ""));
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#healing);
    for (const redis of this.#masters.values()) redis.disconnect();
    this.#masters.clear();
  }

  /** Asks one node after another, starting with those that last answered. */
  async #refreshNow(): Promise<void> {
    const known = [...this.#masters.values()].filter(isReady);
    for (const redis of known) {
      const slots: unknown = await redis.cluster("SLOTS").catch(() => null);
      if (this.#take(slots, String(redis.options.host))) return;
    }
    let last: unknown = new Error("no node is known");
    for (const seed of [...(this.#settings.seeds ?? []), ...this.#addresses()]) {
      const redis = this.#connect({ ...seed, retryStrategy: never });
      try {
        await connected(redis, this.#timeoutMs);
        if (this.#take(await redis.cluster("SLOTS"), seed.host)) return;
      } catch (error) {
        last = error;
      } finally {
        redis.disconnect();
      }
    }
    throw clusterError(this.#settings.name, last);
  }

  #addresses(): Address[] {
    return [...this.#masters.keys()].map(addressOf);
  }

  /** Applies an answer to CLUSTER SLOTS; false if it is not one. */
  #take(slots: unknown, host: string): boolean {
    if (!Array.isArray(slots) || slots.length === 0 || this.#isClosed) return false;
    const owners: (string | undefined)[] = Array.from({ length: SLOTS });
    for (const range of slots) {
      const [from, to, master]: unknown[] = Array.isArray(range) ? range : [];
      const [name, port]: unknown[] = Array.isArray(master) ? master : [];
      // A node that does not know its own name is at the address that was asked.
      const where = typeof name === "string" && name !== "" ? name : host;
      owners.fill(this.#reachable(`${where}:${Number(port)}`), Number(from), Number(to) + 1);
    }
    this.#owners = owners;
    const wanted = new Set(owners.filter((owner) => owner !== undefined));
    for (const owner of wanted) if (!this.#masters.has(owner)) this.#add(owner);
    for (const [address, redis] of this.#masters) {
      if (wanted.has(address)) continue;
      this.#masters.delete(address);
      leave(redis);
    }
    return true;
  }

  #add(owner: string): void {
    const redis = this.#connect(addressOf(owner));
    this.#masters.set(owner, redis);
    redis.on("close", () => this.#heal());
    redis.connect().catch(() => undefined);
  }

  #reachable(address: string): string {
    const mapped = this.#settings.natMap?.(address);
    return mapped ? `${mapped.host}:${mapped.port}` : address;
  }

  #heal(): void {
    if (this.#healing !== undefined || this.#isClosed) return;
    this.#healing = setTimeout(() => {
      this.#healing = undefined;
      const again = (): void => {
        if (!this.#isWhole()) this.#heal();
      };
      this.refresh().then(again, again);
    }, HEAL_MS).unref();
  }

  #isWhole(): boolean {
    return !this.#owners.includes(undefined) && [...this.#masters.values()].every(isReady);
  }
}

/** Waits for answers to what was sent before the connection ends. */
function leave(redis: Redis): void {
  if (isReady(redis)) redis.quit().catch(() => undefined);
  else redis.disconnect();
}

function addressOf(text: string): Address {
  const colon = text.lastIndexOf(":");
  return { host: text.slice(0, colon), port: Number(text.slice(colon + 1)) };
}

function clusterError(name: string, error: unknown): StoreError {
  const isNone = reasonOf(error).includes("cluster support disabled");
  const why = isNone
    ? "several hosts mean a cluster, but the server is not in cluster mode"
    : `no node of the cluster answers (${reasonOf(error)})`;
  const message = `the store ${name}: ${why}; nothing was changed`;
  return new StoreError("STORE_UNAVAILABLE", message, { cause: error, retryable: !isNone });
}

const never = (): null => null;
