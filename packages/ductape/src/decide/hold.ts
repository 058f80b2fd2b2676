import type { KeptAnswer } from "./answer.js";
import type { Span } from "./period.js";

/** What a hold sets aside on one counter. */
export interface HoldPart {
  /** The window that admitted it; of a rolling rule, from then until it leaves. */
  readonly window: Span;
  /** The version of the rule's window at that time. */
  readonly windowVersion: number;
  /** Until when its counter counts it, epoch milliseconds. */
  readonly endMs: number;
  /** The edition of its counter's holds. */
  readonly edition: number;
}

/** `open`: it may be settled. An expired hold stays open: its work may still be committed. */
export type HoldStatus = "open" | "committed" | "released";

/**
 * An amount set aside on the counters of a quota, until it is settled or expires. Shared, and never
 * changed: a change makes another. Integers, scaled by the quota's decimals.
 */
export interface Hold {
  /** Names its counters: equal texts for the same counters in the same order. */
  readonly owners: string;
  /** When it was reserved, epoch milliseconds. */
  readonly openedMs: number;
  readonly expiresMs: number;
  readonly status: HoldStatus;
  /** What it still sets aside, or did when it was settled. */
  readonly held: number;
  /** What was committed. */
  readonly charged: number;
  /** What was committed when it was settled; 0 before. */
  readonly settled: number;
  /** When it was settled, epoch milliseconds; 0 before. */
  readonly settledMs: number;
  /** For each of its counters, in order. */
  readonly parts: readonly HoldPart[];
  /** The answer to its `reserve`. */
  readonly reserved: KeptAnswer;
  /** The answer to what settled it; null before. */
  readonly settlement: KeptAnswer | null;
}

/** The longest time that a hold may be reserved for, in milliseconds: 24 h. */
export const HOLD_TTL_MS_MAX = 86_400_000;
/** How long a hold is remembered after it was settled or has expired, in milliseconds: 24 h. */
const REMEMBERED_MS = 86_400_000;

/** Until when a hold is remembered, epoch milliseconds. */
export function rememberedMs({
  settledMs,
  expiresMs,
}: Pick<Hold, "settledMs" | "expiresMs">): number {
  return (settledMs === 0 ? expiresMs : settledMs) + REMEMBERED_MS;
}
