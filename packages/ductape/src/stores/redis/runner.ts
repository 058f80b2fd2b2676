import { createHash } from "node:crypto";
import type { Redis } from "ioredis";
import { StoreError } from "../../base/errors.js";
import { isElsewhere, isReply, isTimeout, isUnsent, unavailable, unknown } from "./errors.js";
import type { Nodes } from "./nodes.js";

/** A script and its hash, by which a server knows it. */
interface Script {
  readonly text: string;
  readonly sha: string;
}

/** The script with a text. */
export function scriptOf(text: string): Script {
  return { text, sha: createHash("sha1").update(text).digest("hex") };
}

/** One run of a script. */
interface Run {
  readonly script: Script;
  readonly slot: number;
  readonly keys: readonly string[];
  readonly args: readonly (string | number)[];
  /** True if it changes nothing, so that a lost answer leaves nothing uncertain. */
  readonly onlyReads: boolean;
}

/** What a store waits for after a writing script. */
interface Replication {
  /** How many replicas must have it; 0: none. */
  readonly replicas: number;
  /** How long they may take, in milliseconds. */
  readonly waitMs: number;
}

const ATTEMPTS_MAX = 8;
const AGAIN_MS = 40;

/** Runs scripts on the servers of their keys. */
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
   * The result of the script. It is sent again only if the server reports that it ran nothing, for
   * instance while a slot moves. Throws `STORE_UNAVAILABLE` if nothing was done, else
   * `OUTCOME_UNKNOWN`.
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

  /** Null if it may be sent again. */
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
    // A server that does not answer gets nothing more on this connection, or every outcome would be
    // uncertain.
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
    // It ran nothing, so this does not run it twice.
    return this.#send(redis, run, "EVAL", text);
  }

  /** While a slot moves, asks the server that receives it, once. */
  #ask(redirect: Error, run: Run): Promise<unknown> {
    const redis = this.#nodes.named(redirect.message.split(" ")[2] ?? "");
    if (redis === null) throw redirect;
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
    const answer = await reply;
    this.#assertReplicated(Number(await waited));
    return answer;
  }

  #assertReplicated(count: number): void {
    const { replicas, waitMs } = this.#replication;
    if (count >= replicas) return;
    const have = `${count} of ${replicas} replicas have the change after ${waitMs} ms`;
    const message = `the store ${this.#name}: ${have}; it may be lost in a failover`;
    throw new StoreError("OUTCOME_UNKNOWN", message);
  }
}
