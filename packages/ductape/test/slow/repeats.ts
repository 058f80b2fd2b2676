import { setTimeout as delay } from "node:timers/promises";
import { DuctapeError, type Decision, type Ductape, type QuotaInput } from "ductape";
import { inputOf } from "../support.js";

/** How long a call is repeated. */
const AGAIN_MS = 120_000;

/** Callers that repeat each call with its key until it is answered, until they are stopped. */
export class Repeats {
  /** Calls that were answered. */
  answered = 0;
  /** Those of them that were answered at once, by their first attempt. */
  atOnce = 0;
  readonly #callers: Promise<void[]>;
  #isStopped = false;

  constructor(client: Ductape, quota_tag: string, { callers = 4, timeoutMs = 1_000 } = {}) {
    const call = async (_: unknown, caller: number): Promise<void> => {
      for (let key = 0; !this.#isStopped; key++) {
        const input = inputOf({ quota_tag, idempotency_key: `${caller}-${key}` });
        const deadlineMs = performance.now() + AGAIN_MS;
        for (let attempt = 1; !(await isAnswered()); attempt++) await delay(5 * attempt);
        async function isAnswered(): Promise<boolean> {
          try {
            return (await client.processor.quota.run(input, { timeoutMs })).allowed;
          } catch (error) {
            if (!DuctapeError.is(error) || performance.now() > deadlineMs) throw error;
            return false;
          }
        }
        this.answered++;
      }
    };
    this.#callers = Promise.all(Array.from({ length: callers }, call));
  }

  /** Resolves when every key that was begun is answered. */
  async stop(): Promise<number> {
    this.#isStopped = true;
    await this.#callers;
    return this.answered;
  }
}

/**
 * Repeats a call until it is answered. Only a call that counts once, however often it is asked:
 * one with a key, or one that reserves or settles a hold.
 */
export async function repeated(
  client: Ductape,
  input: Partial<QuotaInput>,
  timeoutMs = 1_000,
): Promise<Decision> {
  const deadlineMs = performance.now() + AGAIN_MS;
  for (;;) {
    try {
      return await client.processor.quota.run(inputOf(input), { timeoutMs });
    } catch (error) {
      if (!DuctapeError.is(error) || performance.now() > deadlineMs) throw error;
      if (!error.retryable && error.code !== "OUTCOME_UNKNOWN") throw error;
      await delay(20);
    }
  }
}
