import { closedError, type CallOptions } from "../base/call.js";
import { show, StoreError } from "../base/errors.js";
import { isLeftOut, isRecord } from "../base/json.js";
import type { Logger } from "../base/logger.js";
import { invalid } from "../base/settings.js";
import { QuotaExceededError } from "./exceeded.js";
import { Hold, type AnyResult, type Whose } from "./hold.js";
import { HOLD_TTL_MS } from "./hold-fields.js";
import type { QuotaInput } from "./request.js";

/** The input of `quota.hold`: that of a `reserve`. */
export type HoldInput = Omit<
  QuotaInput,
  "action" | "rule" | "cache" | "final" | "on_exceed" | "reason" | "of"
>;

/** The holds of a client that are not settled. */
export class OpenHolds {
  readonly logger: Logger;
  readonly #graceMs: number;
  /** What each waits for when the client closes; null: for nothing. */
  readonly #open = new Map<Hold, Promise<unknown> | null>();
  /** Calls that reserve. */
  readonly #opening = new Set<Promise<unknown>>();
  #isClosed = false;

  /** `graceMs`: how long work on a hold may go on once the client closes, in milliseconds. */
  constructor(logger: Logger, graceMs: number) {
    this.logger = logger;
    this.#graceMs = graceMs;
  }

  /** Throws `STORE_UNAVAILABLE` once the client is closing. */
  check(): void {
    if (this.#isClosed) throw closedError();
  }

  /** Closing waits for a call that reserves, so that its hold is settled. Returns the call. */
  track<T>(reserving: Promise<T>): Promise<T> {
    const end = (): void => void this.#opening.delete(reserving);
    this.#opening.add(reserving);
    reserving.then(end, end);
    return reserving;
  }

  /** Adds a hold; `work`: what to wait for before it is settled for it. */
  add(hold: Hold, work: Promise<unknown> | null): void {
    this.#open.set(hold, work);
    if (this.#isClosed) hold.abort(closedError());
  }

  /** A hold is settled. */
  delete(hold: Hold): void {
    this.#open.delete(hold);
  }

  /**
   * Aborts the signal of every hold, waits for their work, and settles by what it used whatever is
   * then still open. Null: no hold is open.
   */
  close(): Promise<void> | null {
    this.#isClosed = true;
    return this.#open.size + this.#opening.size === 0 ? null : this.#settleAll();
  }

  async #settleAll(): Promise<void> {
    await Promise.allSettled(this.#opening);
    const work = [...this.#open.values()].filter((each) => each !== null);
    for (const hold of this.#open.keys()) hold.abort(closedError());
    if (work.length > 0) await atMost(this.#graceMs, Promise.allSettled(work));
    await Promise.all([...this.#open.keys()].map((hold) => this.#settle(hold)));
  }

  async #settle(hold: Hold): Promise<void> {
    try {
      await hold.settleUsed();
    } catch (error) {
      this.logger.warn(`hold ${show(hold.id)} could not be settled; it expires by itself`, error);
    }
  }
}

/** The calls on holds, over `run`: the same for every client. */
export abstract class HoldCalls<Result extends AnyResult> {
  readonly #open: OpenHolds;

  constructor(open: OpenHolds) {
    this.#open = open;
  }

  /** Decides one input. */
  abstract run(input: QuotaInput, options?: CallOptions): Promise<Result>;

  /** Sets an amount aside while `work` runs, and settles it. */
  hold<T>(
    input: HoldInput,
    work: (hold: Hold<Result>) => T | PromiseLike<T>,
    options?: CallOptions,
  ): Promise<T>;
  /** Sets an amount aside, and keeps it until the {@link Hold} is settled. */
  hold(input: HoldInput, options?: CallOptions): Promise<Hold<Result>>;
  async hold<T>(
    input: HoldInput,
    work: ((hold: Hold<Result>) => T | PromiseLike<T>) | CallOptions | undefined,
    options?: CallOptions,
  ): Promise<T | Hold<Result>> {
    if (typeof work === "function") return this.#holdDuring(input, work, options);
    return this.#open.track(this.#holdAlone(input, work));
  }

  async #holdAlone(input: HoldInput, options: CallOptions | undefined): Promise<Hold<Result>> {
    const { hold } = await this.#reserve(input, options);
    this.#open.add(hold, null);
    return hold;
  }

  async #holdDuring<T>(
    input: HoldInput,
    work: (hold: Hold<Result>) => T | PromiseLike<T>,
    options: CallOptions | undefined,
  ): Promise<T> {
    const { end, working } = await this.#open.track(this.#begin(input, work, options));
    return working.finally(end);
  }

  /** Begins the work before the call that reserves is over, so that closing knows of it. */
  async #begin<T>(
    input: HoldInput,
    work: (hold: Hold<Result>) => T | PromiseLike<T>,
    options: CallOptions | undefined,
  ): Promise<{ readonly end: () => void; readonly working: Promise<T> }> {
    const { hold, end } = await this.#reserve(input, options);
    const working = this.#finish(hold, work);
    this.#open.add(hold, working);
    return { end, working };
  }

  async #finish<T>(
    hold: Hold<Result>,
    work: (hold: Hold<Result>) => T | PromiseLike<T>,
  ): Promise<T> {
    let value: T;
    try {
      value = await work(hold);
    } catch (error) {
      await this.#abandon(hold);
      throw error;
    }
    if (hold.isSettled) return value;
    await (hold.signal.aborted ? hold.settleUsed() : hold.commit());
    return value;
  }

  /** The error of the work is the one to throw; that of the release is logged. */
  async #abandon(hold: Hold<Result>): Promise<void> {
    if (hold.isSettled) return;
    try {
      await (hold.signal.aborted ? hold.settleUsed() : hold.release());
    } catch (error) {
      const message = `hold ${show(hold.id)} could not be released; it expires by itself`;
      this.#open.logger.warn(message, error);
    }
  }

  async #reserve(input: HoldInput, options: CallOptions | undefined) {
    this.#open.check();
    const given: unknown = input;
    if (!isRecord(given)) throw invalid("input", `expects an object, got ${show(given)}`);
    if ("action" in given) throw invalid("action", "is not given here: a hold is reserved");
    const askedMs = performance.now();
    const reserving = this.run({ ...input, action: "reserve" }, options);
    const { env, product_tag, quota_tag, subject, session, ttl_ms } = input;
    const whose: Whose = { env, product_tag, quota_tag, ...copyOf({ subject, session }) };
    const result: AnyResult = await reserving;
    if (!result.allowed) throw result.degraded ? unanswered(result.code) : denied(result);
    const signal = options?.signal;
    const abort = (): void => hold.abort(signal?.reason);
    const end = (): void => signal?.removeEventListener("abort", abort);
    const hold: Hold<Result> = new Hold<Result>(
      {
        run: (call, each) => this.run(call, each),
        logger: this.#open.logger,
        settled: () => {
          end();
          this.#open.delete(hold);
        },
      },
      whose,
      result.degraded ? { amount: result.amount } : result,
      typeof ttl_ms === "number" ? ttl_ms : HOLD_TTL_MS,
      askedMs,
    );
    signal?.addEventListener("abort", abort, { once: true });
    if (signal?.aborted === true) abort();
    return { hold, end };
  }
}

function copyOf({ subject, session }: Pick<Whose, "subject" | "session">) {
  return {
    ...(isLeftOut(subject) ? {} : { subject: structuredClone(subject) }),
    ...(isLeftOut(session) ? {} : { session: { ...session } }),
  };
}

function denied(result: Extract<AnyResult, { allowed: false; degraded: false }>) {
  return new QuotaExceededError(result);
}

/** Neither admitted nor over a limit: `onStoreError: "deny"` refused it. */
function unanswered(code: "STORE_UNAVAILABLE" | "TIMEOUT"): StoreError {
  return new StoreError(code, "the store cannot answer, so nothing is set aside");
}

/** Waits for `work`, but no longer than `ms`. */
async function atMost(ms: number, work: Promise<unknown>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work, late]);
  clearTimeout(timer);
}
