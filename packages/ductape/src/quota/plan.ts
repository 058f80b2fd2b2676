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
import { pathText } from "../base/text.js";
import { ledgerCheck } from "../decide/ledger.js";
import { FOREVER_MS, type Span } from "../decide/period.js";
import type { RuleCheck, Step } from "../decide/plan.js";
import type { CompiledQuota, CompiledRule } from "../define/quota.js";
import { valueAt } from "../define/selector.js";
import {
  pickSubject,
  type Identity,
  type SubjectInput,
  type SubjectOrigin,
} from "../define/subject.js";
import { answerKey } from "./answer-key.js";
import type { Request } from "./request.js";

/**
 * Turns a request into a step at `nowMs`; `identity` is the owner of its session. Windows are
 * cached in the compiled rule until they end. Throws `VALIDATION` and `SUBJECT_REQUIRED`.
 */
export function planStep(
  request: Request,
  identity: Identity | null,
  quota: CompiledQuota,
  nowMs: number,
): Step {
  const { action, idempotency } = request;
  const amount = scaledAmount(request, quota);
  const subject = identity === null ? request.subject : identity.data;
  const checks = planChecks(subject, quota, nowMs, identity);
  const rule = ruleOf(request, quota);
  const { answerSpace } = quota;
  return {
    action,
    amount,
    atLeast: null,
    allowsExcess: false,
    hold: null,
    charge: null,
    rule,
    checks,
    ledgers: quota.keepsHistory && action !== "check" ? ledgersOf(checks, quota) : NO_LEDGERS,
    answerKey:
      idempotency === null
        ? null
        : answerKey(request, idempotency, identity, answerSpace, amount, rule, checks),
    cache: request.cache === null ? null : (quota.caches.get(request.cache)?.body ?? null),
    plannedMs: nowMs,
  };
}

const NO_LEDGERS: readonly RuleCheck[] = [];

function planChecks(
  subject: SubjectInput | null,
  quota: CompiledQuota,
  nowMs: number,
  identity: Identity | null,
): Step["checks"] {
  const { rules } = quota;
  const first = planCheck(rules[0], subject, quota, nowMs, identity);
  if (rules.length === 1) return [first];
  const others = rules.slice(1).map((rule) => planCheck(rule, subject, quota, nowMs, identity));
  return [first, ...others];
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

function planCheck(
  rule: CompiledRule,
  subject: SubjectInput | null,
  quota: CompiledQuota,
  nowMs: number,
  identity: Identity | null,
): RuleCheck {
  const whose = rule.scope === null ? "" : subjectOf(rule, rule.scope, subject, quota, identity);
  const limit = rule.limit === undefined ? limitFor(rule, subject) : rule.limit;
  return checkOf(rule, whose, limit, nowMs);
}

function checkOf(
  rule: CompiledRule,
  subject: string,
  limit: number | null,
  nowMs: number,
): RuleCheck {
  const window = rule.terms.rollingMs === 0 ? windowOf(rule, nowMs) : NO_WINDOW;
  return { rule: rule.terms, subject, window, limit };
}

const NO_WINDOW = { startMs: 0, endMs: FOREVER_MS };

function windowOf(rule: CompiledRule, nowMs: number): Span {
  const { cached } = rule;
  if (nowMs >= cached.startMs && nowMs < cached.endMs) return cached;
  return (rule.cached = rule.windowAt(nowMs));
}

// The path that every call takes is kept apart from the rare one, so that it is small enough to be
// inlined.

function scaledAmount(request: Request, quota: CompiledQuota): number {
  const { amount } = request;
  return quota.scale === 1 && Number.isSafeInteger(amount) ? amount : scaledUp(amount, quota);
}

function scaledUp(amount: number, quota: CompiledQuota): number {
  const exact = exactUnits(amount, quota.scale);
  if (exact !== null) return exact;
  const units = unitsOf(amount, quota.decimals, quota.rounding);
  if (units === null) throw fieldError("amount", explainAmount(amount, quota));
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

/**
 * The subject that a selector picks: a string given for the only selector, or the value at its
 * path.
 */
function subjectOf(
  rule: CompiledRule,
  path: readonly string[],
  subject: SubjectInput | null,
  quota: CompiledQuota,
  identity: Identity | null,
): string {
  if (typeof subject === "string" && quota.scopes.length === 1) return subject;
  // Most rules count by the owner of the session, which was picked when its token was verified.
  if (identity !== null && identity.selector === rule.selector) return identity.identifier;
  const origin = identity === null ? "subject" : "session";
  return selected(path, subject, quota, origin);
}

function selected(
  path: readonly string[],
  subject: SubjectInput | null,
  { tag, scopes }: CompiledQuota,
  origin: SubjectOrigin,
): string {
  const what = `quota ${show(tag)}`;
  if (typeof subject !== "string") return pickSubject(path, subject, what, origin);
  const wanted = scopes.map(pathText).join(", ");
  const message = `expects an object with ${wanted}, as ${what} counts by several; got a string`;
  throw fieldError("subject", message);
}

function limitFor(rule: CompiledRule, subject: SubjectInput | null): number | null {
  const { limits } = rule;
  if (limits === null) return null;
  const value =
    subject === null || typeof subject === "string" ? undefined : valueAt(subject, limits.path);
  const known = value === undefined ? undefined : limits.values.get(String(value));
  return known === undefined ? rule.terms.defaultLimit : known;
}

function ruleOf(request: Request, quota: CompiledQuota): string | null {
  const { rule, action } = request;
  const mutatesOne = action === "reset" || action === "set" || action === "grant";
  return rule === null && !mutatesOne ? null : spokenTo(request, quota, mutatesOne);
}

function spokenTo(request: Request, quota: CompiledQuota, mutatesOne: boolean): string | null {
  const { rule, action } = request;
  if (rule === null && quota.rules.length === 1) {
    if (action === "grant") refuseRollingGrant(quota, null);
    return null;
  }
  const names = quota.rules.map((each) => each.terms.name);
  const known = `one of ${names.map(show).join(", ")}`;
  if (rule === null) {
    throw fieldError(
      "rule",
      `is required for ${action}, because there are several: ${known}, or "*"`,
    );
  }
  if (!mutatesOne) {
    throw fieldError("rule", `has no meaning for ${action}, which acts on all rules`);
  }
  const named = rule === "*" ? null : rule;
  if (named !== null && !names.includes(named)) {
    throw fieldError("rule", `expects ${known}, or "*", got ${show(rule)}`);
  }
  if (action === "grant") refuseRollingGrant(quota, named);
  return named;
}

function refuseRollingGrant(quota: CompiledQuota, named: string | null): void {
  const rolling = quota.rules.find(
    ({ terms }) => terms.rollingMs !== 0 && (named === null || terms.name === named),
  );
  if (rolling === undefined) return;
  const name = show(rolling.terms.name);
  throw fieldError("action", `grant needs a calendar window, and rule ${name} is rolling`);
}

function fieldError(path: string, message: string): ValidationError {
  return new ValidationError([{ path, message }]);
}
