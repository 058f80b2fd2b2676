import type { Step } from "../decide/step.js";
import { answerKey, type AnswerKey } from "../decide/answer.js";
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
import type { CachePolicy } from "../decide/step.js";
import type { CompiledQuota, CompiledRule } from "../define/quota.js";
import { show, ValidationError } from "../base/errors.js";
import { ledgerLeg } from "../decide/ledger.js";
import { newLeg, type Leg } from "../decide/leg.js";
import { FOREVER_MS, type Span } from "../decide/period.js";
import type { Action } from "../decide/action.js";
import {
  type Identity,
  type SubjectInput,
  pickSubject,
  type SubjectOrigin,
} from "../define/subject.js";
import type { Request } from "./request.js";
import { valueAt } from "../define/selector.js";
import { pathText } from "../base/text.js";

/**
 * Turns a request into a step at `nowMs`. Pure; windows are cached in the compiled rule until they
 * end. Throws `VALIDATION` and `SUBJECT_REQUIRED`.
 */
export function planStep(request: Request, quota: CompiledQuota, nowMs: number): Step {
  const amount = scaledAmount(request, quota);
  const { identity } = request;
  const subject = identity === null ? request.subject : identity.data;
  const legs = planLegs(subject, quota, nowMs, identity);
  if (quota.keepsHistory && request.action !== "check") addLedgers(legs, quota);
  const rule = ruleOf(request, quota);
  const answer =
    request.idempotency === null
      ? null
      : answerKey(request, request.idempotency, quota.answerSpace, amount, rule, legs);
  const cache = request.cache === null ? null : (quota.caches.get(request.cache)?.body ?? null);
  return stepOf(request.action, amount, rule, legs, answer, cache, nowMs);
}

function stepOf(
  action: Action,
  amount: number,
  rule: string | null,
  legs: Leg,
  answer: AnswerKey | null,
  cache: CachePolicy | null,
  nowMs: number,
): Step {
  return {
    action,
    amount,
    rule,
    legs,
    answer,
    cache,
    next: null,
    nowMs,
    status: "done",
    told: legs,
    isReplayed: false,
    ageMs: null,
  };
}

function planLegs(
  subject: SubjectInput | null,
  quota: CompiledQuota,
  nowMs: number,
  identity: Identity | null,
): Leg {
  const first = planLeg(quota.rules[0], subject, quota, nowMs, identity);
  let last = first;
  for (let i = 1; i < quota.rules.length; i++) {
    const rule = quota.rules[i];
    if (rule !== undefined) last = last.next = planLeg(rule, subject, quota, nowMs, identity);
  }
  return first;
}

/** Adds the legs that keep the windows of a plan; its own stand in the order of the rules. */
function addLedgers(first: Leg, { rules }: CompiledQuota): void {
  let last = first;
  while (last.next !== null) last = last.next;
  let leg: Leg | null = first;
  for (const { ledger } of rules) {
    if (leg === null) return;
    const { subject, planned, limit } = leg;
    if (ledger !== null) last = last.next = ledgerLeg(ledger, subject, planned, limit);
    leg = leg.next;
  }
}

/** A look at one counter, and at the windows before that its ledger keeps, the latest first. */
export function planHistory(rule: CompiledRule, subject: string, nowMs: number): Step {
  const { ledger, leg } = rule;
  const step = planNothing("check", rule, subject, leg.defaultLimit, nowMs);
  if (ledger === null) return step;
  let last = step.legs;
  let { startMs } = last.planned;
  for (let windows = ledger.windows; windows > 0 && startMs > 0; windows--) {
    const window = rule.windowAt(startMs - 1);
    last = last.next = ledgerLeg(ledger, subject, window, null);
    ({ startMs } = window);
  }
  return step;
}

/**
 * An amount of 0 on one counter at `nowMs`: a `check` fills in how it stands, and a `decrement`
 * writes that down in the form that its rule has now.
 */
export function planNothing(
  action: "check" | "decrement",
  rule: CompiledRule,
  subject: string,
  limit: number | null,
  nowMs: number,
): Step {
  const legs = legOf(rule, subject, limit, nowMs);
  return stepOf(action, 0, null, legs, null, null, nowMs);
}

function planLeg(
  rule: CompiledRule,
  subject: SubjectInput | null,
  quota: CompiledQuota,
  nowMs: number,
  identity: Identity | null,
): Leg {
  const whose = rule.scope === null ? "" : subjectOf(rule, rule.scope, subject, quota, identity);
  const limit = rule.limit === undefined ? limitFor(rule, subject) : rule.limit;
  return legOf(rule, whose, limit, nowMs);
}

function legOf(rule: CompiledRule, subject: string, limit: number | null, nowMs: number): Leg {
  const window = rule.leg.rollingMs === 0 ? windowOf(rule, nowMs) : NO_WINDOW;
  return newLeg(rule.leg, subject, window, limit);
}

const NO_WINDOW = { startMs: 0, endMs: FOREVER_MS };

/** The window that was made last: rules of one calendar share one object. */
let lastMade: Span = { startMs: 0, endMs: 0 };

function windowOf(rule: CompiledRule, nowMs: number): Span {
  const { cached } = rule;
  return nowMs >= cached.startMs && nowMs < cached.endMs ? cached : newWindow(rule, nowMs);
}

function newWindow(rule: CompiledRule, nowMs: number): Span {
  const made = rule.windowAt(nowMs);
  const isSame = made.startMs === lastMade.startMs && made.endMs === lastMade.endMs;
  if (!isSame) lastMade = made;
  rule.cached = lastMade;
  return lastMade;
}

// What every call passes is kept apart from what few do, so that it is small enough to be inlined.

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

/** Why a quota refuses an amount, and both ways to have it counted. */
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
  for (const { leg, limit, limits } of rules) {
    const each = [limit, leg.defaultLimit, ...(limits?.values.values() ?? [])];
    for (const one of each) most = Math.max(most, one ?? 0);
  }
  return most;
}

/** The subject a selector picks: the string given for the only one, or the value at its path. */
function subjectOf(
  rule: CompiledRule,
  path: readonly string[],
  subject: SubjectInput | null,
  quota: CompiledQuota,
  identity: Identity | null,
): string {
  if (typeof subject === "string" && quota.scopes.length === 1) return subject;
  // Most rules count by whom the session is of: that was picked when its token was verified.
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
  return known === undefined ? rule.leg.defaultLimit : known;
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
  const names = quota.rules.map((each) => each.leg.name);
  const known = `one of ${names.map(show).join(", ")}`;
  if (rule === null) {
    throw fieldError("rule", `is required for ${action}, as there are several: ${known}, or "*"`);
  }
  if (!mutatesOne) {
    throw fieldError("rule", `has no meaning for ${action}, which speaks to all rules`);
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
    ({ leg }) => leg.rollingMs !== 0 && (named === null || leg.name === named),
  );
  if (rolling === undefined) return;
  const name = show(rolling.leg.name);
  throw fieldError("action", `grant needs a calendar window, and rule ${name} is rolling`);
}

function fieldError(path: string, message: string): ValidationError {
  return new ValidationError([{ path, message }]);
}
