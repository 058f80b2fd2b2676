import type { RuleCheck, RuleTerms } from "./plan.js";
import { FOREVER_MS, rollingMs, type Span } from "./period.js";

/**
 * Keeps the ended windows of a rule: one counter for each window and subject, changed by the same
 * plans as the rule's own counter. If a clock stepped back over a boundary, an amount is kept in
 * the clock's window.
 */
export interface Ledger {
  readonly rule: RuleTerms;
  /** How many ended windows are kept, from 1. */
  readonly windows: number;
  /** How long a window is kept after its end, in milliseconds. */
  readonly keptMs: number;
}

/** The most ended windows to keep: enough for the days of a year, or the months of thirty years. */
export const HISTORY_MAX = 400;

/**
 * By how many milliseconds windows may outlast the longest stretch of their days: an hour when a
 * clock is set back, and a day when a zone moves across the date line.
 */
const ZONE_MS = 2 * 86_400_000;
/** A limit that no rule has. */
const NO_DEFAULT = -1;

/** The ledger of a calendar rule in a space of its own; null if no windows are kept. */
export function ledgerOf(rule: RuleTerms, windows: number, space: string | null): Ledger | null {
  const { period } = rule;
  if (windows === 0 || space === null || period === null || period === "lifetime") return null;
  return {
    rule: {
      ...rule,
      space,
      windowVersion: 1,
      versionSinceMs: 0,
      isSoft: true,
      // So that each window keeps the limit of its last count. Not every change knows the subject's
      // limit, but every change knows a limit that is the same for all.
      picksLimit: true,
      defaultLimit: rule.picksLimit ? rule.defaultLimit : NO_DEFAULT,
      alerts: [],
      remembersLast: false,
    },
    windows,
    keptMs: windows * rollingMs(period) + ZONE_MS,
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
