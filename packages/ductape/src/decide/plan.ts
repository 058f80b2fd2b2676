import type { Action } from "./action.js";
import type { NonEmpty } from "./non-empty.js";
import type { Period, Span } from "./period.js";

/** The part of a rule's checks that does not change as long as its definition stays the same. */
export interface RuleTerms {
  /** The key of the rule's counters: product, environment, quota, rule and the rule's identity. */
  readonly space: string;
  /**
   * The start of `space`: an engine of several machines keeps all counters under it on one of them.
   */
  readonly shardKey: string;
  readonly name: string;
  /** Counts the changes of the rule's window (period, zone, anchor, kind), from 1. */
  readonly windowVersion: number;
  /** Since when that version applies, in epoch milliseconds; 0: since the rule exists. */
  readonly versionSinceMs: number;
  /** Length of a rolling window in milliseconds; 0: another window. */
  readonly rollingMs: number;
  /** Counts open holds, each as one, and no amounts. */
  readonly isConcurrent: boolean;
  /** Admits past the limit. */
  readonly isSoft: boolean;
  /** A value of the subject picks its limit. */
  readonly picksLimit: boolean;
  /** The limit of a subject whose value is missing or not listed; null: none. */
  readonly defaultLimit: number | null;
  /** Fractions of the limit to report, ascending. */
  readonly alerts: readonly number[];
  /** Null: it counts open holds. */
  readonly period: Period | null;
  /**
   * Its counters remember what was used in the window before: calendar windows of a day or longer.
   */
  readonly remembersLast: boolean;
}

/**
 * One rule of one request: which counter, in which window, under which limit. Integers, scaled by
 * the quota's decimals.
 */
export interface RuleCheck {
  readonly rule: RuleTerms;
  /** Whose counter; "" for the whole product's. */
  readonly subject: string;
  /** The window at the plan's instant. */
  readonly window: Span;
  /** Null: none. */
  readonly limit: number | null;
}

/** The idempotency key of a step. */
export interface AnswerKey {
  /** The prefix of all keys of its quota and environment. */
  readonly space: string;
  /** The caller's key. */
  readonly name: string;
  /** How long its answer is kept, in milliseconds. */
  readonly ttlMs: number;
  /** Equal only for equal inputs. */
  readonly fingerprint: string;
  /** The caller, the same for the same fingerprint; "" if nobody is named. */
  readonly caller: string;
  /** What a decision reports of the step's rules, kept so that a replay needs no definition. */
  readonly details: string;
}

/** The hold that a step reserves, extends or settles. */
export interface HoldTerms extends AnswerKey {
  /** Names its counters: see `Hold`. */
  readonly owners: string;
  /** What settles a hold, or only books a part of it. */
  readonly isFinal: boolean;
  /** The step gives no amount: it is what the hold sets aside. */
  readonly isWhole: boolean;
  /**
   * When the hold was reserved, if the step was planned from its record: its windows may have
   * ended. 0: planned for the current windows.
   */
  readonly openedMs: number;
}

/** A charge that a `decrement` takes back, from what was kept of it. */
export interface Charge {
  /** When it was counted, epoch milliseconds. */
  readonly atMs: number;
  /** For each check, the window it was counted in, and that window's version. */
  readonly windows: readonly Span[];
  readonly windowVersions: readonly number[];
}

/** The greatest age of an answer from a cache. */
export interface CachePolicy {
  readonly tag: string;
  /** Milliseconds; answers are younger than that. */
  readonly expiry: number;
}

/** One request as a store decides it: every check admits it, or nothing is written. */
export interface Step {
  readonly action: Action;
  /** Scaled by the quota's decimals. */
  readonly amount: number;
  /** Admit less than `amount`, if that is at least this much; null: all or nothing. */
  readonly atLeast: number | null;
  /** Counts past the limit, whatever the rules say: the work is done. */
  readonly allowsExcess: boolean;
  /** For `reserve`, `commit`, `extend` and `release`; else null. */
  readonly hold: HoldTerms | null;
  /** What a `decrement` takes back; null: the newest amounts of the current window. */
  readonly charge: Charge | null;
  /** The one rule that the action acts on; null: all. */
  readonly rule: string | null;
  /** The checks that decide, in the order of the quota's rules. */
  readonly checks: NonEmpty<RuleCheck>;
  /** Counters that keep the windows of a history: they count what is admitted and deny nothing. */
  readonly ledgers: readonly RuleCheck[];
  readonly answerKey: AnswerKey | null;
  /** The cache that may answer; null: none. */
  readonly cache: CachePolicy | null;
  /** The instant that its windows were chosen for, epoch milliseconds. */
  readonly plannedMs: number;
}

/** Steps decided together, each seeing those before it: all are done or none. */
export type Plan = NonEmpty<Step>;

/** Every check of a step: those that decide, then those of ledgers. */
export function allChecks({ checks, ledgers }: Step): readonly RuleCheck[] {
  if (ledgers.length === 0) return checks;
  const all: RuleCheck[] = [];
  for (const check of checks) all.push(check);
  for (const ledger of ledgers) all.push(ledger);
  return all;
}

/** An action that names a rule acts on that one check; the others are only read. */
export function speaksTo(step: Step, check: RuleCheck): boolean {
  return step.rule === null || step.rule === check.rule.name;
}

/** True if the plan cannot write anything: checks without an idempotency key. */
export function onlyReads(plan: Plan): boolean {
  return plan.every(({ action, answerKey }) => action === "check" && answerKey === null);
}
