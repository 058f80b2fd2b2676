import type { CallOptions, CallSignal } from "../base/call.js";
import { sumOf } from "../decide/amount.js";
import { DuctapeError, show, ValidationError } from "../base/errors.js";
import type { Logger } from "../base/logger.js";
import type { OutagePolicy } from "../base/settings.js";
import type { QuotaResult } from "./decision.js";
import { QuotaExceededError } from "./exceeded.js";
import type { QuotaInput } from "./request.js";

/** Any answer of `quota.run`. */
export type AnyResult = QuotaResult<OutagePolicy>;

/** What a {@link Hold} depends on. */
interface HoldParts<Result> {
  /** Decides one input. */
  readonly run: (input: QuotaInput, options?: CallOptions) => Promise<Result>;
  readonly logger: Logger;
  /** Called once, when it is settled. */
  readonly settled: () => void;
}

/** What every call on a hold repeats of its input. */
export type Whose = Pick<QuotaInput, "env" | "product_tag" | "quota_tag" | "subject" | "session">;

/** The part of its time after which a hold is extended. */
const BEATS = 3;
/** Pauses before a call that settles a hold is repeated, in milliseconds. */
const PAUSES_MS = [100, 200, 400, 800];
/** The hold is not there to be extended, and will not be again. */
const LOST: ReadonlySet<string> = new Set(["RESERVATION_NOT_FOUND", "IDEMPOTENCY_CONFLICT"]);

/**
 * An amount that is set aside, by `quota.hold`. It extends itself until it is settled: by
 * {@link commit}, by {@link release}, or, if neither was called, at the end of an `await using`
 * scope: that commits what {@link use} counted, and releases the hold if that is nothing.
 */
export class Hold<Result extends AnyResult = AnyResult> {
  /** Its id; null: admitted without the store, under `onStoreError: "allow"`. */
  readonly id: string | null;
  /** What was admitted: less than was asked for if `at_least` allowed it. */
  readonly amount: number;
  /**
   * Aborted when the work should stop: by the caller's signal, by `close()` of the client, or
   * because the hold is lost: released by somebody else, or expired and no longer admitted.
   */
  readonly signal: CallSignal;
  readonly #parts: HoldParts<Result>;
  readonly #whose: Whose;
  readonly #ttlMs: number;
  readonly #controller = new AbortController();
  #used: number | null = null;
  #isSettled = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Until when it is surely held, on the clock of `performance.now()`. */
  #sureMs: number;

  /** @internal */
  constructor(
    parts: HoldParts<Result>,
    whose: Whose,
    { reservation, amount }: Pick<Exclude<AnyResult, { degraded: true }>, "reservation" | "amount">,
    ttlMs: number,
    askedMs: number,
  ) {
    this.id = reservation?.id ?? null;
    this.amount = amount;
    this.signal = this.#controller.signal;
    this.#parts = parts;
    this.#whose = whose;
    this.#ttlMs = ttlMs;
    this.#sureMs = askedMs + ttlMs;
    if (this.id !== null) this.#wait();
  }

  /** What {@link use} counted so far. */
  get used(): number {
    return this.#used ?? 0;
  }

  /** True once it is committed or released. */
  get isSettled(): boolean {
    return this.#isSettled;
  }

  /**
   * Notes that `amount` more was used, such as the tokens of a part of an answer. Nothing is sent:
   * the sum is committed in the end. Throws `VALIDATION` unless it is a finite number from 0.
   */
  use(amount: number): void {
    if (typeof amount !== "number" || !(amount >= 0 && amount < Infinity)) {
      const message = `expects a number from 0, got ${show(amount)}`;
      throw new ValidationError([{ path: "amount", message }]);
    }
    this.#used = sumOf(this.used, amount);
  }

  /**
   * Counts what was used, also past what was set aside, and frees the rest. Default: what
   * {@link use} counted; if it was never called, the whole amount. Repeats a call that failed for
   * a while, as a hold is settled but once. Throws the faults of `quota.run`.
   */
  async commit(amount: number = this.#used ?? this.amount): Promise<Result> {
    if (this.id === null) {
      const late = { action: "increment", amount, on_exceed: "allow" } as const;
      return this.#settle({ ...this.#whose, ...late }, false);
    }
    return this.#settle({ ...this.#call(this.id), action: "commit", amount }, true);
  }

  /** Frees the amount and counts nothing. Throws the faults of `quota.run`. */
  async release(reason?: string): Promise<Result | null> {
    if (this.id === null) return this.#end(null);
    return this.#settle({ ...this.#call(this.id), action: "release", reason }, true);
  }

  /** Commits what {@link use} counted; releases the hold if that is nothing. */
  async settleUsed(): Promise<void> {
    await (this.used > 0 ? this.commit(this.used) : this.release());
  }

  /** As {@link settleUsed}, unless it is settled already. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isSettled) await this.settleUsed();
  }

  /** @internal Aborts {@link signal}. */
  abort(reason: unknown): void {
    if (!this.#isSettled) this.#controller.abort(reason);
  }

  /** The input of a call on the hold: without a session, whose token may expire meanwhile. */
  #call(reservation: string) {
    const { session: _, ...whose } = this.#whose;
    return { ...whose, reservation };
  }

  async #settle(input: QuotaInput, isRepeatable: boolean): Promise<Result> {
    for (const pauseMs of isRepeatable ? PAUSES_MS : []) {
      try {
        const result = await this.#parts.run(input);
        if (!result.degraded) return this.#end(result);
      } catch (error) {
        if (!mayPass(error)) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
    return this.#end(await this.#parts.run(input));
  }

  #end<R extends Result | null>(result: R): R {
    // A denial, of a commit or by a policy without the store, leaves the hold as it is.
    if (result !== null && !result.allowed) return result;
    clearTimeout(this.#timer);
    if (!this.#isSettled) this.#parts.settled();
    this.#isSettled = true;
    return result;
  }

  #wait(): void {
    const leftMs = this.#sureMs - performance.now();
    const pauseMs = Math.max(0, Math.min(this.#ttlMs / BEATS, leftMs));
    this.#timer = setTimeout(() => void this.#beat(), pauseMs);
    // Only the work itself should keep a process alive.
    this.#timer.unref?.();
  }

  async #beat(): Promise<void> {
    const askedMs = performance.now();
    const fault = await this.#extend();
    if (this.#isSettled) return;
    if (fault === null) this.#sureMs = askedMs + this.#ttlMs;
    else if (isLost(fault) || performance.now() >= this.#sureMs) return this.#lose(fault);
    else this.#parts.logger.warn(`${this.#name()} could not be extended; it goes on`, fault);
    this.#wait();
  }

  /** Null: it is held for its whole time again. */
  async #extend(): Promise<unknown> {
    if (this.id === null) return null;
    const { id: reservation } = this;
    const input = { ...this.#call(reservation), action: "extend", ttl_ms: this.#ttlMs } as const;
    try {
      const result: AnyResult = await this.#parts.run(input);
      if (result.degraded) return new DuctapeError(result.code, "the store cannot answer");
      return result.allowed ? null : new QuotaExceededError(result);
    } catch (error) {
      return error;
    }
  }

  #lose(fault: unknown): void {
    this.#parts.logger.warn(`${this.#name()} is lost: its amount is no longer set aside`, fault);
    this.abort(fault);
  }

  #name(): string {
    return `hold ${show(this.id)} of quota ${show(this.#whose.quota_tag)}`;
  }
}

/** True for a fault that may be gone when the same call is repeated. */
function mayPass(error: unknown): boolean {
  return DuctapeError.is(error) && (error.retryable || error.code === "OUTCOME_UNKNOWN");
}

function isLost(fault: unknown): boolean {
  return DuctapeError.is(fault) && (LOST.has(fault.code) || fault instanceof QuotaExceededError);
}
