import {
  amountText,
  decimalsFor,
  decimalsOf,
  exactUnits,
  unitsOf,
  valueMax,
  valueMaxText,
  type Rounding,
} from "../decide/amount.js";
import { show, ValidationError } from "../base/errors.js";
import type { CompiledQuota } from "../define/quota.js";

// The path that every call takes is kept apart from the rare one, so that it is small enough to be
// inlined.

/** An amount in units of the quota. Throws `VALIDATION` if it has more digits than that. */
export function scaledAmount(amount: number, quota: CompiledQuota): number {
  return quota.scale === 1 && Number.isSafeInteger(amount)
    ? amount
    : scaledUp(amount, quota, "amount");
}

/** The least amount to admit, in units of the quota; null: none is given. Throws `VALIDATION`. */
export function scaledLeast(atLeast: number | null, quota: CompiledQuota): number | null {
  return atLeast === null ? null : scaledUp(atLeast, quota, "at_least");
}

function scaledUp(amount: number, quota: CompiledQuota, path: string): number {
  const exact = exactUnits(amount, quota.scale);
  if (exact !== null) return exact;
  const units = unitsOf(amount, quota.decimals, quota.rounding);
  if (units === null) {
    throw new ValidationError([{ path, message: explainAmount(amount, quota) }]);
  }
  return units;
}

/** Why a quota refuses an amount, and the two ways to have it counted. */
function explainAmount(amount: number, { tag, decimals, scale, rules }: CompiledQuota): string {
  if (amount > valueMax(decimals)) {
    const most = valueMaxText(decimals);
    const counts = decimals === 0 ? "integers" : `${decimals} decimals`;
    return `expects at most ${most}, as quota ${show(tag)} counts ${counts}, got ${amount}`;
  }
  const taken = (rounding: Rounding) =>
    amountText((unitsOf(amount, decimals, rounding) ?? 0) / scale);
  const enough = decimalsOf(amount, decimals + 1, decimalsFor(limitMax(rules) / scale));
  const finer = enough === null ? "" : `, or make a new quota with ${enough} decimals`;
  const digits = decimals === 0 ? "an integer" : `at most ${decimals} decimals`;
  return (
    `expects ${digits} for quota ${show(tag)}, got ${amount}; set its rounding to "nearest" ` +
    `to count ${taken("nearest")}, or to "up" to count ${taken("up")}${finer}`
  );
}

/** The largest limit of any rule and plan. */
function limitMax(rules: CompiledQuota["rules"]): number {
  let most = 0;
  for (const { terms, limit, limits } of rules) {
    const each = [limit, terms.defaultLimit, ...(limits?.values.values() ?? [])];
    for (const one of each) most = Math.max(most, one ?? 0);
  }
  return most;
}
