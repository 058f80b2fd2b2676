import type { Redis } from "ioredis";
import type { CounterRow } from "../store.js";
import { unavailable } from "./errors.js";
import { DOCUMENTS_SLOT, type Keyspace } from "./keys.js";
import type { Nodes } from "./nodes.js";
import { readCounter } from "./packed.js";

/** Keys visited in one step of a walk. */
const PIECE = 1_000;

/** Keys that match a glob on all masters, in parts; a key may appear twice. */
export async function* keysOf(nodes: Nodes, pattern: string): AsyncGenerator<[Redis, string[]]> {
  for (const redis of nodes.masters()) {
    let cursor = "0";
    do {
      const [next, keys] = await redis.scan(cursor, "MATCH", pattern, "COUNT", PIECE);
      cursor = next;
      if (keys.length > 0) yield [redis, keys];
    } while (cursor !== "0");
  }
}

/** See `Store.scan`. */
export async function* scanCounters(
  nodes: Nodes,
  keyspace: Keyspace,
  prefix: string,
  name: string,
): AsyncGenerator<CounterRow> {
  const seen = new Set<string>();
  try {
    for await (const [redis, keys] of keysOf(nodes, keyspace.pattern(prefix))) {
      // The others are answers, holds, and lists of holds, which are no texts.
      const fresh = keys.filter((key) => !seen.has(key) && keyspace.split(key) !== null);
      const texts = await Promise.all(fresh.map((key) => redis.getBuffer(key)));
      for (const [i, key] of fresh.entries()) {
        const parts = keyspace.split(key);
        const counter = parts === null ? undefined : readCounter(texts[i] ?? null);
        if (seen.has(key) || parts === null || counter === undefined) continue;
        seen.add(key);
        yield { ...parts, counter };
      }
    }
  } catch (error) {
    throw unavailable(name, error);
  }
}

/**
 * Removes the remains of deleted spaces in the background. No call can reach them any more, so the
 * time does not matter; the list of remaining spaces is on the server, for the next client that
 * opens the store.
 */
export class Sweep {
  readonly #keyspace: Keyspace;
  readonly #nodes: Nodes;
  #isStopped = false;
  #isWanted = false;
  #sweeping: Promise<void> | null = null;

  constructor(keyspace: Keyspace, nodes: Nodes) {
    this.#keyspace = keyspace;
    this.#nodes = nodes;
  }

  /** True if there may be spaces to delete. */
  start(): void {
    this.#isWanted = true;
    this.#sweeping ??= this.#sweep()
      .catch(() => undefined)
      .finally(() => {
        this.#sweeping = null;
      });
  }

  /** Resolves when nothing is in progress. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#sweeping;
  }

  async #sweep(): Promise<void> {
    const key = this.#keyspace.document("forgotten");
    while (this.#isWanted && !this.#isStopped) {
      this.#isWanted = false;
      for (const space of await this.#nodes.at(DOCUMENTS_SLOT).smembers(key)) {
        if (!(await this.#forget(space))) return;
        await this.#nodes.at(DOCUMENTS_SLOT).srem(key, space);
      }
    }
  }

  /** False if it was stopped before the end, or a master was missing. */
  async #forget(space: string): Promise<boolean> {
    for await (const [redis, keys] of keysOf(this.#nodes, this.#keyspace.pattern(space))) {
      // One at a time, because keys of a cluster are in many slots.
      await Promise.all(keys.map((key) => redis.unlink(key)));
      if (this.#isStopped) return false;
    }
    return true;
  }
}
