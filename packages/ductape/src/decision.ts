import { limitOf, type LegOutcome, type Outcome, type StepOutcome } from "./apply.js";
import type { CompiledQuota } from "./definition.js";
import { ConflictError, ValidationError } from "./errors.js";
import type { Period } from "./period.js";
import { FOREVER_MS } from "./period.js";
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
  const { legs } = outcome;
  const at = bindingLeg(step, facts, legs);
  const seen = legs[at];
  const leg = facts?.[at] ?? step.legs[at];
  if (seen === undefined || leg === undefined) throw new Error("a step without a rule was decided");
  const { scale } = quota;
  const limit = limitOf(leg, seen.granted);
  const done = outcome.status === "done";
  const result: ResultBase = {
    action: request.action,
    env: request.env,
    product_tag: request.productTag,
    quota_tag: request.quotaTag,
    subject: leg.subject === "" ? null : leg.subject,
    exceeded: done ? isPassed(step, facts, legs) : true,
    rule: facts === null ? nameOf(step, at) : (facts[at]?.name ?? ""),
    amount: step.amount / scale,
    limit: limit === null ? null : limit / scale,
    used: seen.used / scale,
    held: 0,
    remaining: limit === null ? null : limit > seen.used ? (limit - seen.used) / scale : 0,
    overage: limit !== null && seen.used > limit ? (seen.used - limit) / scale : 0,
    period: facts === null ? periodOf(step, at) : (facts[at]?.period ?? "lifetime"),
    window: {
      start: isoOf(seen.startMs),
      end: seen.endMs === FOREVER_MS ? null : isoOf(seen.endMs),
    },
    resets_at: seen.resetsMs === null ? null : isoOf(seen.resetsMs),
    source: "store",
    age_ms: 0,
    replayed: facts !== null,
    degraded: false,
  };
  if (request.action === "reset") result.previous_used = seen.previousUsed / scale;
  if (legs.length > 1) result.rules = ruleResults(facts ?? factsOf(step.legs), outcome, scale);
  const alerts = alertsOf(step, facts, legs);
  if (alerts !== null && done) result.alerts = alerts;
  return answer(result, outcome, seen);
}

function answer(result: ResultBase, outcome: StepOutcome, seen: LegOutcome): Decision {
  if (outcome.status === "done") {
    return Object.assign(result, {
      allowed: true as const,
      success: true as const,
      code: "OK" as const,
      retry_after_ms: 0 as const,
    });
  }
  const withheld = outcome.status === "withheld";
  return Object.assign(result, {
    allowed: false as const,
    success: false as const,
    code: withheld ? ("NOT_APPLIED" as const) : ("QUOTA_EXCEEDED" as const),
    retry_after_ms: withheld ? 0 : waitMs(seen, outcome.nowMs),
  });
}

/** The outcome of each step, or null where the plan was stale. */
export function stepOutcomes(outcome: Outcome): readonly StepOutcome[] | null {
  return outcome.kind === "stale" ? null : outcome.steps;
}

const nameOf = (step: Step, at: number): string => step.legs[at]?.rule.name ?? "";
const periodOf = (step: Step, at: number): Period => step.legs[at]?.rule.period ?? "lifetime";

/**
 * The rule whose numbers are told: of those that refused the one with the longest wait, so that
 * waiting for it helps; else the one with the smallest fraction left. The first of equals.
 */
function bindingLeg(
  step: Step,
  facts: readonly LegFacts[] | null,
  legs: readonly LegOutcome[],
): number {
  if (legs.length === 1) return 0;
  let best = 0;
  let bestRank = Infinity;
  legs.forEach((seen, i) => {
    const leg = facts?.[i] ?? step.legs[i];
    const spoken = step.rule === null || step.rule === (facts?.[i]?.name ?? nameOf(step, i));
    const rank = leg === undefined || !spoken ? Infinity : rankOf(seen, limitOf(leg, seen.granted));
    if (rank < bestRank) [best, bestRank] = [i, rank];
  });
  return best;
}

/** Refusals rank below everything else, the longest wait first. */
function rankOf(seen: LegOutcome, limit: number | null): number {
  if (!seen.admits) return seen.retryMs === null ? -Infinity : -1e18 - seen.retryMs;
  if (limit === null) return Number.MAX_VALUE;
  return limit === 0 ? -seen.used : (limit - seen.used) / limit;
}

function isPassed(
  step: Step,
  facts: readonly LegFacts[] | null,
  legs: readonly LegOutcome[],
): boolean {
  for (let i = 0; i < legs.length; i++) {
    const seen = legs[i];
    const leg = facts?.[i] ?? step.legs[i];
    if (seen === undefined || leg === undefined) continue;
    const limit = limitOf(leg, seen.granted);
    if (seen.inTheWay || (limit !== null && seen.used > limit)) return true;
  }
  return false;
}

function waitMs(seen: LegOutcome, nowMs: number): number | null {
  return seen.retryMs === null ? null : Math.max(0, seen.retryMs - nowMs);
}

function ruleResults(
  facts: readonly LegFacts[],
  outcome: StepOutcome,
  scale: number,
): RuleResult[] {
  return outcome.legs.map((seen, i) => {
    const leg = facts[i];
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
      window: {
        start: isoOf(seen.startMs),
        end: seen.endMs === FOREVER_MS ? null : isoOf(seen.endMs),
      },
      resets_at: seen.resetsMs === null ? null : isoOf(seen.resetsMs),
      admits: seen.admits,
      retry_after_ms: seen.admits ? 0 : waitMs(seen, outcome.nowMs),
    };
  });
}

function alertsOf(
  step: Step,
  facts: readonly LegFacts[] | null,
  legs: readonly LegOutcome[],
): Alert[] | null {
  let alerts: Alert[] | null = null;
  for (let i = 0; i < legs.length; i++) {
    const seen = legs[i];
    if (seen === undefined || seen.alertedPpm === seen.alertedFromPpm) continue;
    const rule = facts?.[i]?.name ?? nameOf(step, i);
    const steps = facts?.[i]?.alertsPpm ?? step.legs[i]?.rule.alertsPpm ?? [];
    for (const ppm of steps) {
      if (ppm <= seen.alertedFromPpm || ppm > seen.alertedPpm) continue;
      alerts ??= [];
      alerts.push({ rule, fraction: ppm / 1_000_000 });
    }
  }
  return alerts;
}

function readFacts(text: string): LegFacts[] {
  const facts: LegFacts[] = JSON.parse(text);
  return facts;
}

// Windows stay the same for many calls, and rendering a date costs more than a decision.
const ISO_CACHE_MAX = 64;
const isoCache = new Map<number, string>();

function isoOf(atMs: number): string {
  const cached = isoCache.get(atMs);
  if (cached !== undefined) return cached;
  const text = new Date(atMs).toISOString();
  if (isoCache.size >= ISO_CACHE_MAX) isoCache.clear();
  isoCache.set(atMs, text);
  return text;
}

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
