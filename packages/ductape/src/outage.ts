import type { Degraded, QuotaResult } from "./decision.js";
import { DuctapeError } from "./errors.js";
import { QuotaExceededError, type Quota } from "./quota.js";
import { parseRequest, type QuotaInput } from "./request.js";
import type { CallOptions } from "./store.js";

/** What to answer while the store cannot: its error, or a marked result. */
export type OutagePolicy = "throw" | "allow" | "deny";

/** The calls of `processor.quota`. */
export interface QuotaCalls {
  /**
   * Decides one request atomically and exactly. A denial is a value (`allowed: false`) and costs
   * nothing; a fault throws a {@link DuctapeError}: `VALIDATION`, `PRODUCT_NOT_FOUND`,
   * `ENVIRONMENT_NOT_FOUND`, `QUOTA_NOT_FOUND`, `SESSION_NOT_FOUND`, `CACHE_NOT_FOUND`,
   * `ENVIRONMENT_INACTIVE`, `SUBJECT_REQUIRED`, `IDEMPOTENCY_CONFLICT`, `STORE_UNAVAILABLE`,
   * `TIMEOUT`, `ABORTED`, `OVERLOADED`, `OUTCOME_UNKNOWN`.
   */
  run(input: QuotaInput, options?: CallOptions): Promise<QuotaResult>;
  /** As `run`, but a denial throws {@link QuotaExceededError} with the denial as its `result`. */
  enforce(input: QuotaInput, options?: CallOptions): Promise<QuotaResult>;
  /**
   * Decides up to 1,000 inputs. With `atomic` as one: all or none, each seeing those before it; a
   * fault throws. Else each on its own: a fault stands as a {@link DuctapeError} in its place.
   */
  runAll(
    inputs: readonly QuotaInput[],
    options: CallOptions & { readonly atomic: true },
  ): Promise<QuotaResult[]>;
  runAll(
    inputs: readonly QuotaInput[],
    options?: CallOptions & { readonly atomic?: boolean },
  ): Promise<(QuotaResult | DuctapeError)[]>;
}

/**
 * The flow under a policy other than `throw`: `STORE_UNAVAILABLE` and `TIMEOUT` become results with
 * `degraded: true`, which counted nothing. Every other fault is thrown as ever.
 */
export class OutageQuota {
  readonly #quota: Quota;
  readonly #allows: boolean;

  constructor(quota: Quota, policy: "allow" | "deny") {
    this.#quota = quota;
    this.#allows = policy === "allow";
  }

  async run(input: QuotaInput, options?: CallOptions): Promise<QuotaResult> {
    try {
      return await this.#quota.run(input, options);
    } catch (error) {
      return this.#degraded(input, error);
    }
  }

  async enforce(input: QuotaInput, options?: CallOptions): Promise<QuotaResult> {
    const result = await this.run(input, options);
    if (result.allowed) return result;
    if (!result.degraded) throw new QuotaExceededError(result);
    throw new DuctapeError(result.code, "the store cannot answer, and the policy is to deny");
  }

  runAll(
    inputs: readonly QuotaInput[],
    options: CallOptions & { readonly atomic: true },
  ): Promise<QuotaResult[]>;
  runAll(
    inputs: readonly QuotaInput[],
    options?: CallOptions & { readonly atomic?: boolean },
  ): Promise<(QuotaResult | DuctapeError)[]>;
  async runAll(
    inputs: readonly QuotaInput[],
    options?: CallOptions & { readonly atomic?: boolean },
  ): Promise<(QuotaResult | DuctapeError)[]> {
    try {
      const results = await this.#quota.runAll(inputs, options);
      return results.map((result, i) => {
        const input = inputs[i];
        if (!DuctapeError.is(result) || input === undefined || !isOutage(result)) return result;
        return this.#degraded(input, result);
      });
    } catch (error) {
      return inputs.map((input) => this.#degraded(input, error));
    }
  }

  #degraded(input: QuotaInput, error: unknown): Degraded {
    if (!DuctapeError.is(error) || !isOutage(error)) throw error;
    const request = parseRequest(input);
    return {
      action: request.action,
      env: request.env,
      product_tag: request.productTag,
      quota_tag: request.quotaTag,
      subject: typeof request.subject === "string" ? request.subject : null,
      allowed: this.#allows,
      success: this.#allows,
      exceeded: false,
      code: error.code === "TIMEOUT" ? "TIMEOUT" : "STORE_UNAVAILABLE",
      degraded: true,
      amount: request.amount,
      retry_after_ms: this.#allows ? 0 : null,
    };
  }
}

function isOutage({ code }: DuctapeError): boolean {
  return code === "STORE_UNAVAILABLE" || code === "TIMEOUT";
}
