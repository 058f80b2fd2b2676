import { limitOf, type LegOutcome, type Outcome, type StepOutcome } from "./apply.js";
import type { CompiledQuota } from "./definition.js";
import { ConflictError, ValidationError } from "./errors.js";
import { FOREVER_MS, type Period, type Span } from "./period.js";
import { factsOf, type LegFacts, type Step } from "./plan.js";
import type { Action, Request } from "./request.js";

/** The window of a rule, ISO 8601 in UTC; `end` is null for a lifetime. */
export interface ResultWindow {
  start: string;
  end: string | null;
}

/** The numbers of one rule, in the units of the quota. */
export interface RuleResult {
  /** The rule's name. */
  rule: string;
  /** Whose counter; null for the one of the whole product. */
  subject: string | null;
  /** With the grants of this window; null: counts only. */
  limit: number | null;
  used: number;
  /** Reserved, not yet used. */
  held: number;
  /** `limit - used`, never under 0; null when unlimited. */
  remaining: number | null;
  /** How far `used` is past the limit. */
  overage: number;
  period: Period;
  window: ResultWindow;
  /** When the window ends or, rolling, its oldest amount leaves; null for a lifetime. */
  resets_at: string | null;
  /** False for a rule that refused. */
  admits: boolean;
  /** Milliseconds until the amount may fit: 0 when this rule admits, null when waiting cannot help. */
  retry_after_ms: number | null;
}

/** An alert that this decision, and no other in the window, reports. */
export interface Alert {
  rule: string;
  /** Fraction of the limit that was reached. */
  fraction: number;
}

/** What every answer of a store has in common; the numbers are those of the binding rule. */
export interface ResultBase extends Omit<RuleResult, "admits" | "retry_after_ms"> {
  action: Action;
  env: string;
  product_tag: string;
  quota_tag: string;
  amount: number;
  /** The limit was in the way, or is passed. */
  exceeded: boolean;
  source: "store";
  /** How old the numbers are, in milliseconds. */
  age_ms: number;
  /** This is the first answer to the same idempotency key again. */
  replayed: boolean;
  degraded: false;
  /** Of `reset`: what it set to 0. */
  previous_used?: number;
  alerts?: Alert[];
  /** All rules, where there are several. */
  rules?: RuleResult[];
}

/** The request was counted or, for `check`, would be. */
export interface Admitted extends ResultBase {
  allowed: true;
  success: true;
  code: "OK";
  retry_after_ms: 0;
}

/** The request was refused and cost nothing. `NOT_APPLIED`: another input of the same atomic call was refused. */
export interface Denied extends ResultBase {
  allowed: false;
  success: false;
  code: "QUOTA_EXCEEDED" | "NOT_APPLIED";
  /** Milliseconds until it may be admitted; null when waiting cannot help. */
  retry_after_ms: number | null;
}

/** An answer without the store, under `onStoreError: "allow" | "deny"`: nothing was counted. */
export interface Degraded {
  action: Action;
  env: string;
  product_tag: string;
  quota_tag: string;
  subject: string | null;
  allowed: boolean;
  success: boolean;
  exceeded: false;
  /** The fault of the store. */
  code: "STORE_UNAVAILABLE" | "TIMEOUT";
  degraded: true;
  amount: number;
  retry_after_ms: number | null;
}

/** The answer of an engine; narrow it by `allowed`. */
export type Decision = Admitted | Denied;
/** The answer of `quota.run`; narrow it by `degraded`, then by `allowed`. */
export type QuotaResult = Decision | Degraded;

/**
 * Tells a step's outcome in the units and names of the caller. Pure. Throws
 * `IDEMPOTENCY_CONFLICT`, and `VALIDATION` for a count past 2^53-1.
 */
export function decide(
  request: Request,
  quota: CompiledQuota,
  step: Step,
  outcome: StepOutcome,
): Decision {
  if (outcome.status === "conflict") throw idempotencyConflict(request);
  if (outcome.status === "overflow") throw overflow(request);
  const facts = outcome.replay === undefined ? null : readFacts(outcome.replay);
  const told = { request, step, facts, outcome, scale: quota.scale };
  if (outcome.status === "done") return tell(told, ADMITTED);
  return tell(told, denialOf(told));
}

/** What `tell` needs. `facts` is null but for a replay, which needs no definition. */
interface Told {
  readonly request: Request;
  readonly step: Step;
  readonly facts: readonly LegFacts[] | null;
  readonly outcome: StepOutcome;
  readonly scale: number;
}

type Verdict = Pick<Admitted | Denied, "allowed" | "success" | "code" | "retry_after_ms">;

const ADMITTED = { allowed: true, success: true, code: "OK", retry_after_ms: 0 } as const;

function denialOf(told: Told) {
  const withheld = told.outcome.status === "withheld";
  return {
    allowed: false as const,
    success: false as const,
    code: withheld ? ("NOT_APPLIED" as const) : ("QUOTA_EXCEEDED" as const),
    retry_after_ms: withheld ? 0 : waitMs(told, bindingLeg(told)),
  };
}

/** One literal for every answer: spreading or merging two would cost more than the decision. */
function tell<V extends Verdict>(told: Told, verdict: V) {
  const { request, step, facts, outcome, scale } = told;
  const at = bindingLeg(told);
  const seen = outcome.legs[at];
  const leg = facts?.[at] ?? step.legs[at];
  if (seen === undefined || leg === undefined) throw new Error("a step without a rule was decided");
  const limit = limitOf(leg, seen.granted);
  const window = windowText(seen);
  const result: ResultBase & Pick<V, keyof Verdict> = {
    action: request.action,
    env: request.env,
    product_tag: request.productTag,
    quota_tag: request.quotaTag,
    subject: leg.subject === "" ? null : leg.subject,
    allowed: verdict.allowed,
    success: verdict.success,
    exceeded: verdict.code === "QUOTA_EXCEEDED" || isPassed(told),
    code: verdict.code,
    rule: nameOf(told, at),
    amount: unscaled(step.amount, scale),
    limit: limit === null ? null : unscaled(limit, scale),
    used: unscaled(seen.used, scale),
    held: 0,
    remaining: limit === null ? null : limit > seen.used ? unscaled(limit - seen.used, scale) : 0,
    overage: limit !== null && seen.used > limit ? unscaled(seen.used - limit, scale) : 0,
    period: facts === null ? periodOf(step, at) : (facts[at]?.period ?? "lifetime"),
    window: { start: window.start, end: window.end },
    resets_at: resetsText(seen),
    retry_after_ms: verdict.retry_after_ms,
    source: "store",
    age_ms: 0,
    replayed: facts !== null,
    degraded: false,
  };
  if (request.action === "reset") result.previous_used = unscaled(seen.previousUsed, scale);
  if (outcome.legs.length > 1) result.rules = ruleResults(told);
  const alerts = verdict.allowed ? alertsOf(told) : null;
  if (alerts !== null) result.alerts = alerts;
  return result;
}

/** Amounts leave as they came; no division where there is nothing to divide. */
const unscaled = (amount: number, scale: number): number => (scale === 1 ? amount : amount / scale);

/** The outcome of each step, or null where the plan was stale. */
export function stepOutcomes(outcome: Outcome): readonly StepOutcome[] | null {
  return outcome.kind === "stale" ? null : outcome.steps;
}

function nameOf({ facts, step }: Told, at: number): string {
  if (facts !== null) return facts[at]?.name ?? "";
  return step.legs[at]?.rule.name ?? "";
}

const periodOf = (step: Step, at: number): Period => step.legs[at]?.rule.period ?? "lifetime";

/**
 * The rule whose numbers are told: of those that refused the one with the longest wait, so that
 * waiting for it helps; else the one with the smallest fraction left. The first of equals.
 */
function bindingLeg(told: Told): number {
  const { step, facts, outcome } = told;
  if (outcome.legs.length === 1) return 0;
  let tightest = 0;
  let leastLeft = Infinity;
  let refusing = -1;
  let longestMs = -1;
  for (let i = 0; i < outcome.legs.length; i++) {
    const seen = outcome.legs[i];
    const leg = facts?.[i] ?? step.legs[i];
    const spoken = step.rule === null || step.rule === nameOf(told, i);
    if (seen === undefined || leg === undefined || !spoken) continue;
    const left = fractionLeft(seen.used, limitOf(leg, seen.granted));
    const wait = seen.admits ? -1 : (waitMs(told, i) ?? Infinity);
    if (left < leastLeft) [tightest, leastLeft] = [i, left];
    if (wait > longestMs) [refusing, longestMs] = [i, wait];
  }
  return refusing === -1 ? tightest : refusing;
}

function fractionLeft(used: number, limit: number | null): number {
  if (limit === null) return Number.MAX_VALUE;
  return limit === 0 ? -used : (limit - used) / limit;
}

function isPassed({ facts, step, outcome: { legs } }: Told): boolean {
  for (let i = 0; i < legs.length; i++) {
    const seen = legs[i];
    const leg = facts?.[i] ?? step.legs[i];
    if (seen === undefined || leg === undefined) continue;
    const limit = limitOf(leg, seen.granted);
    if (seen.inTheWay || (limit !== null && seen.used > limit)) return true;
  }
  return false;
}

/** How long until a leg that refused admits the amount; null where waiting cannot help. */
function waitMs({ facts, step, outcome }: Told, at: number): number | null {
  const seen = outcome.legs[at];
  const limit = (facts?.[at] ?? step.legs[at])?.limit ?? 0;
  if (seen === undefined) return null;
  if (seen.leavesMs !== null) return seen.fitsMs === null ? null : seen.fitsMs - outcome.nowMs;
  const { endMs } = seen.window;
  return endMs === FOREVER_MS || step.amount > limit ? null : Math.max(0, endMs - outcome.nowMs);
}

function ruleResults(told: Told): RuleResult[] {
  const { facts, step, outcome, scale } = told;
  const legs = facts ?? factsOf(step.legs);
  return outcome.legs.map((seen, i) => {
    const leg = legs[i];
    const limit = leg === undefined ? null : limitOf(leg, seen.granted);
    return {
      rule: leg?.name ?? "",
      subject: leg?.subject || null,
      limit: limit === null ? null : limit / scale,
      used: seen.used / scale,
      held: 0,
      remaining: limit === null ? null : Math.max(0, limit - seen.used) / scale,
      overage: limit === null ? 0 : Math.max(0, seen.used - limit) / scale,
      period: leg?.period ?? "lifetime",
      window: { ...windowText(seen) },
      resets_at: resetsText(seen),
      admits: seen.admits,
      retry_after_ms: seen.admits ? 0 : waitMs(told, i),
    };
  });
}

function alertsOf(told: Told): Alert[] | null {
  const { facts, step, outcome } = told;
  const { legs } = outcome;
  let alerts: Alert[] | null = null;
  for (let i = 0; i < legs.length; i++) {
    const seen = legs[i];
    if (seen === undefined || seen.alerted === seen.alertedFrom) continue;
    const rule = nameOf(told, i);
    const steps = facts?.[i]?.alerts ?? step.legs[i]?.rule.alerts ?? [];
    for (const fraction of steps) {
      if (fraction <= seen.alertedFrom || fraction > seen.alerted) continue;
      alerts ??= [];
      alerts.push({ rule, fraction });
    }
  }
  return alerts;
}

function readFacts(text: string): LegFacts[] {
  const facts: LegFacts[] = JSON.parse(text);
  return facts;
}

// Windows stay the same for many calls, and rendering a date costs more than a decision.
let lastWindow: Span = { startMs: 0, endMs: 0 };
let lastText: ResultWindow = { start: "", end: null };

function windowText({ window }: LegOutcome): ResultWindow {
  if (window === lastWindow) return lastText;
  const end = window.endMs === FOREVER_MS ? null : isoOf(window.endMs);
  lastText = { start: isoOf(window.startMs), end };
  lastWindow = window;
  return lastText;
}

function resetsText(seen: LegOutcome): string | null {
  return seen.leavesMs === null ? windowText(seen).end : isoOf(seen.leavesMs);
}

const isoOf = (atMs: number): string => new Date(atMs).toISOString();

function idempotencyConflict(request: Request): ConflictError {
  return new ConflictError(
    "IDEMPOTENCY_CONFLICT",
    `idempotency_key: ${JSON.stringify(request.idempotencyKey)} was used with another input ` +
      "less than 24 h ago; give each request a key of its own",
  );
}

function overflow(request: Request): ValidationError {
  const message = `would take the counter past ${Number.MAX_SAFE_INTEGER}, got ${request.amount}`;
  return new ValidationError([{ path: "amount", message }]);
}
