import type { CallOptions } from "../base/call.js";
import { DuctapeError } from "../base/errors.js";
import type { FeatureBody } from "../define/feature.js";
import { phasesOf } from "../define/feature-phases.js";
import type { QuotaResult } from "../quota/decision.js";
import type { Decisions } from "./holding.js";
import type { FeatureRequest } from "./request.js";

/**
 * False if a quota that a feature needs has a limit of 0 or is not defined, or if that is so of a
 * feature that it runs. Counts nothing. Throws like `quota.run`.
 */
export async function isEnabled(
  request: FeatureRequest,
  locate: (tag: string) => Promise<FeatureBody>,
  decisions: Decisions<QuotaResult>,
  call: CallOptions,
): Promise<boolean> {
  const quotas = await quotasOf(request.feature_tag, locate);
  const { product_tag, env, session, subject } = request;
  const who = { ...(session && { session }), ...(subject !== null && { subject }) };
  const checks = [...quotas].map((quota_tag) => {
    return { product_tag, env, quota_tag, action: "check", amount: 0, ...who } as const;
  });
  const results = await decisions.runAll(checks, call);
  return results.every((result) => {
    if (!(result instanceof Error)) return limitsOf(result).every((limit) => limit !== 0);
    if (DuctapeError.is(result) && result.code === "QUOTA_NOT_FOUND") return false;
    throw result;
  });
}

/** The quotas that a feature and those it runs cannot do without. */
async function quotasOf(
  tag: string,
  locate: (tag: string) => Promise<FeatureBody>,
): Promise<ReadonlySet<string>> {
  const quotas = new Set<string>();
  const seen = new Set([tag]);
  // Grows while it is walked through.
  for (const each of seen) {
    for (const { uses, features } of phasesOf(await locate(each))) {
      for (const { quota, allow_fail } of uses) if (!allow_fail) quotas.add(quota);
      for (const { event, allow_fail } of features) if (!allow_fail) seen.add(event);
    }
  }
  return quotas;
}

const limitsOf = ({ limit, rules }: QuotaResult): (number | null)[] =>
  rules === undefined ? [limit] : rules.map((rule) => rule.limit);
