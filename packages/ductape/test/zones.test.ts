import { describe, expect, it } from "vitest";
import {
  PERIOD_UNITS,
  windowAt,
  type CalendarShape,
  type Period,
  type PeriodUnit,
  type Weekday,
} from "../src/decide/period.js";
import { isRecordedAt, readVectors, recordedOffsets } from "./recorded.js";
import { randomOf, seedOf } from "./support.js";

interface Step {
  readonly every: number;
  readonly unit: PeriodUnit;
}

/** What `vectors/zones.py` wrote; instants are epoch seconds, rows are laid end to end. */
interface ZonesFile {
  readonly source: string;
  readonly civil: readonly (Step & { readonly weekStart: Weekday })[];
  readonly anchored: readonly Step[];
  readonly groups: readonly {
    readonly zones: readonly string[];
    /** Index of the shape, now, seconds since the start, seconds to the end. */
    readonly civil: readonly number[];
    /** Index of the shape, anchor, now, seconds since the start, seconds to the end. */
    readonly anchored: readonly number[];
  }[];
}

/** What `vectors/postgres.py` wrote: index of the unit, now, seconds since the start. */
interface PostgresFile {
  readonly source: string;
  readonly units: readonly PeriodUnit[];
  readonly zones: Readonly<Record<string, readonly number[]>>;
}

const ZONES: ZonesFile = readVectors("zones.json");
const POSTGRES: PostgresFile = readVectors("postgres.json");
const SEED = seedOf();

/** One recorded answer, in epoch seconds; `end` is null if the source gives only the start. */
interface Vector {
  readonly timeZone: string;
  readonly period: Period;
  readonly weekStart: Weekday;
  readonly anchor: number | null;
  readonly now: number;
  readonly start: number;
  readonly end: number | null;
}

function* zonesVectors(): Generator<Vector> {
  for (const { zones, civil, anchored } of ZONES.groups) {
    for (const timeZone of zones) {
      for (const [shape, now, since, until] of rowsOf(civil, 4)) {
        const { weekStart, every, unit } = pick(ZONES.civil, shape);
        const span = { start: now - since, end: now + until };
        yield { timeZone, period: { every, unit }, weekStart, anchor: null, now, ...span };
      }
      for (const [shape, anchor, now, since, until] of rowsOf(anchored, 5)) {
        const period = pick(ZONES.anchored, shape);
        const span = { start: now - since, end: now + until };
        yield { timeZone, period, weekStart: "monday", anchor, now, ...span };
      }
    }
  }
}

function* postgresVectors(): Generator<Vector> {
  for (const [timeZone, rows] of Object.entries(POSTGRES.zones)) {
    for (const [unit, now, since] of rowsOf(rows, 3)) {
      const period = pick(POSTGRES.units, unit);
      const start = now - since;
      yield { timeZone, period, weekStart: "monday", anchor: null, now, start, end: null };
    }
  }
}

function* rowsOf(flat: readonly number[], width: number): Generator<Row> {
  for (let at = 0; at < flat.length; at += width) {
    const [a = NaN, b = NaN, c = NaN, d = NaN, e = NaN] = flat.slice(at, at + width);
    yield [a, b, c, d, e];
  }
}

type Row = readonly [number, number, number, number, number];

function pick<T>(items: readonly T[], index: number): T {
  const item = items[index];
  if (item === undefined) throw new Error(`a vector names entry ${index} of ${items.length}`);
  return item;
}

/** True if this runtime's time zone data has the recorded offsets where they matter. */
function isAgreed({ timeZone, anchor, now, start, end }: Vector): boolean {
  const dayAndHalf = 129_600;
  const instants = [now, start - dayAndHalf, start - 1, start];
  if (end !== null) instants.push(end - dayAndHalf, end - 1, end);
  if (anchor !== null) instants.push(anchor);
  return isRecordedAt(timeZone, instants);
}

function replay(vectors: Iterable<Vector>, source: string): void {
  const wrong: string[] = [];
  const differing = new Set<string>();
  let total = 0;
  let skipped = 0;
  for (const vector of vectors) {
    const { timeZone, period, weekStart, anchor, now, start, end } = vector;
    total++;
    const anchorMs = anchor === null ? null : anchor * 1_000;
    const got = windowAt({ period, timeZone, weekStart, anchorMs }, now * 1_000);
    if (got.startMs === start * 1_000 && (end === null || got.endMs === end * 1_000)) continue;
    if (isAgreed(vector)) {
      wrong.push(`${JSON.stringify(vector)} got ${JSON.stringify(got)}`);
    } else {
      skipped++;
      differing.add(timeZone);
    }
  }
  const zones = skipped === 0 ? "" : `: other zone data for ${[...differing].join(", ")}`;
  console.warn(`${source}: ${total} vectors, ${skipped} SKIPPED${zones}`);
  expect(wrong.slice(0, 5)).toEqual([]);
  expect(total).toBeGreaterThan(1_000);
  expect(skipped / total).toBeLessThanOrEqual(0.02);
}

describe("the windows of every zone", () => {
  it("match Python's zoneinfo from 2020 to 2037", () => {
    replay(zonesVectors(), ZONES.source);
  });

  it("start where PostgreSQL's date_trunc starts them, each local time being unique", () => {
    replay(postgresVectors(), POSTGRES.source);
  });

  it("are recorded for all zones that this runtime lists, but for the newest", () => {
    const listed = Intl.supportedValuesOf("timeZone");
    const unknown = listed.filter((zone) => recordedOffsets(zone).length === 0);
    if (unknown.length > 0) console.warn(`no vectors for ${unknown.join(", ")}`);
    expect(unknown.length / listed.length).toBeLessThanOrEqual(0.02);
  });
});

describe("a window far from now", () => {
  const random = randomOf(SEED);
  const [FIRST_MS, LAST_MS] = [Date.parse("0001-01-02"), Date.parse("9999-12-30")];
  const someInstant = () => FIRST_MS + random.below(LAST_MS - FIRST_MS);
  const shapes = (timeZone: string): CalendarShape[] =>
    PERIOD_UNITS.flatMap((unit) =>
      [unit, { every: 2 + random.below(30), unit }].flatMap((period) => {
        const shape = { period, timeZone, weekStart: "sunday" } as const;
        return [null, someInstant()].map((anchorMs) => ({ ...shape, anchorMs }));
      }),
    );

  it(`tiles time with its neighbours from year 1 to 9999, SEED=${SEED}`, () => {
    const zones = ["UTC", "Africa/Monrovia", "Asia/Manila", "America/Juneau", "Europe/Amsterdam"];
    for (const shape of zones.flatMap((zone) => [...shapes(zone), ...shapes(zone)])) {
      for (let turn = 0; turn < 10; turn++) {
        const nowMs = someInstant();
        const { startMs, endMs } = windowAt(shape, nowMs);
        const about = `${JSON.stringify(shape)} at ${nowMs}`;
        expect(startMs <= nowMs && nowMs < endMs, about).toBe(true);
        expect(windowAt(shape, endMs).startMs, about).toBe(endMs);
        expect(windowAt(shape, startMs - 1).endMs, about).toBe(startMs);
      }
    }
  });

  it(`is the same in UTC and in a zone that keeps UTC's offset, SEED=${SEED}`, () => {
    // Abidjan: 0 since 1912, and looked up like any other zone.
    const from = Date.parse("1913-01-01");
    for (const shape of shapes("UTC")) {
      const anchorMs = shape.anchorMs === null ? null : from + random.below(LAST_MS - from);
      const zoned = { ...shape, anchorMs, timeZone: "Africa/Abidjan" };
      for (let turn = 0; turn < 20; turn++) {
        // A multiple of 31 years from here still starts after 1912.
        const nowMs = Date.parse("1950-01-01") + random.below(LAST_MS - from);
        expect(windowAt(zoned, nowMs)).toEqual(windowAt({ ...shape, anchorMs }, nowMs));
      }
    }
  });

  it("keeps the seconds of an offset by the sun", () => {
    const shape = { period: "day", timeZone: "Europe/Paris", weekStart: "monday" } as const;
    const span = windowAt({ ...shape, anchorMs: null }, Date.parse("1890-06-01T12:00Z"));
    expect(new Date(span.startMs).toISOString()).toBe("1890-05-31T23:50:39.000Z");
  });
});
