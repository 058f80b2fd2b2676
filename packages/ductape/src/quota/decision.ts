import type { OutagePolicy } from "../base/settings.js";
import { valueMaxText } from "../decide/amount.js";
import type { CompiledQuota } from "../define/quota.js";
import { rememberingInPlaces, type Places } from "../base/memo.js";
import { ConflictError, show, ValidationError } from "../base/errors.js";
import { FOREVER_MS, type Period, type Span } from "../decide/period.js";
import { limitWith } from "../decide/counter.js";
import type { CheckOutcome, StepOutcome } from "../decide/outcome.js";
import type { Step } from "../decide/plan.js";
import type { Identity } from "../define/subject.js";
import type { Action } from "../decide/action.js";
import type { Request } from "./request.js";

/** The window of a rule, ISO 8601 in UTC; `end` is null for a lifetime. */
export interface ResultWindow {
  start: string;
  end: string | null;
}

/** The numbers of one rule, in the units of the quota. */
export interface RuleResult {
  /** The rule's name. */
  rule: string;
  /** Whose counter it is; null: the whole product's. */
  subject: string | null;
  /** Includes the grants of this window; null: counts only. */
  limit: number | null;
  used: number;
  /** Reserved, not yet used. */
  held: number;
  /** `limit - used`, never below 0; null if unlimited. */
  remaining: number | null;
  /** By how much `used` exceeds the limit. */
  overage: number;
  /** Null: the rule counts open holds. */
  period: Period | null;
  window: ResultWindow;
  /** When the window ends or, if rolling, its oldest amount leaves; null for a lifetime. */
  resets_at: string | null;
  /** False if the rule denied the amount. */
  admits: boolean;
  /** Milliseconds until the amount may fit: 0 if this rule admits, null if waiting cannot help. */
  retry_after_ms: number | null;
  /** For `decrement`: what was taken, less than `amount` if less was used. */
  applied?: number;
}

/** An alert that only this decision in the window reports. */
export interface Alert {
  rule: string;
  /** The fraction of the limit that was reached. */
  fraction: number;
}

/** The fields of every answer of a store; the numbers belong to the binding rule. */
export interface ResultBase extends Omit<RuleResult, "admits" | "retry_after_ms"> {
  action: Action;
  env: string;
  product_tag: string;
  quota_tag: string;
  amount: number;
  /** What amounts count, unless that is requests. */
  unit?: string;
  /** True if a limit denied the amount or is passed. */
  exceeded: boolean;
  source: "store" | "cache";
  /** The age of the numbers in milliseconds; 0 from the store. */
  age_ms: number;
  /** True if this repeats the first answer to the same idempotency key. */
  replayed: boolean;
  degraded: false;
  /** The user of the session, if the numbers belong to another subject. */
  asked_by?: string;
  /** For `reset` and `set`: what was counted before. */
  previous_used?: number;
  alerts?: Alert[];
  /** All rules, if there are several. */
  rules?: RuleResult[];
}

/** The request was counted or, for `check`, would be. */
export interface Admitted extends ResultBase {
  allowed: true;
  success: true;
  code: "OK";
  retry_after_ms: 0;
}

/**
 * The request was denied and cost nothing. `NOT_APPLIED`: another input of the same atomic call
 * was denied.
 */
export interface Denied extends ResultBase {
  allowed: false;
  success: false;
  code: "QUOTA_EXCEEDED" | "NOT_APPLIED";
  /** Milliseconds until it may be admitted; null if waiting cannot help. */
  retry_after_ms: number | null;
}

/** The fields of both answers without the store: no numbers, because nothing was counted. */
export interface DegradedBase {
  action: Action;
  env: string;
  product_tag: string;
  quota_tag: string;
  subject: string | null;
  exceeded: false;
  /** The fault of the store. */
  code: "STORE_UNAVAILABLE" | "TIMEOUT";
  degraded: true;
  amount: number;
}

/** Admitted without the store, under `onStoreError: "allow"`: nothing was counted. */
export interface DegradedAdmitted extends DegradedBase {
  allowed: true;
  success: true;
  retry_after_ms: 0;
}

/** Denied without the store, under `onStoreError: "deny"`. */
export interface DegradedDenied extends DegradedBase {
  allowed: false;
  success: false;
  /** It is not known when the store will answer again. */
  retry_after_ms: null;
}

/** An answer without the store, under `onStoreError: "allow" | "deny"`: nothing was counted. */
export type Degraded = DegradedAdmitted | DegradedDenied;

/** The answer of an engine; narrow it by `allowed`, or by `code`. */
export type Decision = Admitted | Denied;

/** The answers without the store that each `onStoreError` adds. */
interface DegradedBy {
  throw: never;
  allow: Degraded;
  deny: Degraded;
}

/**
 * The answer of `quota.run` by a client with that `onStoreError`. By default faults of the store
 * throw, so it is a {@link Decision}. Any other policy adds {@link Degraded}: check `degraded`
 * first.
 */
export type QuotaResult<Policy extends OutagePolicy = "throw"> = Decision | DegradedBy[Policy];

/** The answer of `quota.enforce`, which throws where `run` denies. */
export type EnforcedResult<Policy extends OutagePolicy = "throw"> = Extract<
  QuotaResult<Policy>,
  { allowed: true }
>;

/**
 * The outcome of a step in the caller's units and names. Pure. Throws `IDEMPOTENCY_CONFLICT`, and
 * `VALIDATION` for a count past 2^53-1.
 */
export function decisionOf(
  request: Request,
  identity: Identity | null,
  quota: CompiledQuota,
  step: Step,
  outcome: StepOutcome,
): Decision {
  const { checks, status } = outcome;
  const binding = checks.length === 1 ? checks[0] : bindingCheck(step, outcome);
  const decision =
    status === "done"
      ? report(request, identity, step, outcome, binding, quota.scale, ADMITTED)
      : refusal(request, identity, step, outcome, binding, quota);
  if (quota.unit !== undefined) decision.unit = quota.unit;
  return decision;
}

function refusal(
  request: Request,
  identity: Identity | null,
  step: Step,
  outcome: StepOutcome,
  binding: CheckOutcome,
  { scale, decimals }: CompiledQuota,
): Decision {
  const { status } = outcome;
  if (status === "conflict") throw idempotencyConflict(request);
  if (status === "overflow") throw overflow(request, decimals);
  const withheld = status === "withheld";
  return report(request, identity, step, outcome, binding, scale, {
    allowed: false as const,
    success: false as const,
    code: withheld ? ("NOT_APPLIED" as const) : ("QUOTA_EXCEEDED" as const),
    retry_after_ms: withheld ? 0 : waitMs(step, outcome, binding),
  });
}

type Answer = Pick<Admitted | Denied, "allowed" | "success" | "code" | "retry_after_ms">;

const ADMITTED = { allowed: true, success: true, code: "OK", retry_after_ms: 0 } as const;

/** One literal for every answer: spreading or merging two would cost more than the decision. */
function report<A extends Answer>(
  request: Request,
  identity: Identity | null,
  step: Step,
  outcome: StepOutcome,
  binding: CheckOutcome,
  scale: number,
  answer: A,
) {
  const { used, check } = binding;
  const { rule, subject } = check;
  const { checks, ageMs } = outcome;
  const limit = limitOf(binding);
  const window = windowText(binding.window);
  const result: ResultBase & Pick<A, keyof Answer> = {
    action: request.action,
    env: request.env,
    product_tag: request.productTag,
    quota_tag: request.quotaTag,
    subject: subject === "" ? null : subject,
    allowed: answer.allowed,
    success: answer.success,
    exceeded: answer.code === "QUOTA_EXCEEDED" || isAnyPassed(checks),
    code: answer.code,
    rule: rule.name,
    amount: unscaled(step.amount, scale),
    limit: limit === null ? null : unscaled(limit, scale),
    used: unscaled(used, scale),
    held: 0,
    remaining: limit === null ? null : limit > used ? unscaled(limit - used, scale) : 0,
    overage: limit !== null && used > limit ? unscaled(used - limit, scale) : 0,
    period: rule.period,
    window: { start: window.start, end: window.end },
    resets_at: binding.rolling === null ? window.end : isoOf(binding.rolling.leavesMs),
    retry_after_ms: answer.retry_after_ms,
    source: ageMs === null ? "store" : "cache",
    age_ms: ageMs ?? 0,
    replayed: outcome.isReplayed,
    degraded: false,
  };
  if (identity !== null && identity.identifier !== subject) result.asked_by = identity.identifier;
  if (request.action === "reset" || request.action === "set") {
    result.previous_used = unscaled(binding.previousUsed, scale);
  }
  if (request.action === "decrement") result.applied = appliedOf(outcome, binding, scale);
  if (checks.length > 1) result.rules = ruleResults(step, outcome, scale);
  if (answer.allowed) for (const each of checks) addAlerts(result, each);
  return result;
}

const limitOf = ({ check, granted }: CheckOutcome): number | null =>
  limitWith(check.limit, granted);

/** What was taken from one counter; 0 if another input of the call was denied. */
const appliedOf = (
  { status }: StepOutcome,
  { previousUsed, used }: CheckOutcome,
  scale: number,
): number => (status === "done" ? unscaled(previousUsed - used, scale) : 0);

/** Converts amounts back to the caller's units; without a division for integers. */
const unscaled = (amount: number, scale: number): number => (scale === 1 ? amount : amount / scale);

/**
 * The check whose numbers are reported: of those that denied, the one with the longest wait, so
 * that waiting for it helps; else the one with the smallest fraction left. Of equals, the first.
 */
function bindingCheck(step: Step, outcome: StepOutcome): CheckOutcome {
  let tightest = outcome.checks[0];
  let leastLeft = Infinity;
  let refusing: CheckOutcome | null = null;
  let longestMs = -1;
  for (const each of outcome.checks) {
    if (step.rule !== null && step.rule !== each.check.rule.name) continue;
    const left = fractionLeft(each.used, limitOf(each));
    const wait = each.admits ? -1 : (waitMs(step, outcome, each) ?? Infinity);
    if (left < leastLeft) [tightest, leastLeft] = [each, left];
    if (wait > longestMs) [refusing, longestMs] = [each, wait];
  }
  return refusing ?? tightest;
}

function fractionLeft(used: number, limit: number | null): number {
  if (limit === null) return Number.MAX_VALUE;
  return limit === 0 ? -used : (limit - used) / limit;
}

function isAnyPassed(checks: readonly CheckOutcome[]): boolean {
  for (const each of checks) if (isPassed(each)) return true;
  return false;
}

function isPassed(outcome: CheckOutcome): boolean {
  const limit = limitOf(outcome);
  return outcome.inTheWay || (limit !== null && outcome.used > limit);
}

/** How long until a check that denied admits the amount; null if waiting cannot help. */
function waitMs(
  { amount }: Step,
  { nowMs }: StepOutcome,
  { rolling, window, check }: CheckOutcome,
): number | null {
  if (rolling !== null) return rolling.fitsMs === null ? null : rolling.fitsMs - nowMs;
  const { endMs } = window;
  return endMs === FOREVER_MS || amount > (check.limit ?? 0) ? null : Math.max(0, endMs - nowMs);
}

function ruleResults(step: Step, outcome: StepOutcome, scale: number): RuleResult[] {
  return outcome.checks.map((each) => {
    const { check, used, admits, rolling } = each;
    const window = windowText(each.window);
    const limit = limitOf(each);
    const result: RuleResult = {
      rule: check.rule.name,
      subject: check.subject || null,
      limit: limit === null ? null : limit / scale,
      used: used / scale,
      held: 0,
      remaining: limit === null ? null : Math.max(0, limit - used) / scale,
      overage: limit === null ? 0 : Math.max(0, used - limit) / scale,
      period: check.rule.period,
      window: { ...window },
      resets_at: rolling === null ? window.end : isoOf(rolling.leavesMs),
      admits,
      retry_after_ms: admits ? 0 : waitMs(step, outcome, each),
    };
    if (step.action === "decrement") result.applied = appliedOf(outcome, each, scale);
    return result;
  });
}

function addAlerts(result: ResultBase, { check, alerted, alertedFrom }: CheckOutcome): void {
  if (alerted === alertedFrom) return;
  const { name, alerts } = check.rule;
  const reached = alerts.filter((fraction) => fraction > alertedFrom && fraction <= alerted);
  const reports = reached.map((fraction) => ({ rule: name, fraction }));
  if (reports.length > 0) result.alerts = [...(result.alerts ?? []), ...reports];
}

/** Formatting a date costs more than a decision, and windows stay the same for many calls. */
const TEXTS_MAX = 256;
const PLACES: Places<Span> = {
  place: ({ startMs, endMs }) => ((startMs / 1_000) ^ (endMs / 60_000)) & (TEXTS_MAX - 1),
  isSame: (a, b) => a.startMs === b.startMs && a.endMs === b.endMs,
};

/** The bounds of a window as in results. The object is shared: copy it. */
export const windowText: (window: Span) => ResultWindow = rememberingInPlaces(
  PLACES,
  ({ startMs, endMs }) => ({
    start: isoOf(startMs),
    end: endMs === FOREVER_MS ? null : isoOf(endMs),
  }),
);

/** An instant, ISO 8601 in UTC. */
export const isoOf = (atMs: number): string => new Date(atMs).toISOString();

function idempotencyConflict(request: Request): ConflictError {
  return new ConflictError(
    "IDEMPOTENCY_CONFLICT",
    `idempotency_key: ${show(request.idempotency?.key)} was used with another input, and its ` +
      "answer is still kept; give each request a key of its own",
  );
}

function overflow(request: Request, decimals: number): ValidationError {
  const what = request.action === "grant" ? "limit" : "counter";
  const most = valueMaxText(decimals);
  const message = `would take the ${what} past ${most}, got ${request.amount}`;
  return new ValidationError([{ path: "amount", message }]);
}
