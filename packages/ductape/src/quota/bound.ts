import type { CallOptions } from "../base/call.js";
import type { Action } from "../decide/action.js";
import { refuseTwice, type QuotaTarget } from "./target.js";
import type { QuotaInput, Place } from "./request.js";
import type { AnyResult, Hold } from "./hold.js";
import type { HoldCalls, HoldInput } from "./hold-calls.js";

/** The input of a bound quota: everything that its place and the method do not already give. */
export type BoundInput = Omit<QuotaInput, keyof QuotaTarget | "action">;

/** The input of `set` and `grant`, which need an amount. */
export type BoundChange = BoundInput & { readonly amount: number };

/** The input of `commit`, `extend` and `release`, which need the id of a hold. */
export type BoundHold = BoundInput & { readonly reservation: string };

/** The input of `hold` on a bound quota. */
export type BoundHoldInput = Omit<HoldInput, keyof QuotaTarget>;

/** Decides one action on a bound quota. */
export type BoundRun<Result> = (
  action: Action,
  input: BoundInput | undefined,
  options: CallOptions | undefined,
) => Promise<Result>;

/**
 * One quota, named once: `ductape.quota({ product_tag, env, quota_tag })`. Each method is
 * `processor.quota.run` with its action, with the same results, denials as values and faults. Its
 * definition may change, or be created later: it is followed like that of any call.
 */
export class BoundQuota<Result extends AnyResult> {
  readonly #run: BoundRun<Result>;
  readonly #holds: Pick<HoldCalls<Result>, "hold">;
  readonly #target: QuotaTarget;

  /** @internal */
  constructor(run: BoundRun<Result>, holds: Pick<HoldCalls<Result>, "hold">, target: QuotaTarget) {
    this.#run = run;
    this.#holds = holds;
    this.#target = target;
  }

  /** Whether `amount` (default 1) would be admitted; changes nothing. */
  check(input?: BoundInput, options?: CallOptions): Promise<Result> {
    return this.#run("check", input, options);
  }

  /** Counts `amount` (default 1) where every rule admits it. */
  increment(input?: BoundInput, options?: CallOptions): Promise<Result> {
    return this.#run("increment", input, options);
  }

  /** Takes `amount` (default 1) back, down to 0: `applied` says how much was taken. */
  decrement(input?: BoundInput, options?: CallOptions): Promise<Result> {
    return this.#run("decrement", input, options);
  }

  /** Makes `amount` the use of the current window. */
  set(input: BoundChange, options?: CallOptions): Promise<Result> {
    return this.#run("set", input, options);
  }

  /** Makes the use of the current window 0. */
  reset(input?: BoundInput, options?: CallOptions): Promise<Result> {
    return this.#run("reset", input, options);
  }

  /** Lifts the limit of the current window by `amount`. */
  grant(input: BoundChange, options?: CallOptions): Promise<Result> {
    return this.#run("grant", input, options);
  }

  /** Sets `amount` (default 1) aside where every rule admits it. */
  reserve(input?: BoundInput, options?: CallOptions): Promise<Result> {
    return this.#run("reserve", input, options);
  }

  /** Counts `amount` (default: what is held) of a hold, and frees the rest. */
  commit(input: BoundHold, options?: CallOptions): Promise<Result> {
    return this.#run("commit", input, options);
  }

  /** Keeps a hold for longer; `amount` (default: unchanged) is its new whole amount. */
  extend(input: BoundHold, options?: CallOptions): Promise<Result> {
    return this.#run("extend", input, options);
  }

  /** Frees a hold and counts nothing. */
  release(input: BoundHold, options?: CallOptions): Promise<Result> {
    return this.#run("release", input, options);
  }

  /** As `processor.quota.hold`. */
  hold<T>(
    input: BoundHoldInput,
    work: (hold: Hold<Result>) => T | PromiseLike<T>,
    options?: CallOptions,
  ): Promise<T>;
  hold(input?: BoundHoldInput, options?: CallOptions): Promise<Hold<Result>>;
  hold<T>(
    input: BoundHoldInput = {},
    work?: ((hold: Hold<Result>) => T | PromiseLike<T>) | CallOptions,
    options?: CallOptions,
  ): Promise<T | Hold<Result>> {
    try {
      refuseTwice(input, this.#target);
    } catch (error) {
      return Promise.reject(error);
    }
    const whole = { ...input, ...this.#target };
    if (typeof work !== "function") return this.#holds.hold(whole, work);
    return this.#holds.hold(whole, work, options);
  }
}

/** The names of a place as calls give them. */
export function targetOf({ productTag, env, quotaTag }: Place): QuotaTarget {
  return { product_tag: productTag, env, quota_tag: quotaTag };
}

/** A bound quota on calls that take whole inputs. */
export function boundOn<Result extends AnyResult>(
  calls: Pick<HoldCalls<Result>, "run" | "hold">,
  { env, product_tag, quota_tag }: QuotaTarget,
): BoundQuota<Result> {
  const run: BoundRun<Result> = (action, input = {}, options) => {
    const fixed = { env, product_tag, quota_tag, action };
    try {
      refuseTwice(input, fixed);
      return calls.run({ ...input, ...fixed }, options);
    } catch (error) {
      return Promise.reject(error);
    }
  };
  return new BoundQuota(run, calls, { env, product_tag, quota_tag });
}
