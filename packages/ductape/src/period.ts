import { Temporal } from "temporal-polyfill";

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

/** How long a window is: a unit, several of one, or for ever. */
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
  /** An IANA zone: whose midnights, Mondays and firsts are meant. */
  readonly timeZone: string;
  readonly weekStart: Weekday;
  /** From which instant windows are stepped, forwards and backwards; null: the civil calendar. */
  readonly anchorMs: number | null;
}

/** The end of a window that never ends: the last instant a `Date` can hold. */
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

/** Milliseconds of the units that are exact time; the others depend on the calendar. */
const EXACT_MS: Partial<Record<PeriodUnit, number>> = {
  second: 1_000,
  minute: 60_000,
  hour: 3_600_000,
};

/** Days of the longest such stretch of the calendar. */
const LONGEST_DAYS: Partial<Record<PeriodUnit, number>> = {
  day: 1,
  week: 7,
  month: 31,
  quarter: 92,
  year: 366,
};

/**
 * The window of `shape` that holds `nowMs`. Windows tile time: no gap, no overlap, none empty.
 *
 * Days and longer are civil: a boundary is the first instant whose local time is not before it, so
 * a midnight that does not exist is the first instant after the gap, and a doubled one the first of
 * the two. Steps are counted from the anchor itself, so a 31st clamps and comes back. Seconds,
 * minutes and hours are exact time; a single one is aligned to the local clock and cut where its
 * offset changes. Multiples without an anchor count from 1970-01-01, local time.
 */
export function windowAt(shape: CalendarShape, nowMs: number): Span {
  const { period } = shape;
  if (period === "lifetime") return { startMs: 0, endMs: FOREVER_MS };
  const { every, unit } = typeof period === "string" ? { every: 1, unit: period } : period;
  const exactMs = EXACT_MS[unit];
  if (exactMs === undefined) return civilWindow(shape, every, unit, nowMs);
  if (every === 1 && shape.anchorMs === null) return clockWindow(shape.timeZone, exactMs, nowMs);
  const lengthMs = every * exactMs;
  const fromMs = shape.anchorMs ?? instantOf(EPOCH, shape.timeZone);
  const startMs = fromMs + Math.floor((nowMs - fromMs) / lengthMs) * lengthMs;
  return { startMs, endMs: startMs + lengthMs };
}

/**
 * The length of a rolling window in milliseconds: a month counts 31 days, a quarter 92 and a year
 * 366, the longest there are, so that the limit holds over every one of them.
 */
export function rollingMs(period: Period): number {
  if (period === "lifetime") throw new RangeError("a rolling window needs a length");
  const { every, unit } = typeof period === "string" ? { every: 1, unit: period } : period;
  return every * (EXACT_MS[unit] ?? (LONGEST_DAYS[unit] ?? 0) * 86_400_000);
}

/** True for an IANA zone or link that this runtime knows; an offset such as `+02:00` is none. */
export function isTimeZone(name: string): boolean {
  if (!/^[A-Za-z][\w+\-/]*$/.test(name)) return false;
  try {
    return new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone !== "";
  } catch {
    return false;
  }
}

const EPOCH = new Temporal.PlainDateTime(1970, 1, 1);

function clockWindow(timeZone: string, unitMs: number, nowMs: number): Span {
  const offsetMs = timeZone === "UTC" ? 0 : offsetMsAt(timeZone, nowMs);
  const startMs = Math.floor((nowMs + offsetMs) / unitMs) * unitMs - offsetMs;
  const endMs = startMs + unitMs;
  if (timeZone === "UTC") return { startMs, endMs };
  const cutBefore = offsetMsAt(timeZone, startMs) !== offsetMs;
  const cutAfter = offsetMsAt(timeZone, endMs - 1) !== offsetMs;
  return {
    startMs: cutBefore ? transitionMs(timeZone, nowMs + 1, "previous", startMs) : startMs,
    endMs: cutAfter ? transitionMs(timeZone, nowMs, "next", endMs) : endMs,
  };
}

function offsetMsAt(timeZone: string, atMs: number): number {
  return zoned(timeZone, atMs).offsetNanoseconds / 1e6;
}

function zoned(timeZone: string, atMs: number): Temporal.ZonedDateTime {
  return Temporal.Instant.fromEpochMilliseconds(atMs).toZonedDateTimeISO(timeZone);
}

function transitionMs(
  timeZone: string,
  atMs: number,
  direction: "previous" | "next",
  otherwiseMs: number,
): number {
  const found = zoned(timeZone, atMs).getTimeZoneTransition(direction);
  return found === null ? otherwiseMs : Number(found.epochMilliseconds);
}

/** The steps of a civil period: the `index`th boundary from `from`, in local time. */
interface Steps {
  readonly from: Temporal.PlainDateTime;
  readonly days: number;
  readonly months: number;
}

function civilWindow(shape: CalendarShape, every: number, unit: PeriodUnit, nowMs: number): Span {
  const { timeZone } = shape;
  const steps = civilSteps(shape, every, unit);
  const local = zoned(timeZone, nowMs).toPlainDateTime();
  let index = stepsUntil(steps, local);
  while (boundaryMs(steps, index, timeZone) > nowMs) index--;
  while (boundaryMs(steps, index + 1, timeZone) <= nowMs) index++;
  return {
    startMs: boundaryMs(steps, index, timeZone),
    endMs: boundaryMs(steps, index + 1, timeZone),
  };
}

function civilSteps(shape: CalendarShape, every: number, unit: PeriodUnit): Steps {
  const { anchorMs, timeZone, weekStart } = shape;
  const months = unit === "month" ? every : unit === "quarter" ? 3 * every : 12 * every;
  const length =
    unit === "day" || unit === "week"
      ? { days: unit === "week" ? 7 * every : every, months: 0 }
      : { days: 0, months };
  if (anchorMs !== null) return { from: zoned(timeZone, anchorMs).toPlainDateTime(), ...length };
  if (unit !== "week") return { from: EPOCH, ...length };
  const daysBack = (EPOCH.dayOfWeek - 1 - WEEKDAYS.indexOf(weekStart) + 7) % 7;
  return { from: EPOCH.subtract({ days: daysBack }), ...length };
}

/** A guess at the last boundary not after `local`; off by one at the most. */
function stepsUntil({ from, days, months }: Steps, local: Temporal.PlainDateTime): number {
  if (months === 0) return Math.floor(from.until(local, { largestUnit: "day" }).days / days);
  const between = (local.year - from.year) * 12 + local.month - from.month;
  return Math.floor(between / months);
}

function boundaryMs({ from, days, months }: Steps, index: number, timeZone: string): number {
  return instantOf(from.add({ days: index * days, months: index * months }), timeZone);
}

/** The first instant whose local time is not before `local`. */
function instantOf(local: Temporal.PlainDateTime, timeZone: string): number {
  const earlier = local.toZonedDateTime(timeZone, { disambiguation: "earlier" });
  if (earlier.toPlainDateTime().equals(local)) return Number(earlier.epochMilliseconds);
  return transitionMs(timeZone, Number(earlier.epochMilliseconds), "next", 0);
}
