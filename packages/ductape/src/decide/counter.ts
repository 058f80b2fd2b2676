import type { Holds } from "./holds.js";
import type { Span } from "./period.js";
import { liveSum } from "./rolling.js";

/** The final use of a counter in the window before its own. Shared, and never changed. */
export interface LastWindow {
  readonly window: Span;
  /** 0: nothing was counted in it, or nothing is known. */
  readonly used: number;
  /** Includes its grants, as far as known when the next window began; null: none. */
  readonly limit: number | null;
}

/** The last window of a counter that remembers one, if nothing was used in it. */
export const NOTHING: LastWindow = { window: { startMs: 0, endMs: 0 }, used: 0, limit: null };

/**
 * One counter: what was used in one window by one subject of one rule. Integers only, 0..2^53-1.
 * `entries` is null on a calendar counter; on a rolling one it holds pairs (instant, amount),
 * oldest first, at most 64 of them.
 */
export interface Counter {
  /** Which version of the rule's window the numbers belong to. */
  windowVersion: number;
  /** Replaced when it rolls over, never changed in place: many counters share one. */
  window: Span;
  used: number;
  granted: number;
  /** The highest alert reported in this window, a fraction of the limit; 0: none. */
  alerted: number;
  entries: number[] | null;
  /** What open holds set aside; null: nothing ever was. */
  holds: Holds | null;
  /** When it was last changed: epoch milliseconds. */
  seenMs: number;
  /**
   * If a value of the subject picks the limit, the last known one, or {@link UNLIMITED}. Null:
   * none is known, so the rule's default applies.
   */
  knownLimit: number | null;
  /** Null: its rule does not remember the window before. */
  last: LastWindow | null;
}

/** The largest amount or count: 2^53-1. */
export const AMOUNT_MAX = Number.MAX_SAFE_INTEGER;

/** No limit, in {@link Counter.knownLimit}: a number, because stores keep numbers. */
export const UNLIMITED = -1;

/** What a counter still counts at `nowMs`: 0 if its window has ended. */
export function usedAt({ entries, used, window }: Readonly<Counter>, nowMs: number): number {
  if (entries === null) return nowMs < window.endMs ? used : 0;
  return liveSum(entries, nowMs - (window.endMs - window.startMs));
}

/**
 * The start of a counter's window or, if it is rolling, its newest amount, in epoch milliseconds.
 */
export function latestMs({ entries, window }: Readonly<Counter>): number {
  if (entries === null || entries.length === 0) return window.startMs;
  return entries[entries.length - 2] ?? window.startMs;
}

/**
 * Until when to keep a counter, in epoch milliseconds: if it remembers the window before, until
 * the window after its own has ended, which may be longer by a ninth (31 days after 28).
 */
export function keptUntilMs({ window, last }: Readonly<Pick<Counter, "window" | "last">>): number {
  const { startMs, endMs } = window;
  return last === null ? endMs : endMs + Math.ceil(((endMs - startMs) * 9) / 8);
}

/** A counter at zero. */
export function emptyCounter<W extends Span>(
  windowVersion: number,
  window: W,
): Counter & { window: W } {
  return {
    windowVersion,
    window,
    used: 0,
    granted: 0,
    alerted: 0,
    entries: null,
    holds: null,
    seenMs: 0,
    knownLimit: null,
    last: null,
  };
}

/** The limit of a window including its grants; null: none. */
export function limitWith(limit: number | null, granted: number): number | null {
  if (limit === null || granted === 0) return limit;
  return Math.min(AMOUNT_MAX, limit + granted);
}

/** A copy that changes independently of `counter`. */
export function copyOf(counter: Readonly<Counter>): Counter {
  return { ...counter, entries: counter.entries === null ? null : counter.entries.slice() };
}

/** Copies the counter's current state into `copy`. */
export function copyInto(copy: Counter, counter: Readonly<Counter>): void {
  Object.assign(copy, counter);
  if (counter.entries !== null) copy.entries = counter.entries.slice();
}
