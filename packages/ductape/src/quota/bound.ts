import type { CallOptions } from "../base/call.js";
import type { Action } from "../decide/action.js";
import { refuseTwice, type QuotaTarget } from "./target.js";
import type { QuotaInput } from "./request.js";

/** The input of a bound quota: everything that its place and the method do not already give. */
export type BoundInput = Omit<QuotaInput, keyof QuotaTarget | "action">;

/** The input of `set` and `grant`, which need an amount. */
export type BoundChange = BoundInput & { readonly amount: number };

/** Decides one action on a bound quota. */
type BoundRun<Result> = (
  action: Action,
  input: BoundInput | undefined,
  options: CallOptions | undefined,
) => Promise<Result>;

/**
 * One quota, named once: `ductape.quota({ product_tag, env, quota_tag })`. Each method is
 * `processor.quota.run` with its action, with the same results, denials as values and faults. Its
 * definition may change, or be created later: it is followed like that of any call.
 */
export class BoundQuota<Result> {
  readonly #run: BoundRun<Result>;

  /** @internal */
  constructor(run: BoundRun<Result>) {
    this.#run = run;
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
}

/** A bound quota on calls that take whole inputs. */
export function boundOn<Result>(
  calls: { run(input: QuotaInput, options?: CallOptions): Promise<Result> },
  { env, product_tag, quota_tag }: QuotaTarget,
): BoundQuota<Result> {
  return new BoundQuota((action, input = {}, options) => {
    const fixed = { env, product_tag, quota_tag, action };
    try {
      refuseTwice(input, fixed);
      return calls.run({ ...input, ...fixed }, options);
    } catch (error) {
      return Promise.reject(error);
    }
  });
}
