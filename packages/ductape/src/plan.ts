import { FOREVER_MS, type Period, type Span } from "./period.js";
import type { CompiledQuota, CompiledRule } from "./definition.js";
import { DuctapeError, show, ValidationError } from "./errors.js";
import { MUTATES_ONE_RULE, type Action, type Request, type SubjectInput } from "./request.js";
import { checkText, pathText } from "./text.js";

/** What never changes about a rule while its definition stands: the part of a leg made once. */
export interface LegRule {
  /** The key of the rule's counters: product, environment, quota, rule and the rule's identity. */
  readonly space: string;
  readonly name: string;
  /** Counts the forms of the rule's window, from 1. */
  readonly shape: number;
  /** Length of a rolling window in milliseconds; 0: a calendar window. */
  readonly rollingMs: number;
  /** The window never ends. */
  readonly lifetime: boolean;
  /** Admits past the limit. */
  readonly soft: boolean;
  /** Fractions of the limit to report, ascending. */
  readonly alerts: readonly number[];
  readonly period: Period;
}

/** One rule of one request: which counter, in which window, under which limit. */
export interface Leg {
  readonly rule: LegRule;
  /** Whose counter; "" for the one of the whole product. */
  readonly subject: string;
  readonly window: Span;
  /** Scaled by the quota's decimals; null: none. */
  readonly limit: number | null;
}

/** One request as the engine decides it: admitted by all legs, or nothing is written. */
export interface Step {
  readonly action: Action;
  /** Scaled by the quota's decimals. */
  readonly amount: number;
  /** The one rule that the action speaks to; null: all. */
  readonly rule: string | null;
  readonly legs: readonly Leg[];
  readonly answerKey: string | null;
  readonly fingerprint: string;
  readonly facts: string;
}

/** What is decided as one: all steps or none. */
export interface Plan {
  readonly steps: readonly Step[];
  /** The instant the windows were chosen for. */
  readonly nowMs: number;
}

/**
 * Turns a request into a step at `nowMs`. Pure; windows are cached in the compiled rule until they
 * end. Throws `VALIDATION` and `SUBJECT_REQUIRED`.
 */
export function planStep(request: Request, quota: CompiledQuota, nowMs: number): Step {
  const amount = scaledAmount(request, quota);
  const legs = quota.rules.map((each) => planLeg(each, request.subject, quota, nowMs));
  const rule = ruleOf(request, quota);
  if (request.idempotencyKey === null) {
    return {
      action: request.action,
      amount,
      rule,
      legs,
      answerKey: null,
      fingerprint: "",
      facts: "",
    };
  }
  return {
    action: request.action,
    amount,
    rule,
    legs,
    answerKey: `${quota.answerSpace}${request.idempotencyKey}`,
    fingerprint: JSON.stringify([request.action, amount, rule, canonical(request.subject)]),
    facts: JSON.stringify(factsOf(legs)),
  };
}

/** The part of a leg that tells a decision; stored with an idempotency key, so a replay needs no definition. */
export interface LegFacts {
  readonly name: string;
  readonly subject: string;
  readonly limit: number | null;
  readonly period: Period;
  readonly soft: boolean;
  readonly alerts: readonly number[];
}

/** The facts of each leg, in order. */
export function factsOf(legs: readonly Leg[]): LegFacts[] {
  return legs.map(({ rule, subject, limit }) => ({
    name: rule.name,
    subject,
    limit,
    period: rule.period,
    soft: rule.soft,
    alerts: rule.alerts,
  }));
}

function planLeg(
  rule: CompiledRule,
  subject: SubjectInput | null,
  quota: CompiledQuota,
  nowMs: number,
): Leg {
  return {
    rule: rule.leg,
    subject: rule.scope === null ? "" : subjectOf(rule.scope, subject, quota),
    window: rule.leg.rollingMs === 0 ? windowOf(rule, nowMs) : NO_WINDOW,
    limit: rule.limit === undefined ? limitFor(rule, subject) : rule.limit,
  };
}

const NO_WINDOW = { startMs: 0, endMs: FOREVER_MS };

function windowOf(rule: CompiledRule, nowMs: number): Span {
  const { cached } = rule;
  if (nowMs >= cached.startMs && nowMs < cached.endMs) return cached;
  rule.cached = rule.windowAt(nowMs);
  return rule.cached;
}

function scaledAmount(request: Request, quota: CompiledQuota): number {
  const { amount } = request;
  if (quota.scale === 1 && Number.isSafeInteger(amount)) return amount;
  const scaled = Math.round(amount * quota.scale);
  if (!Number.isSafeInteger(scaled)) {
    throw fieldError(
      "amount",
      `wants at most ${Number.MAX_SAFE_INTEGER / quota.scale}, got ${amount}`,
    );
  }
  if (scaled / quota.scale === amount) return scaled;
  const digits = quota.decimals === 0 ? "an integer" : `at most ${quota.decimals} decimals`;
  throw fieldError("amount", `wants ${digits} for quota ${show(quota.tag)}, got ${amount}`);
}

/** The subject a selector picks: the string given for the only one, or the value at its path. */
function subjectOf(
  path: readonly string[],
  subject: SubjectInput | null,
  quota: CompiledQuota,
): string {
  if (typeof subject === "string") {
    if (quota.scopes.length === 1) return subject;
    const wanted = quota.scopes.map(pathText).join(", ");
    throw fieldError(
      "subject",
      `wants an object with ${wanted}, as quota ${show(quota.tag)} counts by several; got a string`,
    );
  }
  const value = subject === null ? undefined : valueAt(subject, path);
  if (value === undefined) throw subjectRequired(path, quota);
  const text = typeof value === "number" && Number.isSafeInteger(value) ? String(value) : value;
  if (typeof text !== "string") {
    throw fieldError(
      `subject.${path.join(".")}`,
      `wants a string or an integer, got ${show(value)}`,
    );
  }
  const wrong = checkText(text);
  if (wrong !== null) throw fieldError(`subject.${path.join(".")}`, wrong);
  return text;
}

function subjectRequired(path: readonly string[], quota: CompiledQuota): DuctapeError {
  return new DuctapeError(
    "SUBJECT_REQUIRED",
    `subject: quota ${show(quota.tag)} counts by ${pathText(path)}: give it as a string ` +
      `or as an object with ${path.join(".")}`,
    { issues: [{ path: `subject.${path.join(".")}`, message: "is missing" }] },
  );
}

/** Own members only, so that `__proto__` and inherited names select nothing. */
function valueAt(subject: object, path: readonly string[]): unknown {
  let value: unknown = subject;
  for (const name of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, name))
      return undefined;
    value = Reflect.get(value, name);
  }
  return value;
}

function limitFor(rule: CompiledRule, subject: SubjectInput | null): number | null {
  const { limits } = rule;
  if (limits === null) return null;
  const value =
    subject === null || typeof subject === "string" ? undefined : valueAt(subject, limits.path);
  const known = value === undefined ? undefined : limits.values.get(String(value));
  return known === undefined ? limits.otherwise : known;
}

function ruleOf(request: Request, quota: CompiledQuota): string | null {
  const { rule, action } = request;
  if (rule === null && quota.rules.length === 1) {
    if (action === "grant") refuseRollingGrant(quota, null);
    return null;
  }
  const names = quota.rules.map((each) => each.leg.name);
  const known = `one of ${names.map(show).join(", ")}`;
  if (rule === null) {
    if (!MUTATES_ONE_RULE.has(action)) return null;
    throw fieldError("rule", `is required for ${action}, as there are several: ${known}, or "*"`);
  }
  if (!MUTATES_ONE_RULE.has(action)) {
    throw fieldError("rule", `has no meaning for ${action}, which speaks to all rules`);
  }
  const named = rule === "*" ? null : rule;
  if (named !== null && !names.includes(named)) {
    throw fieldError("rule", `wants ${known}, or "*", got ${show(rule)}`);
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

function canonical(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  return Object.entries(value)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]) => [name, canonical(member)]);
}
