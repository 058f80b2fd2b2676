import type { RuleCheck, RuleTerms } from "./plan.js";
import { FOREVER_MS, rollingMs, type Span } from "./period.js";

/**
 * What keeps the windows of a rule once they have ended: one counter for each window and subject,
 * which the plans that change the rule's own counter change with it. Where a clock stepped back
 * over a boundary, an amount is kept in the window that the clock says.
 */
export interface Ledger {
  readonly rule: RuleTerms;
  /** How many ended windows are kept, from 1. */
  readonly windows: number;
  /** How long a window is kept after its end, in milliseconds. */
  readonly keptMs: number;
}

/** Most ended windows that are kept: the days of a year, and the months of thirty. */
export const HISTORY_MAX = 400;

/**
 * By how much more windows may last than the longest of their days: an hour where a clock is set
 * back, and a day where a zone comes to the other side of the date line. Milliseconds.
 */
const ZONE_MS = 2 * 86_400_000;
/** A limit that no rule has. */
const NO_DEFAULT = -1;

/** The ledger of a calendar rule in a space of its own; null where no window is to be kept. */
export function ledgerOf(rule: RuleTerms, windows: number, space: string | null): Ledger | null {
  if (windows === 0 || space === null || rule.period === "lifetime") return null;
  return {
    rule: {
      ...rule,
      space,
      windowVersion: 1,
      versionSinceMs: 0,
      isSoft: true,
      // So that each window keeps the limit that it was last counted under; who changes a counter
      // may not know the subject's limit, but any limit that is the same for all.
      picksLimit: true,
      defaultLimit: rule.picksLimit ? rule.defaultLimit : NO_DEFAULT,
      alerts: [],
      remembersLast: false,
    },
    windows,
    keptMs: windows * rollingMs(rule.period) + ZONE_MS,
  };
}

/**
 * The check that keeps one window of a subject. The window's bounds are in the counter's name, so
 * that windows of another version have counters of their own.
 */
export function ledgerCheck(
  { rule, keptMs }: Ledger,
  subject: string,
  { startMs, endMs }: Span,
  limit: number | null,
): RuleCheck {
  const window = { startMs, endMs: Math.min(FOREVER_MS, endMs + keptMs) };
  return { rule, subject: `${startMs}-${endMs}/${subject}`, window, limit };
}
