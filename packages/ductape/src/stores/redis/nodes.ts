import type { Redis, RedisOptions } from "ioredis";
import { StoreError } from "../../base/errors.js";
import { unavailable } from "./errors.js";
import type { RedisSettings } from "./settings.js";

/** The servers of a store. */
export interface Nodes {
  readonly isCluster: boolean;
  /** Connects. Throws `STORE_UNAVAILABLE`. */
  open(): Promise<void>;
  /** The server that owns a slot, connected. Throws `STORE_UNAVAILABLE`. */
  at(slot: number): Redis;
  /** Every server that owns slots, connected or not. */
  masters(): readonly Redis[];
  /** Finds out whether another server has taken over this one's slots. */
  refresh(): Promise<void>;
  /** The server that a cluster sends to while a slot moves: `host:port`. */
  named(address: string): Redis | null;
  /** Another connection to the server that owns a slot, for listening. */
  listener(slot: number): Redis;
  close(): void;
}

/** Makes a connection. */
export type Connect = (options: RedisOptions) => Redis;

const BACKOFF_MS_MAX = 400;
const JITTER_MS = 50;

/**
 * How long to wait before the next attempt to connect, so that recovery takes less than a second.
 */
export function backoffMs(attempt: number): number {
  return Math.min(20 * 2 ** Math.min(attempt, 6), BACKOFF_MS_MAX) + Math.random() * JITTER_MS;
}

/** Loads the client library. Throws `STORE_UNAVAILABLE`, which says how to install it. */
export async function loadConnect({ options }: RedisSettings, timeoutMs: number): Promise<Connect> {
  const { Redis: Client } = await import("ioredis").catch((error: unknown) => {
    const message = "the package ioredis is missing: npm install ioredis";
    throw new StoreError("STORE_UNAVAILABLE", message, { cause: error, retryable: false });
  });
  return (more) => {
    const redis = new Client({
      ...options,
      ...more,
      ...ALWAYS,
      commandTimeout: timeoutMs,
      connectTimeout: timeoutMs,
      retryStrategy: more.retryStrategy ?? backoffMs,
      sentinelRetryStrategy: backoffMs,
    });
    // Reported by the calls that meet it.
    redis.on("error", () => undefined);
    return redis;
  };
}

/**
 * Overrides a client's options: no command is sent again automatically, none waits for a
 * connection, and keys get no prefix.
 */
const ALWAYS = {
  autoResendUnfulfilledCommands: false,
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  lazyConnect: true,
  enableReadyCheck: true,
  enableAutoPipelining: false,
  reconnectOnError: null,
  readOnly: false,
  keyPrefix: "",
  stringNumbers: false,
  monitor: false,
  protocol: 2,
  replyMapping: "legacy",
} as const satisfies RedisOptions;

/** Whether a command written now is sent. */
export function isReady(redis: Redis): boolean {
  return redis.status === "ready" && redis.stream.writable;
}

/** Resolves when connected; throws the reason if it cannot connect, and keeps trying. */
export function connected(redis: Redis, timeoutMs: number): Promise<void> {
  if (isReady(redis)) return Promise.resolve();
  if (redis.status === "wait" || redis.status === "end") redis.connect().catch(() => undefined);
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => fail(new Error(`no answer in ${timeoutMs} ms`)), timeoutMs);
    const fail = (error: unknown): void => settle(() => reject(error));
    const done = (): void => settle(resolve);
    const closed = (): void => fail(new Error("the connection was closed"));
    const settle = (how: () => void): void => {
      clearTimeout(timer);
      redis.off("ready", done).off("error", fail).off("close", closed);
      how();
    };
    redis.on("ready", done).on("error", fail).on("close", closed);
  });
}

/** One server, maybe behind sentinels. */
export class SingleNode implements Nodes {
  readonly isCluster = false;
  readonly #name: string;
  readonly #timeoutMs: number;
  readonly #connect: Connect;
  readonly #redis: Redis;

  /** `lost` is called when a connection ends. */
  constructor(settings: RedisSettings, connect: Connect, timeoutMs: number, lost: () => void) {
    this.#name = settings.name;
    this.#timeoutMs = timeoutMs;
    this.#connect = connect;
    this.#redis = connect({});
    this.#redis.on("close", lost);
  }

  async open(): Promise<void> {
    await connected(this.#redis, this.#timeoutMs).catch((error: unknown) => {
      throw unavailable(this.#name, error);
    });
  }

  at(): Redis {
    if (isReady(this.#redis)) return this.#redis;
    throw unavailable(this.#name, new Error("there is no connection"));
  }

  masters(): readonly Redis[] {
    return [this.#redis];
  }

  /** Leaves a demoted master: the sentinels, or the name of its host, lead to the new one. */
  refresh(): Promise<void> {
    this.#redis.stream.destroy();
    return Promise.resolve();
  }

  named(): null {
    return null;
  }

  listener(): Redis {
    return this.#connect({});
  }

  close(): void {
    this.#redis.disconnect();
  }
}
