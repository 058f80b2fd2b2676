import type { Cell } from "./cell.js";
import type { Period, Span } from "./period.js";

/** What never changes about a rule while its definition stands: the part of a leg made once. */
export interface LegRule {
  /** The key of the rule's counters: product, environment, quota, rule and the rule's identity. */
  readonly space: string;
  /** The start of `space` that names what an engine of several machines keeps on one of them. */
  readonly home: string;
  readonly name: string;
  /** Counts the forms of the rule's window, from 1. */
  readonly shape: number;
  /** When that form came to be, epoch milliseconds; 0: with the rule. */
  readonly shapedMs: number;
  /** Length of a rolling window in milliseconds; 0: a calendar window. */
  readonly rollingMs: number;
  /** Admits past the limit. */
  readonly soft: boolean;
  /** Its limit is picked by a value of the subject. */
  readonly isByPlan: boolean;
  /** The limit of a subject without a plan, or with one that is not listed; null: none. */
  readonly defaultLimit: number | null;
  /** Fractions of the limit to report, ascending. */
  readonly alerts: readonly number[];
  readonly period: Period;
  /** Its counters keep what was used in the window before: calendar windows of a day or longer. */
  readonly remembersLast: boolean;
  /** Its counters are the ledger of another rule: each keeps one window, and refuses nothing. */
  readonly isLedger: boolean;
}

/**
 * One rule of one request: which counter, in which window, under which limit. `apply` fills in the
 * rest: the numbers after the step, or as they stand where it was not done. Integers, scaled by the
 * quota's decimals. A list by `next`, as most steps have one leg and need no array.
 */
export interface Leg {
  readonly rule: LegRule;
  /** Whose counter; "" for the one of the whole product. */
  readonly subject: string;
  /** The window that holds at the plan's instant. */
  readonly planned: Span;
  /** Null: none. */
  readonly limit: number | null;
  next: Leg | null;
  /**
   * The counter as the engine has it, once decided with what the step wrote; undefined where
   * nothing was ever counted. To read, and not to keep: later steps change it in place.
   */
  cell: Cell | undefined;
  /** The window it was decided in. */
  window: Span;
  used: number;
  granted: number;
  previousUsed: number;
  admits: boolean;
  /** The amount would pass the limit, whether or not the rule refuses it. */
  inTheWay: boolean;
  /**
   * Null on a calendar counter. When its oldest amount leaves, and when the amount would fit (null
   * where waiting cannot help), epoch milliseconds.
   */
  rolling: { readonly leavesMs: number; readonly fitsMs: number | null } | null;
  /** Alerts reported by this step: those above `alertedFrom` up to `alerted`. */
  alertedFrom: number;
  alerted: number;
}

/** A leg that nothing is filled in of. */
export function newLeg(rule: LegRule, subject: string, planned: Span, limit: number | null): Leg {
  return {
    rule,
    subject,
    planned,
    limit,
    next: null,
    cell: undefined,
    window: planned,
    used: 0,
    granted: 0,
    previousUsed: 0,
    admits: false,
    inTheWay: false,
    rolling: null,
    alertedFrom: 0,
    alerted: 0,
  };
}

/** The next leg that a decision tells of; those of ledgers stand behind all of them. */
export function nextTold({ next }: Leg): Leg | null {
  return next === null || next.rule.isLedger ? null : next;
}
