import type { Span } from "./period.js";
import type { Leg } from "./leg.js";
import type { AnswerKey } from "./answer.js";
import { liveSum } from "./rolling.js";

/** What a counter used in the window before its own, as it ended. Shared, and never changed. */
export interface LastWindow {
  readonly window: Span;
  /** 0: nothing was counted in it, or nothing is known. */
  readonly used: number;
  /** With its grants, as far as it was known when the next window began; null: none. */
  readonly limit: number | null;
}

/** The last window of a counter that remembers one, where nothing was used in it. */
export const NOTHING: LastWindow = { window: { startMs: 0, endMs: 0 }, used: 0, limit: null };

/**
 * One counter: what was used in one window by one subject of one rule. Integers only, 0..2^53-1.
 * `entries` is null on a calendar counter; on a rolling one it holds pairs (instant, amount),
 * oldest first, at most 64 of them.
 */
export interface Cell {
  /** Which form of the rule's window the numbers belong to; grows with each change of that form. */
  shape: number;
  /** Replaced when it rolls over, never changed in place: many counters share one. */
  window: Span;
  used: number;
  granted: number;
  /** The highest alert reported in this window, a fraction of the limit; 0: none. */
  alerted: number;
  entries: number[] | null;
  /** When it was last changed: epoch milliseconds. */
  seenMs: number;
  /**
   * Where each subject's plan picks the limit, the one that was known last, or {@link UNLIMITED}.
   * Null: none is known, so the rule's default holds.
   */
  plannedLimit: number | null;
  /** Null: its rule remembers no window before. */
  last: LastWindow | null;
}

/** The largest amount or count: 2^53-1. */
export const AMOUNT_MAX = Number.MAX_SAFE_INTEGER;

/** A plan without a limit, in {@link Cell.plannedLimit}: a number, as engines keep it. */
export const UNLIMITED = -1;

/** What a counter still counts at `nowMs`: 0 where its window has ended. */
export function usedAt({ entries, used, window }: Readonly<Cell>, nowMs: number): number {
  if (entries === null) return nowMs < window.endMs ? used : 0;
  return liveSum(entries, nowMs - (window.endMs - window.startMs));
}

/** When what a counter holds begins to count; of a rolling one, its newest amount. Epoch ms. */
export function latestMs({ entries, window }: Readonly<Cell>): number {
  return entries?.at(-2) ?? window.startMs;
}

/**
 * Until when a counter is of use, epoch ms: one that remembers the window before it is kept until
 * the window after its own has ended, which may be longer by a ninth (31 days after 28).
 */
export function keptUntilMs({ window, last }: Readonly<Pick<Cell, "window" | "last">>): number {
  const { startMs, endMs } = window;
  return last === null ? endMs : endMs + Math.ceil(((endMs - startMs) * 9) / 8);
}

/** A last window as a text that {@link readLast} reads; null for none. */
export function lastText(last: LastWindow | null): string | null {
  if (last === null) return null;
  const { window, used, limit } = last;
  return JSON.stringify(used === 0 ? [] : [window.startMs, window.endMs, used, limit]);
}

/** The last window that a text of {@link lastText} tells. */
export function readLast(text: string): LastWindow {
  const numbers: (number | null)[] = JSON.parse(text);
  const [startMs, endMs, used, limit] = numbers;
  if (startMs == null || endMs == null || used == null) return NOTHING;
  return { window: { startMs, endMs }, used, limit: limit ?? null };
}

/** A counter at zero. */
export function emptyCell(shape: number, window: Span): Cell {
  return {
    shape,
    window,
    used: 0,
    granted: 0,
    alerted: 0,
    entries: null,
    seenMs: 0,
    plannedLimit: null,
    last: null,
  };
}

/** A counter that changes apart from `cell`. */
export function copyOf(cell: Readonly<Cell>): Cell {
  const copy = emptyCell(cell.shape, cell.window);
  copyInto(copy, cell);
  return copy;
}

/** Makes `copy` what the counter is now. */
export function copyInto(copy: Cell, cell: Readonly<Cell>): void {
  copy.shape = cell.shape;
  copy.window = cell.window;
  copy.used = cell.used;
  copy.granted = cell.granted;
  copy.alerted = cell.alerted;
  copy.entries = cell.entries === null ? null : cell.entries.slice();
  copy.seenMs = cell.seenMs;
  copy.plannedLimit = cell.plannedLimit;
  copy.last = cell.last;
}

/** What `apply` fills in of a leg. */
export type LegNumbers = Pick<
  Leg,
  | "window"
  | "used"
  | "granted"
  | "previousUsed"
  | "admits"
  | "inTheWay"
  | "rolling"
  | "alertedFrom"
  | "alerted"
>;

/**
 * The counters and answers of one plan. The engine loads them, locks them, and keeps what is put.
 */
export interface Cells {
  /** The counter of a leg, or undefined where nothing was ever counted. */
  get(leg: Leg): Cell | undefined;
  /** A changed or new counter: the leg's own, changed in place, or one that takes its place. */
  put(leg: Leg, cell: Cell): void;
  /** The text of the first answer to a key; it may have expired. */
  getAnswer(key: AnswerKey): string | undefined;
  /** Keeps the text of an answer until it expires, epoch milliseconds. */
  putAnswer(key: AnswerKey, text: string, expiresMs: number): void;
}
