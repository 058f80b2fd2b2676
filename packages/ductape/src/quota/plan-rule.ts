import { show, ValidationError } from "../base/errors.js";
import type { CompiledQuota, CompiledRule } from "../define/quota.js";
import type { Request } from "./request.js";

/** The one rule that a request acts on; null: all. Throws `VALIDATION`. */
export function ruleOf(request: Request, quota: CompiledQuota): string | null {
  const { rule, action } = request;
  const mutatesOne = action === "reset" || action === "set" || action === "grant";
  return rule === null && !mutatesOne ? null : spokenTo(request, quota, mutatesOne);
}

function spokenTo(request: Request, quota: CompiledQuota, mutatesOne: boolean): string | null {
  const { rule, action } = request;
  const names = quota.rules.map((each) => each.terms.name);
  const known = `one of ${names.map(show).join(", ")}`;
  if (rule === null && quota.rules.length > 1) {
    const message = `is required for ${action}, because there are several: ${known}, or "*"`;
    throw fieldError("rule", message);
  }
  if (rule !== null && !mutatesOne) {
    throw fieldError("rule", `has no meaning for ${action}, which acts on all rules`);
  }
  const named = rule === "*" ? null : rule;
  if (named !== null && !names.includes(named)) {
    throw fieldError("rule", `expects ${known}, or "*", got ${show(rule)}`);
  }
  const spoken = quota.rules.filter(({ terms }) => named === null || terms.name === named);
  if (action === "grant") refuseRollingGrant(spoken);
  // "*" passes by rules of open holds that stand beside others.
  if (spoken.every(isConcurrent)) throw onlyHolds(request, quota);
  return named;
}

function refuseRollingGrant(rules: readonly CompiledRule[]): void {
  const rolling = rules.find(({ terms }) => terms.rollingMs !== 0);
  if (rolling === undefined) return;
  const name = show(rolling.terms.name);
  throw fieldError("action", `grant needs a calendar window, and rule ${name} is rolling`);
}

const isConcurrent = ({ terms }: CompiledRule): boolean => terms.isConcurrent;

/** Throws `VALIDATION` for counting an amount in a quota that counts open holds only. */
export function refuseUncounted(request: Request, quota: CompiledQuota): void {
  const { action } = request;
  if (action === "increment" || action === "decrement") throw onlyHolds(request, quota);
}

function onlyHolds({ action }: Request, { tag }: CompiledQuota): ValidationError {
  const message = `has no meaning for quota ${show(tag)}, whose rule counts open holds`;
  return fieldError("action", `${action} ${message}: reserve, and commit or release`);
}

function fieldError(path: string, message: string): ValidationError {
  return new ValidationError([{ path, message }]);
}
