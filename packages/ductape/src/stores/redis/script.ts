import { createHash } from "node:crypto";
import type { Redis } from "ioredis";
import { StoreError } from "../../base/errors.js";
import { isElsewhere, isReply, isTimeout, isUnsent, unavailable, unknown } from "./errors.js";
import type { Nodes } from "./nodes.js";

/** A script, and the name under which a server keeps it. */
export interface Script {
  readonly text: string;
  readonly sha: string;
}

/** A script of a text. */
export function scriptOf(text: string): Script {
  return { text, sha: createHash("sha1").update(text).digest("hex") };
}

/** One run of a script. */
export interface Run {
  readonly script: Script;
  readonly slot: number;
  readonly keys: readonly string[];
  readonly args: readonly (string | number)[];
  /** True where it changes nothing, so that a lost answer leaves no doubt. */
  readonly onlyReads: boolean;
}

/** What a store waits for after a script that writes. */
export interface Replication {
  /** How many replicas must have it; 0: none. */
  readonly replicas: number;
  /** How long they may take, in milliseconds. */
  readonly waitMs: number;
}

const ATTEMPTS_MAX = 8;
const AGAIN_MS = 40;

/** Runs scripts where their keys are. */
export class Runner {
  readonly #name: string;
  readonly #nodes: Nodes;
  readonly #replication: Replication;

  constructor(name: string, nodes: Nodes, replication: Replication) {
    this.#name = name;
    this.#nodes = nodes;
    this.#replication = replication;
  }

  /**
   * What the script returns. Sent again only where the server said that it ran nothing, as while a
   * slot moves. Throws `STORE_UNAVAILABLE` where nothing was done, else `OUTCOME_UNKNOWN`.
   */
  async run(run: Run): Promise<unknown> {
    for (let attempt = 1; ; attempt++) {
      const redis = this.#nodes.at(run.slot);
      try {
        return await this.#runOn(redis, run);
      } catch (error) {
        const fault = await this.#faultOf(error, redis, run, attempt);
        if (fault !== null) throw fault;
      }
    }
  }

  /** Null where it may be sent again. */
  async #faultOf(thrown: unknown, redis: Redis, run: Run, attempt: number) {
    if (isElsewhere(thrown)) {
      await this.#nodes.refresh().catch(() => undefined);
      const isOver = attempt >= ATTEMPTS_MAX || !this.#nodes.isCluster;
      if (isOver) return unavailable(this.#name, thrown);
      if (attempt > 1) await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      return null;
    }
    if (isReply(thrown) || isUnsent(thrown)) return unavailable(this.#name, thrown);
    if (thrown instanceof StoreError) return thrown;
    // A server that does not answer is not asked again on this connection: all would be in doubt.
    if (isTimeout(thrown)) redis.stream.destroy();
    return run.onlyReads ? unavailable(this.#name, thrown) : unknown(this.#name, thrown);
  }

  async #runOn(redis: Redis, run: Run): Promise<unknown> {
    const { text, sha } = run.script;
    try {
      return await this.#send(redis, run, "EVALSHA", sha);
    } catch (error) {
      if (isReply(error, "ASK ")) return this.#ask(error, run);
      if (!isReply(error, "NOSCRIPT")) throw error;
    }
    // It ran nothing, so this is no second time.
    return this.#send(redis, run, "EVAL", text);
  }

  /** Of a slot that is on its way: asks the server that takes it, once. */
  #ask(told: Error, run: Run): Promise<unknown> {
    const redis = this.#nodes.named(told.message.split(" ")[2] ?? "");
    if (redis === null) throw told;
    redis.asking().catch(() => undefined);
    return this.#send(redis, run, "EVAL", run.script.text);
  }

  async #send(redis: Redis, run: Run, command: string, script: string): Promise<unknown> {
    const { keys, args, onlyReads } = run;
    const { replicas, waitMs } = this.#replication;
    const reply = redis.callBuffer(command, script, keys.length, ...keys, ...args);
    if (replicas === 0 || onlyReads) return reply;
    const waited = redis.call("WAIT", replicas, waitMs);
    waited.catch(() => undefined);
    const told = await reply;
    this.#assertReplicated(Number(await waited));
    return told;
  }

  #assertReplicated(count: number): void {
    const { replicas, waitMs } = this.#replication;
    if (count >= replicas) return;
    const have = `${count} of ${replicas} replicas have the change after ${waitMs} ms`;
    const message = `the store ${this.#name}: ${have}; it is made, and may be lost in a failover`;
    throw new StoreError("OUTCOME_UNKNOWN", message);
  }
}
