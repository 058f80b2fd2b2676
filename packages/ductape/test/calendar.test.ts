import { readFileSync } from "node:fs";
import { Temporal } from "temporal-polyfill";
import { describe, expect, it } from "vitest";
import {
  FOREVER_MS,
  PERIOD_UNITS,
  WEEKDAYS,
  isTimeZone,
  rollingMs,
  windowAt,
  type CalendarShape,
  type Period,
  type Span,
  type Weekday,
} from "../src/decide/period.js";
import { randomOf, seedOf } from "./support.js";

const DAY_MS = 86_400_000;
const ZONES = Intl.supportedValuesOf("timeZone");
/** `SEED=` repeats a run, `FULL=1` begins in 1900 and samples more. */
const SEED = seedOf();
const FULL = process.env["FULL"] === "1";
const FROM_MS = Date.UTC(FULL ? 1900 : 2020, 0, 1);
const TO_MS = Date.UTC(2038, 0, 1);

/**
 * What `vectors/generate.py` wrote. A row: zone, shape, now, seconds since the start, seconds to
 * the end, offsets at start, now and end, and for some an anchor and its offset.
 */
interface VectorFile {
  readonly zones: readonly string[];
  readonly shapes: readonly {
    readonly period: Exclude<Period, string>;
    readonly weekStart: Weekday;
  }[];
  readonly groups: Readonly<Record<string, readonly (readonly number[])[]>>;
}

const VECTORS: VectorFile = JSON.parse(
  readFileSync(new URL("vectors/calendar.json", import.meta.url), "utf8"),
);

function offsetSeconds(timeZone: string, atMs: number): number {
  const at = Temporal.Instant.fromEpochMilliseconds(atMs).toZonedDateTimeISO(timeZone);
  return at.offsetNanoseconds / 1e9;
}

/** A short text for a window and the question it answers, which a failure shows. */
function textOf(shape: CalendarShape, nowMs: number, { startMs, endMs }: Span): string {
  const period = typeof shape.period === "string" ? shape.period : JSON.stringify(shape.period);
  const texts = [nowMs, startMs, endMs].map((ms) => new Date(ms).toISOString());
  const anchor =
    shape.anchorMs === null ? "" : `, anchor ${new Date(shape.anchorMs).toISOString()}`;
  const asked = `${period} from ${shape.weekStart} in ${shape.timeZone}${anchor} at ${texts[0]}`;
  return `${asked} is ${texts[1]} to ${texts[2]}`;
}

/** Rules of before are those that the vectors were made by, seconds since 1970. */
const SETTLED_S = Date.UTC(2026) / 1_000;

/** The latest instant that a row speaks of, seconds since 1970. */
function latestOf([, , now = NaN, , until = NaN]: readonly number[]): number {
  return now + until;
}

/** Null for a row that this runtime's time-zone database sees otherwise, else what is wrong. */
function replay(row: readonly number[]): string[] | null {
  const [zone = -1, shapeAt = -1, now = NaN, since = NaN, until = NaN, ...offsets] = row;
  const timeZone = VECTORS.zones[zone] ?? "";
  const known = VECTORS.shapes[shapeAt];
  if (known === undefined || timeZone === "") throw new Error(`unreadable vector ${row.join()}`);
  if (!isTimeZone(timeZone)) return null;
  const [atStart, atNow, atEnd, anchor, atAnchor] = offsets;
  const seen: [number, number | undefined][] = [
    [now - since, atStart],
    [now, atNow],
    [now + until, atEnd],
  ];
  if (anchor !== undefined) seen.push([anchor, atAnchor]);
  if (seen.some(([at, offset]) => offsetSeconds(timeZone, at * 1_000) !== offset)) return null;
  const { every, unit } = known.period;
  // Two spellings of one period: "day" and { every: 1, unit: "day" }.
  const period = every === 1 && now % 2 === 0 ? unit : known.period;
  const anchorMs = anchor === undefined ? null : anchor * 1_000;
  const shape = { period, weekStart: known.weekStart, timeZone, anchorMs };
  const want = { startMs: (now - since) * 1_000, endMs: (now + until) * 1_000 };
  return [now * 1_000, now * 1_000 + 999, want.startMs, want.endMs - 1].flatMap((atMs) => {
    const got = windowAt(shape, atMs);
    if (got.startMs === want.startMs && got.endMs === want.endMs) return [];
    return [`${textOf(shape, atMs, got)}; expected ${textOf(shape, atMs, want)}`];
  });
}

describe("windows match those of Python's zoneinfo", () => {
  const names = {
    missingMidnights: "on days whose midnight does not exist",
    doubledMidnights: "on days whose midnight comes twice",
    plain: "for days, weeks, months, quarters, years and hours",
    multiples: "for multiples counted from 1970",
    anchored: "for months from an anchor late in one",
  };
  it.each(Object.entries(names))("%s: %s", (group) => {
    const rows = VECTORS.groups[group] ?? [];
    expect(rows.length).toBeGreaterThan(40);
    const wrong = rows.flatMap((row) => replay(row) ?? []);
    expect(wrong.slice(0, 5)).toEqual([]);
  });

  // Zones go on to change the rules of years to come, and hardly ever those of years gone by.
  it.each([
    ["2 % of years gone by", SETTLED_S, 0.02],
    ["a tenth of all", Infinity, 0.1],
  ])("are skipped, where this runtime knows newer zone rules, at most in %s", (_, endS, most) => {
    const rows = Object.values(VECTORS.groups)
      .flat()
      .filter((row) => latestOf(row) < endS);
    expect(rows.length).toBeGreaterThan(1_000);
    const skipped = rows.filter((row) => replay(row) === null).length;
    console.warn(`${rows.length} vectors, ${skipped} skipped`);
    expect(skipped / rows.length).toBeLessThanOrEqual(most);
  });
});

interface Options {
  readonly zone?: string;
  readonly weekStart?: Weekday;
  readonly anchor?: string;
}

/** The window at `now`, as two texts without seconds. */
function windowOf(period: Period, now: string, options: Options = {}): [string, string] {
  const { zone: timeZone = "UTC", weekStart = "monday", anchor } = options;
  const anchorMs = anchor === undefined ? null : Date.parse(anchor);
  const { startMs, endMs } = windowAt({ period, timeZone, weekStart, anchorMs }, Date.parse(now));
  expect([startMs % 60_000, endMs % 60_000].every((rest) => rest === 0)).toBe(true);
  return [minuteOf(startMs), minuteOf(endMs)];
}

function minuteOf(atMs: number): string {
  return new Date(atMs).toISOString().replace(":00.000Z", "Z");
}

/** Consecutive windows from the one at `now`, each given by its start. */
function startsOf(period: Period, now: string, count: number, options: Options): string[] {
  const starts: string[] = [];
  let at = now;
  while (starts.length < count) {
    const [start, end] = windowOf(period, at, options);
    starts.push(start);
    at = end;
  }
  return starts;
}

describe("an anchored window", () => {
  it("clamps a 31st to the end of a shorter month and comes back", () => {
    const days = ["01-31", "02-28", "03-31", "04-30", "05-31", "06-30", "07-31", "08-31"];
    const starts = startsOf("month", "2026-02-01T00:00Z", 8, { anchor: "2026-01-31T00:00Z" });
    expect(starts).toEqual(days.map((day) => `2026-${day}T00:00Z`));
  });

  it("keeps February 29 every year, on the 28th if there is none", () => {
    const anchor = "2024-02-29T00:00Z";
    const starts = startsOf("year", "2024-03-01T00:00Z", 5, { anchor });
    const days = ["2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"];
    expect(starts).toEqual(days.map((day) => `${day}T00:00Z`));
    const eve = windowOf("year", "2028-02-28T23:59Z", { anchor });
    expect(eve).toEqual(["2027-02-28T00:00Z", "2028-02-29T00:00Z"]);
    const before = windowOf("year", "2020-02-29T00:00Z", { anchor });
    expect(before).toEqual(["2020-02-29T00:00Z", "2021-02-28T00:00Z"]);
  });

  it("counts back from an anchor in the future", () => {
    const anchor = "2026-05-31T12:00Z";
    const month = windowOf("month", "2026-02-10T00:00Z", { anchor });
    expect(month).toEqual(["2026-01-31T12:00Z", "2026-02-28T12:00Z"]);
    const hours = windowOf({ every: 7, unit: "hour" }, "2026-05-30T12:00Z", { anchor });
    expect(hours).toEqual(["2026-05-30T08:00Z", "2026-05-30T15:00Z"]);
    const days = windowOf({ every: 10, unit: "day" }, "2026-05-21T11:59Z", { anchor });
    expect(days).toEqual(["2026-05-11T12:00Z", "2026-05-21T12:00Z"]);
  });

  it("starts at the anchor itself, and ends there a moment before", () => {
    const anchor = "2026-05-31T12:34Z";
    for (const period of PERIOD_UNITS.filter((unit) => unit !== "second")) {
      expect(windowOf(period, anchor, { anchor })[0]).toBe(anchor);
      expect(windowOf(period, "2026-05-31T12:33:59.999Z", { anchor })[1]).toBe(anchor);
    }
  });

  it("keeps the anchor's local time across a change of offset", () => {
    const options = { zone: "Europe/Berlin", anchor: "2026-01-31T08:00Z" };
    const starts = startsOf("month", "2026-02-28T08:00Z", 3, options);
    expect(starts).toEqual(["2026-02-28T08:00Z", "2026-03-31T07:00Z", "2026-04-30T07:00Z"]);
  });
});

describe("a calendar window", () => {
  it("cuts the hours of Lord Howe when its clock shifts by half an hour", () => {
    const zone = "Australia/Lord_Howe";
    const back = startsOf("hour", "2026-04-04T14:10Z", 4, { zone });
    const times = ["14:00", "15:00", "15:30", "16:30"];
    expect(back).toEqual(times.map((time) => `2026-04-04T${time}Z`));
    const ahead = startsOf("hour", "2026-10-03T14:40Z", 4, { zone });
    const later = ["14:30", "15:30", "16:00", "17:00"];
    expect(ahead).toEqual(later.map((time) => `2026-10-03T${time}Z`));
  });

  it("aligns the hours of Kathmandu to its own clock", () => {
    const hour = windowOf("hour", "2026-05-15T12:00Z", { zone: "Asia/Kathmandu" });
    expect(hour).toEqual(["2026-05-15T11:15Z", "2026-05-15T12:15Z"]);
  });

  it("has no window for the day that Apia skipped, 2011-12-30", () => {
    const starts = startsOf("day", "2011-12-29T20:00Z", 3, { zone: "Pacific/Apia" });
    expect(starts).toEqual(["2011-12-29T10:00Z", "2011-12-30T10:00Z", "2011-12-31T10:00Z"]);
  });

  it("starts the month of Asuncion after the gap of 2023-10-01", () => {
    const month = windowOf("month", "2023-10-10T00:00Z", { zone: "America/Asuncion" });
    expect(month).toEqual(["2023-10-01T04:00Z", "2023-11-01T03:00Z"]);
    const eve = windowOf("month", "2023-10-01T03:59Z", { zone: "America/Asuncion" });
    expect(eve).toEqual(["2023-09-01T04:00Z", "2023-10-01T04:00Z"]);
  });

  it("starts a day of Havana at the first of two midnights", () => {
    const want = ["2026-11-01T04:00Z", "2026-11-02T05:00Z"];
    for (const now of ["2026-11-01T04:00Z", "2026-11-01T04:59Z", "2026-11-01T05:00Z"]) {
      expect(windowOf("day", now, { zone: "America/Havana" })).toEqual(want);
      expect(windowOf("month", now, { zone: "America/Havana" })[0]).toBe(want[0]);
    }
  });

  it("starts a week on the weekday asked for", () => {
    const starts = WEEKDAYS.map((weekStart) => {
      const [start, end] = windowOf("week", "2026-05-13T09:00Z", { weekStart });
      expect(Date.parse(end) - Date.parse(start)).toBe(7 * DAY_MS);
      return start.slice(5, 10);
    });
    expect(starts).toEqual(["05-11", "05-12", "05-13", "05-07", "05-08", "05-09", "05-10"]);
  });

  it("counts multiples from 1970, weeks from the week start on or before it", () => {
    const days = windowOf({ every: 10, unit: "day" }, "1970-01-10T23:59Z");
    expect(days).toEqual(["1970-01-01T00:00Z", "1970-01-11T00:00Z"]);
    const monday = windowOf({ every: 2, unit: "week" }, "1970-01-01T00:00Z");
    expect(monday).toEqual(["1969-12-29T00:00Z", "1970-01-12T00:00Z"]);
    const options = { weekStart: "thursday" } as const;
    const thursday = windowOf({ every: 2, unit: "week" }, "1970-01-01T00:00Z", options);
    expect(thursday).toEqual(["1970-01-01T00:00Z", "1970-01-15T00:00Z"]);
    const months = windowOf({ every: 5, unit: "month" }, "1969-12-31T00:00Z");
    expect(months).toEqual(["1969-08-01T00:00Z", "1970-01-01T00:00Z"]);
    const hours = windowOf({ every: 5, unit: "hour" }, "1969-12-31T18:00Z", { zone: "Asia/Tokyo" });
    expect(hours).toEqual(["1969-12-31T15:00Z", "1969-12-31T20:00Z"]);
  });

  it("never ends for a lifetime", () => {
    const shape = { period: "lifetime", timeZone: "UTC", weekStart: "monday" } as const;
    const nowMs = Date.UTC(2026, 4, 15);
    const span = { startMs: 0, endMs: FOREVER_MS };
    expect(windowAt({ ...shape, anchorMs: null }, nowMs)).toEqual(span);
    expect(windowAt({ ...shape, anchorMs: nowMs }, nowMs)).toEqual(span);
  });

  it("throws for a zone that is none and for an instant beyond reason", () => {
    const shape = { period: "day", timeZone: "UTC", weekStart: "monday", anchorMs: null } as const;
    for (const timeZone of ["Nowhere/Land", "", "+02:00", "BST"]) {
      expect(() => windowAt({ ...shape, timeZone }, 0), timeZone).toThrow(RangeError);
    }
    for (const nowMs of [NaN, Infinity, -Infinity, FOREVER_MS]) {
      expect(() => windowAt(shape, nowMs)).toThrow(RangeError);
    }
  });
});

describe("the length of a rolling window", () => {
  it("is the longest that its unit can be, times the multiple", () => {
    const lengths = PERIOD_UNITS.map((unit) => rollingMs(unit) / 1_000);
    expect(lengths).toEqual([1, 60, 3_600, ...[1, 7, 31, 92, 366].map((days) => days * 86_400)]);
    expect(rollingMs({ every: 3, unit: "month" })).toBe(93 * DAY_MS);
    expect(rollingMs({ every: 90, unit: "minute" })).toBe(5_400_000);
  });

  it("does not exist for a lifetime", () => {
    expect(() => rollingMs("lifetime")).toThrow(RangeError);
  });
});

describe("a time zone", () => {
  it("is an IANA name, in any case", () => {
    expect(["UTC", "Europe/Berlin", "europe/berlin", "EST"].filter(isTimeZone)).toHaveLength(4);
    expect(ZONES.filter((zone) => !isTimeZone(zone))).toEqual([]);
  });

  it("is neither an offset, nor an unknown name, nor an unlisted abbreviation", () => {
    const wrong = ["+02:00", "-0530", "Nowhere/Land", "", " ", "UTC ", "BST", "GMT+2:00", "Z"];
    expect(wrong.filter(isTimeZone)).toEqual([]);
  });
});

const random = randomOf(SEED);
const PERIODS: readonly Period[] = [
  "day",
  "week",
  "month",
  "quarter",
  "year",
  "hour",
  { every: 3, unit: "day" },
  { every: 5, unit: "hour" },
  { every: 6, unit: "hour" },
];

/** The instants up to 2037 at which a zone's offset changes. */
function changesOf(timeZone: string): number[] {
  const found: number[] = [];
  let at = Temporal.Instant.fromEpochMilliseconds(FROM_MS).toZonedDateTimeISO(timeZone);
  for (;;) {
    const next = at.getTimeZoneTransition("next");
    if (next === null || next.epochMilliseconds >= TO_MS) return found;
    found.push(next.epochMilliseconds);
    at = next;
  }
}

/** Walks from the window before the one at `nowMs` until it saw `count`; returns what is wrong. */
function walk(shape: CalendarShape, nowMs: number, count: number): string[] {
  const wrong: string[] = [];
  const check = (atMs: number, isRight: (span: Span) => boolean): Span => {
    const span = windowAt(shape, atMs);
    const { startMs, endMs } = span;
    const holds = Number.isInteger(startMs) && startMs <= atMs && atMs < endMs;
    if (!holds || !isRight(span)) wrong.push(textOf(shape, atMs, span));
    return span;
  };
  let span = check(nowMs, () => true);
  const first = span.startMs;
  check(first - 1, ({ endMs }) => endMs === first);
  for (let seen = 1; seen < count && wrong.length === 0; seen++) {
    const { startMs, endMs } = span;
    const insideMs = startMs + random.below(endMs - startMs);
    for (const atMs of [startMs, insideMs, endMs - 1]) {
      check(atMs, (same) => same.startMs === startMs && same.endMs === endMs);
    }
    span = check(endMs, (next) => next.startMs === endMs);
  }
  return wrong;
}

function wrongIn(timeZone: string, changes: readonly number[]): string[] {
  const randoms = Array.from({ length: FULL ? 30 : 3 }, () => between(FROM_MS, TO_MS));
  const wrong: string[] = [];
  for (const period of PERIODS) {
    const weekStart = random.pick(WEEKDAYS);
    const shape = { period, timeZone, weekStart, anchorMs: null };
    // Only the shortest windows have more than one boundary next to a change.
    const count = period === "hour" ? 4 : 3;
    for (const changeMs of changes) wrong.push(...walk(shape, changeMs - 1, count));
    for (const atMs of randoms) wrong.push(...walk(shape, atMs, 3));
    const anchorMs = between(FROM_MS, TO_MS);
    wrong.push(
      ...walk({ ...shape, anchorMs }, random.pick([between(FROM_MS, TO_MS), ...changes]), 3),
    );
  }
  return wrong;
}

function between(fromMs: number, toMs: number): number {
  return fromMs + random.below(toMs - fromMs);
}

describe("the windows of every zone", () => {
  it(`tile time around every change of offset, SEED=${SEED}`, { timeout: 1_800_000 }, () => {
    let changes = 0;
    const wrong = ZONES.flatMap((zone) => {
      const known = changesOf(zone);
      changes += known.length;
      return wrongIn(zone, known);
    });
    console.warn(`SEED=${SEED}: ${ZONES.length} zones, ${changes} changes of offset`);
    expect(wrong.slice(0, 5)).toEqual([]);
  });
});
