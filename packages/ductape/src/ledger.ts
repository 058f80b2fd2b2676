import { newLeg, type Leg, type LegRule } from "./leg.js";
import { FOREVER_MS, rollingMs, type Span } from "./period.js";

/**
 * What keeps the windows of a rule once they have ended: one counter for each window and subject,
 * which the plans that change the rule's own counter change with it. Where a clock stepped back
 * over a boundary, an amount is kept in the window that the clock says.
 */
export interface Ledger {
  readonly rule: LegRule;
  /** How many ended windows are kept, from 1. */
  readonly windows: number;
  /** No window of the rule is longer, in milliseconds. */
  readonly windowMs: number;
}

/** Most ended windows that are kept: the days of a year, and the months of thirty. */
export const HISTORY_MAX = 400;

/** The ledger of a calendar rule in a space of its own; null where no window is to be kept. */
export function ledgerOf(rule: LegRule, windows: number, space: string): Ledger | null {
  if (windows === 0 || rule.period === "lifetime") return null;
  return {
    rule: {
      ...rule,
      space,
      shape: 1,
      shapedMs: 0,
      soft: true,
      // So that each window keeps the limit that it was last counted under.
      isByPlan: true,
      alerts: [],
      isLedger: true,
    },
    windows,
    windowMs: rollingMs(rule.period),
  };
}

/**
 * The leg that keeps one window of a subject. The window's bounds are in the counter's name, so
 * that windows of another form have counters of their own.
 */
export function ledgerLeg(
  { rule, windows, windowMs }: Ledger,
  subject: string,
  { startMs, endMs }: Span,
  limit: number | null,
): Leg {
  const keptMs = Math.min(FOREVER_MS, endMs + windows * windowMs);
  return newLeg(rule, `${startMs}-${endMs}/${subject}`, { startMs, endMs: keptMs }, limit);
}
