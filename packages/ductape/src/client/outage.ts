import type { QuotaCalls } from "./client.js";
import type {
  Decision,
  Degraded,
  DegradedBase,
  EnforcedResult,
  QuotaResult,
} from "../quota/decision.js";
import type { OutagePolicy } from "../base/settings.js";
import { DuctapeError, StoreError } from "../base/errors.js";
import type { Logger } from "../base/logger.js";
import type { QuotaInput, Request } from "../quota/request.js";
import type { CallOptions } from "../base/call.js";
import { HoldCalls, type OpenHolds } from "../quota/hold-calls.js";
import type { ReservationsInput, ReservationsPage } from "../quota/reservations.js";

/** The parts of an input that an answer without the store repeats. */
export type Asked = Pick<
  Request,
  "action" | "env" | "productTag" | "quotaTag" | "subject" | "amount"
>;

/** Decisions whose faults all throw. */
export interface Flow<A extends Asked> extends QuotaCalls {
  /** The parts of an input as it is now; null if the flow refuses it. */
  askedOf(input: QuotaInput): A | null;
  /** False if a session's token was never verified, so its owner is not known. */
  knowsWhoAsks(asked: A): boolean;
}

/** The fault behind an answer that a server gave without its store, under its own policy. */
export class DegradedAnswer extends StoreError {
  /** Whether the server admitted; nothing was counted either way. */
  readonly allowed: boolean;

  constructor({ allowed, code }: Degraded) {
    const outcome = allowed ? "admitted the call without counting it" : "refused the call";
    super(code, `the server's store cannot answer; the server ${outcome}`);
    this.allowed = allowed;
  }
}

/**
 * Decisions under a policy. Their type follows from the option, which is all that a compiler sees:
 * if a variable sets another policy, results may be degraded although no type says so.
 */
export function underPolicy<Policy extends OutagePolicy, A extends Asked>(
  flow: Flow<A>,
  policy: OutagePolicy,
  logger: Logger,
  holds: OpenHolds,
): QuotaCalls<Policy>;
/** Under `throw` this is the flow itself, at no extra cost. */
export function underPolicy(
  flow: Flow<Asked>,
  policy: OutagePolicy,
  logger: Logger,
  holds: OpenHolds,
): QuotaCalls<OutagePolicy> {
  return policy === "throw" ? flow : new OutageQuota(flow, policy, logger, holds);
}

/**
 * The flow under a policy other than `throw`: `STORE_UNAVAILABLE` and `TIMEOUT` become results
 * with `degraded: true`, which counted nothing. Every other fault is still thrown; under `allow`
 * so are these if a session's token was not verified before, because anybody could have invented
 * it. An answer that a server gave under its own policy is passed on. The first degraded answer of
 * an outage is logged with its fault.
 */
class OutageQuota<A extends Asked>
  extends HoldCalls<QuotaResult<OutagePolicy>>
  implements QuotaCalls<OutagePolicy>
{
  readonly #flow: Flow<A>;
  readonly #allows: boolean;
  readonly #logger: Logger;
  #isDown = false;

  constructor(flow: Flow<A>, policy: "allow" | "deny", logger: Logger, holds: OpenHolds) {
    super(holds);
    this.#flow = flow;
    this.#allows = policy === "allow";
    this.#logger = logger;
  }

  override async run(input: QuotaInput, options?: CallOptions): Promise<QuotaResult<OutagePolicy>> {
    // Before the call, because the caller may change its object during the call.
    const asked = this.#flow.askedOf(input);
    try {
      return this.#answered(await this.#flow.run(input, options));
    } catch (error) {
      return this.#degraded(asked, error);
    }
  }

  async enforce(input: QuotaInput, options?: CallOptions): Promise<EnforcedResult<OutagePolicy>> {
    const asked = this.#flow.askedOf(input);
    try {
      return this.#answered(await this.#flow.enforce(input, options));
    } catch (error) {
      const degraded = this.#degraded(asked, error);
      // Neither admitted nor over a limit: the outage denies.
      if (!degraded.allowed) throw error;
      return degraded;
    }
  }

  reservations(input: ReservationsInput): Promise<ReservationsPage> {
    return this.#flow.reservations(input);
  }

  runAll(
    inputs: readonly QuotaInput[],
    options: CallOptions & { readonly atomic: true },
  ): Promise<QuotaResult<OutagePolicy>[]>;
  runAll(
    inputs: readonly QuotaInput[],
    options?: CallOptions & { readonly atomic?: boolean },
  ): Promise<(QuotaResult<OutagePolicy> | DuctapeError)[]>;
  async runAll(
    inputs: readonly QuotaInput[],
    options?: CallOptions & { readonly atomic?: boolean },
  ): Promise<(QuotaResult<OutagePolicy> | DuctapeError)[]> {
    const requests = Array.isArray(inputs) ? inputs.map((input) => this.#flow.askedOf(input)) : [];
    try {
      const results = await this.#flow.runAll(inputs, options);
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

  #answered<D extends Decision>(decision: D): D {
    this.#isDown = false;
    return decision;
  }

  /** True for a fault of the store if the caller is known or nothing is admitted. */
  #mayAnswer(asked: A | null, error: unknown): asked is A {
    if (asked === null || !isOutage(error)) return false;
    if (error instanceof DegradedAnswer || !this.#allows) return true;
    return this.#flow.knowsWhoAsks(asked);
  }

  /** The marked answer; throws the error if there must not be one. */
  #degraded(asked: A | null, error: unknown): Degraded {
    if (!isOutage(error) || !this.#mayAnswer(asked, error)) throw error;
    const isAllowed = error instanceof DegradedAnswer ? error.allowed : this.#allows;
    if (!this.#isDown) {
      const outcome = isAllowed ? "allowed, and not counted" : "denied";
      this.#logger.warn(`the store cannot answer: calls are ${outcome}`, error);
    }
    this.#isDown = true;
    const answer: DegradedBase = {
      action: asked.action,
      env: asked.env,
      product_tag: asked.productTag,
      quota_tag: asked.quotaTag,
      subject: typeof asked.subject === "string" ? asked.subject : null,
      exceeded: false,
      code: error.code === "TIMEOUT" ? "TIMEOUT" : "STORE_UNAVAILABLE",
      degraded: true,
      amount: asked.amount,
    };
    if (isAllowed) return { ...answer, allowed: true, success: true, retry_after_ms: 0 };
    return { ...answer, allowed: false, success: false, retry_after_ms: null };
  }
}

function isOutage(error: unknown): error is DuctapeError {
  if (!DuctapeError.is(error)) return false;
  return error.code === "STORE_UNAVAILABLE" || error.code === "TIMEOUT";
}
