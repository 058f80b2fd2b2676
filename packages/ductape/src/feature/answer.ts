import { StoreError, type Issue } from "../base/errors.js";
import type { OutagePolicy } from "../base/settings.js";
import type { QuotaResult } from "../quota/decision.js";

/** Which feature, in which environment of which product. */
export interface FeatureTarget {
  readonly product_tag: string;
  /** Slug of an environment of the product. */
  readonly env: string;
  readonly feature_tag: string;
}

/** The fields of every answer of a feature. */
interface Answer<Policy extends OutagePolicy> {
  readonly product_tag: string;
  readonly env: string;
  readonly feature_tag: string;
  /** The answers of its quotas, in the order of the definition. */
  readonly quotas: readonly QuotaResult<Policy>[];
}

/** A feature whose quotas deny: nothing is held, and no handler ran. */
export interface FeatureDenied<Policy extends OutagePolicy = "throw"> extends Answer<Policy> {
  readonly allowed: false;
  /** The code of the quota that denied. */
  readonly code: "QUOTA_EXCEEDED" | "STORE_UNAVAILABLE" | "TIMEOUT";
  /** Milliseconds until it may be admitted; null if waiting cannot help. */
  readonly retry_after_ms: number | null;
}

/** A feature that ran. */
export interface FeatureDone<Policy extends OutagePolicy = "throw"> extends Answer<Policy> {
  readonly allowed: true;
  readonly code: "OK";
  /** As its definition says; else the result of the handler. */
  readonly output: unknown;
  /** The id that its quotas were reserved under. */
  readonly reservation: string;
  /** What could not be calculated after the work; what was reserved is charged instead. */
  readonly issues?: readonly Issue[];
}

/** The answer of `feature.run`. */
export type FeatureAnswer<Policy extends OutagePolicy = "throw"> =
  | FeatureDone<Policy>
  | FeatureDenied<Policy>;

/** What a feature has reserved, or what became of it. */
export interface FeatureHeld<Policy extends OutagePolicy = "throw"> extends Answer<Policy> {
  readonly allowed: true;
  readonly code: "OK";
  readonly reservation: {
    readonly id: string;
    /** When the first of its holds expires, ISO 8601 in UTC; null if nothing is held. */
    readonly expires_at: string | null;
  };
}

/** What a feature has reserved for work that the caller does. */
export interface FeatureReserved<
  Policy extends OutagePolicy = "throw",
> extends FeatureHeld<Policy> {
  /** With the defaults of the fields that were left out. */
  readonly input: Readonly<Record<string, unknown>>;
  /** How long the holds last without `extend`, in milliseconds. */
  readonly ttl_ms: number;
}

/** What became of a reservation, once its work was charged. */
export interface FeatureCommitted<Policy extends OutagePolicy = "throw">
  extends FeatureHeld<Policy>, Pick<FeatureDone, "output" | "issues"> {}

/** The answer while a reservation holds, or once it is settled. */
export function heldBy<Policy extends OutagePolicy>(
  { product_tag, env, feature_tag }: FeatureTarget,
  { id, results }: { readonly id: string; readonly results: readonly QuotaResult<Policy>[] },
): FeatureHeld<Policy> {
  const ends = results.flatMap((result) => {
    if (result.degraded) return [];
    return result.reservation?.expires_at ?? [];
  });
  const [expires_at = null] = ends.toSorted();
  const place = { product_tag, env, feature_tag };
  return { allowed: true, code: "OK", ...place, reservation: { id, expires_at }, quotas: results };
}

/** The denial of a feature, by the answers of its quotas. */
export function deniedBy<Policy extends OutagePolicy>(
  { product_tag, env, feature_tag }: FeatureTarget,
  quotas: readonly QuotaResult<Policy>[],
): FeatureDenied<Policy> {
  const denials = quotas.filter(({ code }) => code !== "OK" && code !== "NOT_APPLIED");
  const [first] = denials;
  if (first === undefined) throw new Error("no quota denied");
  const waits = denials.map(({ retry_after_ms }) => retry_after_ms);
  const place = { product_tag, env, feature_tag };
  return {
    allowed: false,
    code: codeOf(first),
    ...place,
    retry_after_ms: waits.includes(null) ? null : Math.max(...waits.map(Number)),
    quotas,
  };
}

function codeOf({ code }: { readonly code: string }): FeatureDenied["code"] {
  return code === "STORE_UNAVAILABLE" || code === "TIMEOUT" ? code : "QUOTA_EXCEEDED";
}

/** The work of a feature is done, but its quotas could not be charged. */
export class UncommittedError extends StoreError {
  /** The id that the quotas are reserved under: a later `commit` still charges them. */
  readonly reservation: string;
  /** What the feature would have returned. */
  readonly output: unknown;

  constructor(fault: StoreError, reservation: string, output: unknown) {
    super(fault.code, `the work is done, but its quotas could not be charged: ${fault.message}`, {
      cause: fault,
      retryable: false,
    });
    this.reservation = reservation;
    this.output = output;
  }
}
