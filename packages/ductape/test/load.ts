import { setTimeout as delay } from "node:timers/promises";
import {
  DuctapeError,
  type CallOptions,
  type Client,
  type ErrorCode,
  type QuotaInput,
} from "ductape";
import { inputOf } from "./support.js";

/** The answers that callers of one quota got. */
export interface Told {
  /** Admitted increments. */
  acknowledged: number;
  /** Sent, and never answered: they may have counted. */
  unknown: number;
  denied: number;
  /** Every fault by its code; what is no fault of ours by its text. */
  readonly faults: Map<ErrorCode | string, number>;
  /** The longest that one call took, in milliseconds. */
  longestMs: number;
  /** `performance.now()` of the last admission. */
  admittedMs: number;
  /** The longest time between two admissions, in milliseconds. */
  longestOutageMs: number;
}

/** How a {@link Load} calls. */
export interface LoadOptions {
  /** Default 40. */
  readonly callers?: number;
  /** Of each call; default that of the client. */
  readonly timeoutMs?: number;
  /** What every call asks, or each by its number. */
  readonly input?: Partial<QuotaInput> | ((call: number) => Partial<QuotaInput>);
}

/** Callers that increment a quota, each its next call after its last, until they are stopped. */
export class Load {
  readonly told: Told = {
    acknowledged: 0,
    unknown: 0,
    denied: 0,
    faults: new Map(),
    longestMs: 0,
    admittedMs: 0,
    longestOutageMs: 0,
  };
  readonly #client: Client;
  readonly #options: CallOptions;
  readonly #callers: Promise<void[]>;
  #isStopped = false;

  constructor(client: Client, { callers = 40, timeoutMs, input = {} }: LoadOptions = {}) {
    this.#client = client;
    this.#options = timeoutMs === undefined ? {} : { timeoutMs };
    let calls = 0;
    const call = async (): Promise<void> => {
      while (!this.#isStopped) {
        await this.#once(inputOf(typeof input === "function" ? input(calls++) : input));
      }
    };
    this.#callers = Promise.all(Array.from({ length: callers }, call));
  }

  /** Resolves when the call under way of every caller has ended; throws where one does not end. */
  async stop(withinMs = 60_000): Promise<Told> {
    this.#isStopped = true;
    const late = delay(withinMs, "late", { ref: false });
    if ((await Promise.race([this.#callers, late])) !== "late") return this.told;
    throw new Error(`a call did not end in ${withinMs} ms; ${JSON.stringify(this.told)}`);
  }

  /** Resolves when `count` more were admitted; throws where that takes too long. */
  async admits(count: number, withinMs = 120_000): Promise<void> {
    const { told } = this;
    const wanted = told.acknowledged + count;
    const deadlineMs = performance.now() + withinMs;
    while (told.acknowledged < wanted) {
      if (performance.now() > deadlineMs) {
        const faults = JSON.stringify([...told.faults]);
        const text = `${told.acknowledged} of ${wanted} admitted, ${told.denied} denied`;
        throw new Error(`${text} in ${withinMs} ms; faults: ${faults}`);
      }
      await delay(2);
    }
  }

  async #once(input: QuotaInput): Promise<void> {
    const { told } = this;
    const startMs = performance.now();
    try {
      const { allowed } = await this.#client.processor.quota.run(input, this.#options);
      if (allowed) {
        told.acknowledged++;
        const nowMs = performance.now();
        const outageMs = told.admittedMs === 0 ? 0 : nowMs - told.admittedMs;
        told.longestOutageMs = Math.max(told.longestOutageMs, outageMs);
        told.admittedMs = nowMs;
      } else told.denied++;
    } catch (error) {
      const code = DuctapeError.is(error) ? error.code : String(error);
      told.faults.set(code, (told.faults.get(code) ?? 0) + 1);
      if (code === "OUTCOME_UNKNOWN") told.unknown++;
      // As a caller would: not at once again.
      await delay(2);
    }
    told.longestMs = Math.max(told.longestMs, performance.now() - startMs);
  }
}
