import type { OutagePolicy } from "../base/settings.js";
import { valueMaxText } from "../decide/amount.js";
import type { CompiledQuota } from "../define/quota.js";
import { ValidationError } from "../base/errors.js";
import type { Period } from "../decide/period.js";
import type { CheckOutcome, StepOutcome } from "../decide/outcome.js";
import type { Step } from "../decide/plan.js";
import type { Identity } from "../define/subject.js";
import type { Action } from "../decide/action.js";
import { conflict, reservationOf, type ReservationResult } from "./reservation.js";
import { endOf, isoOf, windowText, type ResultWindow } from "./window-text.js";
import { noHold } from "./settlement.js";
import type { Request } from "./request.js";
import {
  bindingCheck,
  countsHolds,
  isAnyPassed,
  leftOf,
  limitOf,
  overageOf,
  waitMs,
} from "./standing.js";

/** The numbers of one rule, in the units of the quota. */
export interface RuleResult {
  /** The rule's name. */
  rule: string;
  /** Whose counter it is; null: the whole product's. */
  subject: string | null;
  /** Includes the grants of this window; null: counts only. */
  limit: number | null;
  used: number;
  /** Reserved, not yet used; for a concurrency limit, how many holds are open. */
  held: number;
  /** `limit - used - held`, never below 0; null if unlimited. */
  remaining: number | null;
  /** By how much `used` exceeds the limit or, for a concurrency limit, `held`. */
  overage: number;
  /** Null: the rule counts open holds. */
  period: Period | null;
  /** Null for a concurrency limit. */
  window: ResultWindow | null;
  /**
   * When the window ends or, if rolling, its oldest amount leaves; null for a lifetime and for a
   * concurrency limit.
   */
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
  /** What was asked for or, with `at_least`, admitted; what was counted of a hold. */
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
  /** For `reserve`, `commit`, `extend` and `release`. */
  reservation?: ReservationResult;
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
 * The outcome of a step in the caller's units and names. Pure. Throws `IDEMPOTENCY_CONFLICT`,
 * `RESERVATION_NOT_FOUND`, and `VALIDATION` for a count past 2^53-1.
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
  if (status === "conflict") throw conflict(request);
  if (status === "unknown") throw noHold(request, request.holding?.reservation ?? "");
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
  const { used, held, check } = binding;
  const { rule, subject } = check;
  const { checks, ageMs, amount } = outcome;
  const limit = limitOf(binding);
  const units = rule.period === null ? 1 : scale;
  const left = leftOf(binding, limit);
  const window = rule.period === null ? null : windowText(binding.window);
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
    amount: isPartRefund(request, step) ? request.amount : unscaled(amount ?? step.amount, scale),
    limit: limit === null ? null : unscaled(limit, units),
    used: unscaled(used, units),
    held: unscaled(held, units),
    remaining: left === null ? null : unscaled(left, units),
    overage: unscaled(overageOf(binding, limit), units),
    period: rule.period,
    window: window === null ? null : { start: window.start, end: window.end },
    resets_at: binding.rolling === null ? endOf(window) : isoOf(binding.rolling.leavesMs),
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
  if (outcome.hold !== null) {
    result.reservation = reservationOf(request, outcome, outcome.hold, binding, scale);
  }
  if (checks.length > 1) result.rules = ruleResults(step, outcome, scale);
  if (answer.allowed) for (const each of checks) addAlerts(result, each);
  return result;
}

/** What was taken from one counter; 0 if another input of the call was denied. */
const appliedOf = (
  { status }: StepOutcome,
  { previousUsed, used }: CheckOutcome,
  scale: number,
): number => (status === "done" ? unscaled(previousUsed - used, scale) : 0);

/** True if the caller said how much of a charge to take back: more than it counted is not taken. */
const isPartRefund = ({ holding }: Request, { charge }: Step): boolean =>
  charge !== null && holding !== null && !holding.isWhole;

/** Converts amounts back to the caller's units; without a division for integers. */
const unscaled = (amount: number, scale: number): number => (scale === 1 ? amount : amount / scale);

function ruleResults(step: Step, outcome: StepOutcome, scale: number): RuleResult[] {
  return outcome.checks.map((each) => {
    const { check, used, held, admits, rolling } = each;
    const window = countsHolds(each) ? null : windowText(each.window);
    const limit = limitOf(each);
    const units = countsHolds(each) ? 1 : scale;
    const left = leftOf(each, limit);
    const result: RuleResult = {
      rule: check.rule.name,
      subject: check.subject || null,
      limit: limit === null ? null : limit / units,
      used: used / units,
      held: held / units,
      remaining: left === null ? null : left / units,
      overage: overageOf(each, limit) / units,
      period: check.rule.period,
      window: window === null ? null : { ...window },
      resets_at: rolling === null ? endOf(window) : isoOf(rolling.leavesMs),
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

function overflow(request: Request, decimals: number): ValidationError {
  const what = request.action === "grant" ? "limit" : "counter";
  const most = valueMaxText(decimals);
  const message = `would take the ${what} past ${most}, got ${request.amount}`;
  return new ValidationError([{ path: "amount", message }]);
}
