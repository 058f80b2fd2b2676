import type { QuotaCalls } from "./client.js";
import type { Decision, Degraded, QuotaResult } from "./decision.js";
import { DuctapeError } from "./errors.js";
import type { Logger } from "./events.js";
import type { Quota } from "./quota.js";
import { parseRequest, type QuotaInput, type Request } from "./request.js";
import type { CallOptions } from "./store.js";

/** What to answer while the store cannot: its error, or a marked result. */
export type OutagePolicy = "throw" | "allow" | "deny";

/**
 * The flow under a policy other than `throw`: `STORE_UNAVAILABLE` and `TIMEOUT` become results with
 * `degraded: true`, which counted nothing. Every other fault is thrown as ever, and by `allow` also
 * these where a session's token was not verified before: anybody could have made it up. The first
 * degraded answer of an outage is logged with its fault.
 */
export class OutageQuota implements QuotaCalls {
  readonly #quota: Quota;
  readonly #allows: boolean;
  readonly #logger: Logger;
  #isDown = false;

  constructor(quota: Quota, policy: "allow" | "deny", logger: Logger) {
    this.#quota = quota;
    this.#allows = policy === "allow";
    this.#logger = logger;
  }

  async run(input: QuotaInput, options?: CallOptions): Promise<QuotaResult> {
    // Before the call, as the caller may change its object while that is under way.
    const request = parseRequest(input);
    try {
      return this.#answered(await this.#quota.run(input, options));
    } catch (error) {
      return this.#degraded(request, error);
    }
  }

  async enforce(input: QuotaInput, options?: CallOptions): Promise<QuotaResult> {
    const request = parseRequest(input);
    try {
      return this.#answered(await this.#quota.enforce(input, options));
    } catch (error) {
      if (this.#allows) return this.#degraded(request, error);
      // Neither admitted nor over a limit: what denies is the outage.
      throw error;
    }
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
    const requests = requestsOf(inputs);
    try {
      const results = await this.#quota.runAll(inputs, options);
      return results.map((result, i) => {
        if (!DuctapeError.is(result)) return this.#answered(result);
        const request = requests[i] ?? null;
        return this.#mayAnswer(request, result) ? this.#degraded(request, result) : result;
      });
    } catch (error) {
      const answered = requests.filter((request) => this.#mayAnswer(request, error));
      if (!isOutage(error) || answered.length < requests.length) throw error;
      return answered.map((request) => this.#degraded(request, error));
    }
  }

  #answered(decision: Decision): Decision {
    this.#isDown = false;
    return decision;
  }

  /** True for a fault of the store, where who asks is known or nothing is admitted. */
  #mayAnswer(request: Request | null, error: unknown): request is Request {
    if (request === null || !isOutage(error)) return false;
    return !this.#allows || this.#quota.knowsWhoAsks(request);
  }

  /** The marked answer; throws the error where there must be none. */
  #degraded(request: Request, error: unknown): Degraded {
    if (!isOutage(error) || !this.#mayAnswer(request, error)) throw error;
    if (!this.#isDown) {
      const outcome = this.#allows ? "allowed, and not counted" : "denied";
      this.#logger.warn(`the store cannot answer: calls are ${outcome}`, error);
    }
    this.#isDown = true;
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

/** Each input as a request; null where the flow refuses it. */
function requestsOf(inputs: readonly QuotaInput[]): (Request | null)[] {
  if (!Array.isArray(inputs)) return [];
  return inputs.map((input) => {
    try {
      return parseRequest(input);
    } catch {
      return null;
    }
  });
}

function isOutage(error: unknown): error is DuctapeError {
  if (!DuctapeError.is(error)) return false;
  return error.code === "STORE_UNAVAILABLE" || error.code === "TIMEOUT";
}
