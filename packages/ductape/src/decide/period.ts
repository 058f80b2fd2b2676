import { remembering } from "../base/memo.js";

/** A unit of the calendar. */
export type PeriodUnit =
  | "second"
  | "minute"
  | "hour"
  | "day"
  | "week"
  | "month"
  | "quarter"
  | "year";

/**
 * The length of a window: a unit, a multiple of one (`every`, an integer, 1..10000), or for ever.
 */
export type Period =
  | PeriodUnit
  | "lifetime"
  | { readonly every: number; readonly unit: PeriodUnit };

/** The first day of a week. */
export type Weekday =
  | "monday"
  | "tuesday"
  | "wednesday"
  | "thursday"
  | "friday"
  | "saturday"
  | "sunday";

/** A stretch of time `[startMs, endMs)`, epoch milliseconds. */
export interface Span {
  readonly startMs: number;
  readonly endMs: number;
}

/** What decides a rule's calendar windows. */
export interface CalendarShape {
  readonly period: Period;
  /** The IANA zone whose midnights, Mondays and month starts apply. */
  readonly timeZone: string;
  readonly weekStart: Weekday;
  /**
   * Epoch milliseconds from which windows are counted in both directions; null: the civil calendar.
   */
  readonly anchorMs: number | null;
}

/** The end of a window that never ends: the last instant a `Date` can hold, epoch milliseconds. */
export const FOREVER_MS = 8_640_000_000_000_000;

/** Every unit, shortest first. */
export const PERIOD_UNITS: readonly PeriodUnit[] = [
  "second",
  "minute",
  "hour",
  "day",
  "week",
  "month",
  "quarter",
  "year",
];

/** Every weekday, as ISO 8601 numbers them from 1. */
export const WEEKDAYS: readonly [Weekday, ...Weekday[]] = [
  "monday",
  "tuesday",
  "wednesday",
  "thursday",
  "friday",
  "saturday",
  "sunday",
];

const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** Milliseconds of the units that are exact time; the others depend on the calendar. */
const EXACT_MS: Partial<Record<PeriodUnit, number>> = {
  second: 1_000,
  minute: 60_000,
  hour: HOUR_MS,
};

/** Days in the longest such stretch of the calendar. */
const LONGEST_DAYS: Partial<Record<PeriodUnit, number>> = {
  day: 1,
  week: 7,
  month: 31,
  quarter: 92,
  year: 366,
};

/** Leaves room in a `Date` for the window around it; far beyond the years 0001 to 9999. */
const NOW_MS_MAX = FOREVER_MS / 2;

/**
 * The window of `shape` that holds `nowMs`, an integer of epoch milliseconds, also negative.
 * Windows tile time: no gap, no overlap, none empty. A lifetime is `[0, FOREVER_MS)`.
 *
 * Days and longer are civil: a boundary is the first instant whose local time is not before it, so
 * a midnight that does not exist is the first instant after the gap, and a doubled one the first
 * of the two; a day that a zone skipped has no window. Steps are counted from the anchor itself,
 * so a 31st clamps and comes back. Multiples without an anchor count from 1970-01-01, local time,
 * weeks from the `weekStart` on or before it.
 *
 * Seconds, minutes and hours with an anchor, or in multiples that do not divide the day, are
 * elapsed time. All others start again at each local midnight. Up to an hour they are elapsed time
 * too, cut where the offset changes, so no window is longer than its period and an hour that comes
 * twice is two; longer ones follow the local clock like days, so six hours may be five or seven.
 *
 * Throws `RangeError` for a zone that {@link isTimeZone} refuses and a `nowMs` beyond reason.
 */
export function windowAt(shape: CalendarShape, nowMs: number): Span {
  if (!(Math.abs(nowMs) <= NOW_MS_MAX)) {
    throw new RangeError(`a window needs an instant in epoch milliseconds, got ${nowMs}`);
  }
  const { period, anchorMs } = shape;
  if (period === "lifetime") return { startMs: 0, endMs: FOREVER_MS };
  const { every, unit } = stepOf(period);
  const offsetAt = offsetsOf(shape.timeZone);
  const exactMs = EXACT_MS[unit];
  if (exactMs === undefined) return civilWindow(civilSteps(shape, every, unit), offsetAt, nowMs);
  const lengthMs = every * exactMs;
  if (anchorMs === null && DAY_MS % lengthMs === 0) {
    if (lengthMs <= HOUR_MS) return clockWindow(lengthMs, offsetAt, nowMs);
    return civilWindow({ fromLocalMs: 0, stepMs: lengthMs, months: 0 }, offsetAt, nowMs);
  }
  const fromMs = anchorMs ?? firstInstant(0, offsetAt);
  const startMs = fromMs + Math.floor((nowMs - fromMs) / lengthMs) * lengthMs;
  return { startMs, endMs: startMs + lengthMs };
}

/**
 * The length of a rolling window in milliseconds: a month counts 31 days, a quarter 92 and a year
 * 366, the longest there are, so that the limit holds over every one of them. A lifetime has no
 * length: `RangeError`.
 */
export function rollingMs(period: Period): number {
  if (period === "lifetime") throw new RangeError("a rolling window needs a length");
  const { every, unit } = stepOf(period);
  return every * (EXACT_MS[unit] ?? (LONGEST_DAYS[unit] ?? 0) * DAY_MS);
}

/**
 * True for an IANA zone or link that this runtime knows, in upper or lower case. An offset such as
 * `+02:00` is not a zone, nor is an abbreviation that IANA does not list: runtimes take `BST` for
 * Bangladesh.
 */
export function isTimeZone(name: string): boolean {
  if (!/^[A-Za-z][\w+\-/]*$/.test(name) || /^systemv\//i.test(name)) return false;
  if (name.length === 3 && !SHORT_ZONES.has(name.toUpperCase())) return false;
  try {
    return new Intl.DateTimeFormat("en-US", { timeZone: name }).resolvedOptions().timeZone !== "";
  } catch {
    return false;
  }
}

/** All names of three letters in IANA's `backward` and `etcetera` files. */
const SHORT_ZONES: ReadonlySet<string> = new Set(
  "CET EET EST GMT HST MET MST PRC ROC ROK UCT UTC WET".split(" "),
);

function stepOf(period: Exclude<Period, "lifetime">): { every: number; unit: PeriodUnit } {
  return typeof period === "string" ? { every: 1, unit: period } : period;
}

/** How far a zone's wall clock is ahead of UTC at an instant, both in milliseconds. */
type OffsetAt = (atMs: number) => number;

/** Zone names come from definitions, in any spelling, so the cache is bounded. */
const OFFSETS_MAX = 1_024;
const offsetsOf = remembering(OFFSETS_MAX, (timeZone): OffsetAt => {
  // Intl also accepts offsets, and abbreviations that IANA does not list.
  if (!isTimeZone(timeZone)) throw new RangeError(`expected an IANA time zone, got "${timeZone}"`);
  const format = new Intl.DateTimeFormat("en-US", { timeZone, timeZoneName: "longOffset" });
  const isUtc = format.resolvedOptions().timeZone === "UTC";
  return isUtc ? () => 0 : (atMs) => parseOffset(format.format(atMs));
});

/** Reads the end of a text such as `12/8/1874, GMT+12:33:04`; zero is just `GMT`. */
function parseOffset(text: string): number {
  const at = text.lastIndexOf("GMT") + 3;
  if (at === text.length) return 0;
  const hours = Number(text.slice(at + 1, at + 3));
  const minutes = Number(text.slice(at + 4, at + 6));
  const seconds = Number(text.slice(at + 7, at + 9));
  const offsetMs = ((hours * 60 + minutes) * 60 + seconds) * 1_000;
  if (text[at] === "+") return offsetMs;
  if (text[at] === "-") return -offsetMs;
  throw new RangeError(`expected an offset at the end of "${text}"`);
}

/**
 * A part of the local day, at most an hour long. It is cut where the offset changes: Lord Howe
 * shifts by half an hour, and an hour that comes twice is two windows.
 */
function clockWindow(lengthMs: number, offsetAt: OffsetAt, nowMs: number): Span {
  const offsetMs = offsetAt(nowMs);
  const startMs = Math.floor((nowMs + offsetMs) / lengthMs) * lengthMs - offsetMs;
  const lastMs = startMs + lengthMs - 1;
  return {
    startMs: offsetAt(startMs) === offsetMs ? startMs : changeIn(startMs, nowMs, offsetAt),
    endMs: offsetAt(lastMs) === offsetMs ? lastMs + 1 : changeIn(nowMs, lastMs, offsetAt),
  };
}

/** Civil steps from a local date-time, written as if it were UTC. One of the lengths is 0. */
interface Steps {
  readonly fromLocalMs: number;
  readonly stepMs: number;
  readonly months: number;
}

function civilSteps(shape: CalendarShape, every: number, unit: PeriodUnit): Steps {
  const { anchorMs, timeZone, weekStart } = shape;
  const days = unit === "day" ? every : unit === "week" ? 7 * every : 0;
  const stepMs = days * DAY_MS;
  const months =
    days > 0 ? 0 : unit === "month" ? every : unit === "quarter" ? 3 * every : 12 * every;
  if (anchorMs !== null) {
    return { fromLocalMs: anchorMs + offsetsOf(timeZone)(anchorMs), stepMs, months };
  }
  if (unit !== "week") return { fromLocalMs: 0, stepMs, months };
  const daysBack = (WEEKDAYS.indexOf("thursday") - WEEKDAYS.indexOf(weekStart) + 7) % 7;
  return { fromLocalMs: -daysBack * DAY_MS, stepMs, months };
}

function civilWindow(steps: Steps, offsetAt: OffsetAt, nowMs: number): Span {
  let index = stepsUntil(steps, nowMs + offsetAt(nowMs));
  let startMs = firstInstant(localAfter(steps, index), offsetAt);
  let endMs = firstInstant(localAfter(steps, index + 1), offsetAt);
  // A clock set back over a boundary reads a time before it again, and a stretch that a zone skips
  // is an empty step.
  while (endMs <= nowMs) {
    startMs = endMs;
    index++;
    endMs = firstInstant(localAfter(steps, index + 1), offsetAt);
  }
  return { startMs, endMs };
}

/** The number of whole steps from `from` to `localMs`; negative before it. */
function stepsUntil(steps: Steps, localMs: number): number {
  const { fromLocalMs, stepMs, months } = steps;
  if (months === 0) return Math.floor((localMs - fromLocalMs) / stepMs);
  const index = Math.floor((monthOf(localMs) - monthOf(fromLocalMs)) / months);
  return localAfter(steps, index) > localMs ? index - 1 : index;
}

function monthOf(localMs: number): number {
  const date = new Date(localMs);
  return date.getUTCFullYear() * 12 + date.getUTCMonth();
}

/** The local time `index` steps from the first; a day that its month does not have is its last. */
function localAfter({ fromLocalMs, stepMs, months }: Steps, index: number): number {
  if (months === 0) return fromLocalMs + index * stepMs;
  const date = new Date(fromLocalMs);
  const day = date.getUTCDate();
  date.setUTCMonth(date.getUTCMonth() + index * months, 1);
  const timeMs = date.getTime();
  date.setUTCMonth(date.getUTCMonth() + 1, 0);
  return timeMs + (Math.min(day, date.getUTCDate()) - 1) * DAY_MS;
}

/**
 * Further from UTC than any zone ever was (Manila had -15:56 until 1844). In IANA's data no two
 * changes of an offset are closer than 95 hours, so twice this stretch contains at most one.
 */
const REACH_MS = 16 * 3_600_000;

/** The first instant whose local time is not before `localMs`. */
function firstInstant(localMs: number, offsetAt: OffsetAt): number {
  const fromMs = localMs - REACH_MS;
  const toMs = localMs + REACH_MS;
  const beforeMs = localMs - offsetAt(fromMs);
  const afterMs = localMs - offsetAt(toMs);
  if (beforeMs === afterMs) return beforeMs;
  const changeMs = changeIn(fromMs, toMs, offsetAt);
  return beforeMs < changeMs ? beforeMs : Math.max(changeMs, afterMs);
}

/** The instant of the one change of offset after `fromMs`, up to `toMs`. */
function changeIn(fromMs: number, toMs: number, offsetAt: OffsetAt): number {
  const offsetMs = offsetAt(fromMs);
  let lastMs = fromMs;
  let changeMs = toMs;
  while (changeMs - lastMs > 1) {
    const middleMs = Math.floor((lastMs + changeMs) / 2);
    if (offsetAt(middleMs) === offsetMs) lastMs = middleMs;
    else changeMs = middleMs;
  }
  return changeMs;
}
