import type { Counter } from "./counter.js";
import type { NonEmpty } from "./non-empty.js";
import type { Period, Span } from "./period.js";
import type { RuleCheck } from "./plan.js";

/**
 * - `done`: admitted and written. `denied`: a limit refused it, nothing is changed.
 * - `withheld`: would be admitted, but another step of the same plan was not.
 * - `overflow`: the count would pass 2^53-1. `conflict`: the key was used with another input, or
 *   the hold is settled. `unknown`: there is no such hold of these counters.
 */
export type StepStatus = "done" | "denied" | "withheld" | "overflow" | "conflict" | "unknown";

/** What a decision reports of a rule besides its numbers. */
export interface ReportedCheck extends Pick<RuleCheck, "subject" | "limit"> {
  readonly rule: {
    readonly name: string;
    /** Null: the rule counts open holds. */
    readonly period: Period | null;
    readonly alerts: readonly number[];
  };
}

/**
 * The outcome of one rule check: the numbers after the step, or unchanged if the step was not
 * done. Integers, scaled by the quota's decimals.
 */
export interface CheckOutcome extends CheckNumbers {
  /** The check; for a replayed answer, the stored part of it. */
  readonly check: ReportedCheck;
  /**
   * The counter in the store, after the step; null if nothing was ever counted, and for a replayed
   * answer. Read it at once: later steps change it in place.
   */
  readonly counter: Readonly<Counter> | null;
}

/** The numbers of a {@link CheckOutcome}. */
export interface CheckNumbers {
  /** The window it was decided in. */
  readonly window: Span;
  readonly used: number;
  /** What open holds set aside. */
  readonly held: number;
  readonly granted: number;
  readonly previousUsed: number;
  readonly admits: boolean;
  /** The amount would pass the limit, whether or not the rule refuses it. */
  readonly inTheWay: boolean;
  /**
   * Null on a calendar counter. When its oldest amount leaves, and when the amount would fit (null
   * if waiting cannot help), in epoch milliseconds.
   */
  readonly rolling: RollingTimes | null;
  /**
   * If the amount is in the way and would fit once enough holds have ended: when, in epoch
   * milliseconds; else 0.
   */
  readonly heldFitsMs: number;
  /** The window that a settled hold was counted in, if it is another one; else null. */
  readonly countedIn: Span | null;
  /** Alerts that the step reports: those above `alertedFrom` up to `alerted`. */
  readonly alertedFrom: number;
  readonly alerted: number;
}

/** When a rolling counter has room again, in epoch milliseconds; null: never. */
export interface RollingTimes {
  readonly leavesMs: number;
  readonly fitsMs: number | null;
}

/** What became of a hold. */
export interface HoldOutcome {
  readonly id: string;
  /** What it sets aside after the step; after a `commit`, what it did before. */
  readonly held: number;
  /** What the step committed. */
  readonly charged: number;
  /** What it committed without its being set aside. */
  readonly excess: number;
  /** It had expired before the step. */
  readonly isExpired: boolean;
  readonly expiresMs: number;
}

/** The outcome of a step. */
export interface StepOutcome {
  readonly status: StepStatus;
  /** When it was decided, in epoch milliseconds; for a replayed answer, the first time. */
  readonly nowMs: number;
  /** True if it repeats the first answer to its idempotency key. */
  readonly isReplayed: boolean;
  /** The age of the oldest copy it was decided on, in milliseconds; null: decided by the store. */
  readonly ageMs: number | null;
  /** What was admitted or, if it was denied, asked for; null: the amount of the step. */
  readonly amount: number | null;
  /** Null for a step without a hold, and for one that was refused. */
  readonly hold: HoldOutcome | null;
  /**
   * The outcomes of the step's checks, in order; for a replayed answer, those of the first time.
   */
  readonly checks: NonEmpty<CheckOutcome>;
  /** The outcomes of the step's ledgers, in order. */
  readonly ledgers: readonly CheckOutcome[];
}

/**
 * The outcome of a plan, step by step. `stale`: its windows or rules are no longer current;
 * nothing was changed, plan again.
 */
export type Outcome = "stale" | NonEmpty<StepOutcome>;
