import { ledgerCheck } from "../decide/ledger.js";
import type { HoldTerms, RuleCheck, Step } from "../decide/plan.js";
import type { CompiledQuota, CompiledRule } from "../define/quota.js";
import type { Identity } from "../define/subject.js";
import { answerKey, holdTerms } from "./answer-key.js";
import type { HoldFields } from "./hold-fields.js";
import { scaledAmount, scaledLeast } from "./plan-amount.js";
import { checkOf, planChecks } from "./plan-check.js";
import { refuseUncounted, ruleOf } from "./plan-rule.js";
import type { Request } from "./request.js";

/**
 * Turns a request into a step at `nowMs`; `identity` is the owner of its session. A step on a hold
 * is planned for the current windows of the counters of the subject. Throws `VALIDATION` and
 * `SUBJECT_REQUIRED`.
 */
export function planStep(
  request: Request,
  identity: Identity | null,
  quota: CompiledQuota,
  nowMs: number,
): Step {
  const { action, idempotency, holding } = request;
  if (quota.countsHoldsOnly) refuseUncounted(request, quota);
  const amount = scaledAmount(request.amount, quota);
  const subject = identity === null ? request.subject : identity.data;
  const checks = planChecks(subject, quota, nowMs, identity);
  const rule = ruleOf(request, quota);
  const { answerSpace } = quota;
  return {
    action,
    amount,
    atLeast: holding === null ? null : scaledLeast(holding.atLeast, quota),
    allowsExcess: holding !== null && holding.allowsExcess,
    hold: holding === null ? null : holdOf(request, holding, identity, quota, amount, checks),
    charge: null,
    rule,
    checks,
    ledgers: quota.keepsHistory && counts(request) ? ledgersOf(checks, quota) : NO_LEDGERS,
    answerKey:
      idempotency === null
        ? null
        : answerKey(request, idempotency, identity, answerSpace, amount, rule, checks),
    cache: request.cache === null ? null : (quota.caches.get(request.cache)?.body ?? null),
    plannedMs: nowMs,
  };
}

const NO_LEDGERS: readonly RuleCheck[] = [];

function holdOf(
  request: Request,
  holding: HoldFields,
  identity: Identity | null,
  quota: CompiledQuota,
  amount: number,
  checks: Step["checks"],
): HoldTerms | null {
  if (holding.reservation === "") return null;
  return holdTerms(request, holding, identity, quota.answerSpace, amount, checks);
}

/** What is set aside is not used yet, so no history shows it. */
function counts({ action }: Request): boolean {
  switch (action) {
    case "check":
    case "reserve":
    case "extend":
    case "release":
      return false;
    default:
      return true;
  }
}

/** The ledgers' checks, in the order of the rules. */
function ledgersOf(checks: Step["checks"], { rules }: CompiledQuota): RuleCheck[] {
  return checks.flatMap(({ subject, window, limit }, i) => {
    const ledger = rules[i]?.ledger ?? null;
    return ledger === null ? [] : [ledgerCheck(ledger, subject, window, limit)];
  });
}

/** A check of one counter and of the earlier windows that its ledger keeps, the latest first. */
export function planHistory(rule: CompiledRule, subject: string, nowMs: number): Step {
  const { ledger, terms } = rule;
  const step = planNothing("check", rule, subject, terms.defaultLimit, nowMs);
  if (ledger === null) return step;
  const ledgers: RuleCheck[] = [];
  let { startMs } = step.checks[0].window;
  while (ledgers.length < ledger.windows && startMs > 0) {
    const window = rule.windowAt(startMs - 1);
    ledgers.push(ledgerCheck(ledger, subject, window, null));
    ({ startMs } = window);
  }
  return { ...step, ledgers };
}

/**
 * An amount of 0 on one counter at `nowMs`: a `check` reads it, and a `decrement` writes it in the
 * current window version of its rule.
 */
export function planNothing(
  action: "check" | "decrement",
  rule: CompiledRule,
  subject: string,
  limit: number | null,
  nowMs: number,
): Step {
  return {
    action,
    amount: 0,
    atLeast: null,
    allowsExcess: false,
    hold: null,
    charge: null,
    rule: null,
    checks: [checkOf(rule, subject, limit, nowMs)],
    ledgers: NO_LEDGERS,
    answerKey: null,
    cache: null,
    plannedMs: nowMs,
  };
}
