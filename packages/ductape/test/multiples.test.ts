import { Temporal } from "temporal-polyfill";
import { describe, expect, it } from "vitest";
import { windowAt, type Period, type Span } from "../src/decide/period.js";
import { isRecordedAt, readVectors, recordedOffsets } from "./recorded.js";
import { randomOf, seedOf } from "./support.js";

/** `SEED=` repeats a run; `ZONES=all` looks at every window around every change, in all zones. */
const SEED = seedOf();
const ALL = process.env["ZONES"] === "all";
const random = randomOf(SEED);

const [MINUTE, HOUR, DAY] = [60, 3_600, 86_400];
const FROM = Date.UTC(2020, 0) / 1_000;
const TO = Date.UTC(2038, 0) / 1_000;
/** In seconds: everything that divides the day, but for what has a name. */
const LENGTHS = Array.from({ length: DAY - 1 }, (_, i) => i + 2).filter(
  (seconds) => DAY % seconds === 0 && seconds !== MINUTE,
);

/** The ways to write a length, of at most 10,000 of a unit. */
function periodsOf(seconds: number): Period[] {
  const units = [
    { unit: "hour", every: seconds / HOUR },
    { unit: "minute", every: seconds / MINUTE },
    { unit: "second", every: seconds },
  ] as const;
  return units
    .filter(({ every }) => Number.isInteger(every) && every <= 10_000)
    .map(({ unit, every }) => (every === 1 ? unit : { every, unit }));
}

function windowOf(timeZone: string, period: Period, at: number): Span {
  const shape = { period, timeZone, weekStart: "monday", anchorMs: null } as const;
  const { startMs, endMs } = windowAt(shape, at * 1_000 + random.below(1_000));
  return { startMs: startMs / 1_000, endMs: endMs / 1_000 };
}

/** A stretch of one offset, in seconds. */
interface Stretch {
  readonly start: number;
  readonly end: number;
  readonly offset: number;
}

/** The windows of a zone by its recorded offsets, in epoch seconds. */
class Recorded {
  readonly stretches: readonly Stretch[];

  constructor(timeZone: string) {
    const flat = recordedOffsets(timeZone);
    const starts = flat.filter((_, i) => i % 2 === 0);
    this.stretches = starts.map((start, i) => ({
      start,
      end: starts[i + 1] ?? Infinity,
      offset: flat[2 * i + 1] ?? NaN,
    }));
  }

  get changes(): number[] {
    const starts = this.stretches.slice(1).map(({ start }) => start);
    return starts.filter((start) => start >= FROM && start < TO);
  }

  /** Where steps of `length` change on the wall clock, and where the wall clock does. */
  window(length: number, at: number): Span {
    const here = this.stretches.findLast(({ start }) => start <= at);
    if (here === undefined) throw new Error("too early");
    const { start, end, offset } = here;
    if (length <= HOUR) {
      const step = Math.floor((at + offset) / length) * length - offset;
      return { startMs: Math.max(start, step), endMs: Math.min(end, step + length) };
    }
    const before = this.stretches.filter((each) => each.end <= at);
    const latest = Math.max(at + offset, ...before.map((each) => each.end + each.offset - 1));
    const step = Math.floor(latest / length) * length;
    return { startMs: this.#first(step), endMs: this.#first(step + length) };
  }

  #first(local: number): number {
    const first = this.stretches.find(({ end, offset }) => local - offset < end);
    if (first === undefined) throw new Error("too late");
    return Math.max(first.start, local - first.offset);
  }
}

interface Tally {
  zones: number;
  changes: number;
  windows: number;
  skipped: number;
  readonly otherRules: Set<string>;
  readonly wrong: string[];
}

/** Compares one window; one that this runtime's newer zone rules see otherwise is skipped. */
function compare(tally: Tally, timeZone: string, length: number, at: number, want: Span): void {
  const period = random.pick(periodsOf(length));
  if (period === undefined) throw new Error(`no unit gives ${length} s`);
  const got = windowOf(timeZone, period, at);
  tally.windows++;
  if (got.startMs === want.startMs && got.endMs === want.endMs) return;
  const { startMs, endMs } = want;
  const reach = 1.5 * DAY;
  const near = [at, startMs - 1, startMs, endMs - 1, endMs];
  // Newer rules may move a change by no more than an hour of the same night.
  for (let each = startMs - reach; each <= endMs + reach; each += HOUR / 2) near.push(each);
  if (!isRecordedAt(timeZone, near)) {
    tally.skipped++;
    tally.otherRules.add(timeZone);
    return;
  }
  const about = `${JSON.stringify(period)} in ${timeZone} at ${at}`;
  tally.wrong.push(`${about} is ${JSON.stringify(got)}, not ${JSON.stringify(want)}`);
}

/** Every window that begins in a stretch of time: at its first and last second. */
function compareAll(
  tally: Tally,
  timeZone: string,
  recorded: Recorded,
  length: number,
  [from, to]: readonly [number, number],
): void {
  let at = from;
  while (at < to) {
    const want = recorded.window(length, at);
    compare(tally, timeZone, length, at, want);
    compare(tally, timeZone, length, want.endMs - 1, want);
    at = want.endMs;
  }
}

function compareZone(tally: Tally, timeZone: string): void {
  const recorded = new Recorded(timeZone);
  const { changes } = recorded;
  tally.zones++;
  tally.changes += changes.length;
  const lengths = ALL ? LENGTHS : LENGTHS.filter(() => random.below(3) === 0);
  for (const length of lengths) {
    // A long window reaches far from the change that it contains.
    const reach =
      length > HOUR ? DAY : length < 5 * MINUTE ? 5 * length : Math.max(HOUR, 3 * length);
    // An hour that comes twice may begin or end at the change.
    const near = length < 5 * MINUTE ? [-HOUR, 0, HOUR] : [0];
    const seen = ALL ? changes : [random.pick(changes)].filter((each) => each !== undefined);
    for (const at of seen.flatMap((change) => near.map((more) => change + more))) {
      compareAll(tally, timeZone, recorded, length, [at - reach, at + reach]);
    }
    for (let n = 0; n < (ALL ? 216 : 1); n++) {
      const at = FROM + random.below(TO - FROM);
      compare(tally, timeZone, length, at, recorded.window(length, at));
    }
  }
}

/** The local times, with their offset, at which consecutive windows start. */
function startsOf(period: Period, timeZone: string, from: string, count: number): string[] {
  const starts: string[] = [];
  let at = Date.parse(from) / 1_000;
  while (starts.length < count) {
    const { startMs, endMs } = windowOf(timeZone, period, at);
    const local = Temporal.Instant.fromEpochMilliseconds(startMs * 1_000);
    const text = local.toZonedDateTimeISO(timeZone).toString({ smallestUnit: "minute" });
    starts.push(text.replace(/\[.*/, ""));
    at = endMs;
  }
  return starts;
}

describe("a multiple that divides the day", () => {
  const hours = (every: number): Period => ({ every, unit: "hour" });
  const minutes = (every: number): Period => ({ every, unit: "minute" });

  it.each([
    ["America/New_York", 6, "2026-07-04T05:00Z", "2026-07-04", "-04:00", [0, 6, 12, 18]],
    ["America/New_York", 6, "2026-01-04T05:00Z", "2026-01-04", "-05:00", [0, 6, 12, 18]],
    ["Europe/London", 8, "2026-01-04T01:00Z", "2026-01-04", "+00:00", [0, 8, 16]],
    ["Europe/London", 8, "2026-07-03T23:00Z", "2026-07-04", "+01:00", [0, 8, 16]],
    ["Asia/Kathmandu", 12, "2026-07-03T18:15Z", "2026-07-04", "+05:45", [0, 12]],
    ["Pacific/Chatham", 4, "2026-07-03T11:15Z", "2026-07-04", "+12:45", [0, 4, 8, 12, 16, 20]],
  ])("begins at midnight in %s, every %i hours, from %s", (zone, every, from, day, offset, at) => {
    const want = at.map((hour) => `${day}T${String(hour).padStart(2, "0")}:00${offset}`);
    expect(startsOf(hours(every), zone, from, at.length)).toEqual(want);
  });

  it("has windows of five and of seven hours when clocks change", () => {
    const spring = startsOf(hours(6), "America/New_York", "2026-03-08T05:00Z", 3);
    expect(spring).toEqual(
      ["T00:00-05:00", "T06:00-04:00", "T12:00-04:00"].map((time) => `2026-03-08${time}`),
    );
    const autumn = startsOf(hours(6), "America/New_York", "2026-11-01T04:00Z", 3);
    expect(autumn).toEqual(
      ["T00:00-04:00", "T06:00-05:00", "T12:00-05:00"].map((time) => `2026-11-01${time}`),
    );
  });

  it("starts after a midnight that is missing, and at the first of two", () => {
    const missing = startsOf(hours(2), "Africa/Cairo", "2026-04-23T20:30Z", 3);
    expect(missing).toEqual(
      ["23T22:00+02:00", "24T01:00+03:00", "24T02:00+03:00"].map((time) => `2026-04-${time}`),
    );
    const doubled = startsOf(hours(6), "America/Havana", "2026-11-01T04:00Z", 2);
    expect(doubled).toEqual(["2026-11-01T00:00-04:00", "2026-11-01T06:00-05:00"]);
  });

  it("has one window for a boundary that comes twice, if it is longer than an hour", () => {
    // 02:00 becomes 01:00: 01:30 comes twice.
    const starts = startsOf(minutes(90), "America/New_York", "2026-11-01T05:00Z", 3);
    expect(starts).toEqual(
      ["T00:00-04:00", "T01:30-04:00", "T03:00-05:00"].map((time) => `2026-11-01${time}`),
    );
  });

  it("is never longer than its period, up to an hour", () => {
    const halves = startsOf(minutes(30), "America/New_York", "2026-11-01T05:00Z", 5);
    const times = ["01:00-04:00", "01:30-04:00", "01:00-05:00", "01:30-05:00", "02:00-05:00"];
    expect(halves).toEqual(times.map((time) => `2026-11-01T${time}`));
    const hour = startsOf("hour", "America/New_York", "2026-11-01T05:00Z", 5);
    for (const same of [minutes(60), { every: 3_600, unit: "second" } as const]) {
      expect(startsOf(same, "America/New_York", "2026-11-01T05:00Z", 5)).toEqual(hour);
    }
    // Lord Howe goes back by half an hour, at 02:00.
    const thirds = startsOf(minutes(20), "Australia/Lord_Howe", "2026-04-04T14:40Z", 4);
    const cut = ["01:40+11:00", "01:30+10:30", "01:40+10:30", "02:00+10:30"];
    expect(thirds).toEqual(cut.map((time) => `2026-04-05T${time}`));
  });

  it("has no window in a day that a zone skipped", () => {
    const starts = startsOf(hours(12), "Pacific/Apia", "2011-12-29T22:00Z", 3);
    const times = ["29T12:00-10:00", "31T00:00+14:00", "31T12:00+14:00"];
    expect(starts).toEqual(times.map((time) => `2011-12-${time}`));
    const before = startsOf(hours(8), "Pacific/Kwajalein", "1993-08-21T08:00Z", 3);
    const skipped = ["20T16:00-12:00", "22T00:00+12:00", "22T08:00+12:00"];
    expect(before).toEqual(skipped.map((time) => `1993-08-${time}`));
  });

  it("measures elapsed time since 1970 if it does not divide the day", () => {
    // 1970 began at 05:00 UTC in New York: 98,917 windows of 5 hours before this one.
    const startMs = Date.UTC(1970, 0, 1, 5) + 98_917 * 5 * 3_600_000;
    const { startMs: start, endMs: end } = windowOf("America/New_York", hours(5), startMs / 1_000);
    expect([start, end]).toEqual([startMs / 1_000, startMs / 1_000 + 5 * HOUR]);
    expect(windowOf("America/New_York", hours(5), end - 1).startMs).toBe(start);
  });

  it("counts the time that passed since its anchor", () => {
    const anchorMs = Date.parse("2026-03-07T05:00Z");
    const shape = { period: hours(6), timeZone: "America/New_York", weekStart: "monday" } as const;
    const { startMs } = windowAt({ ...shape, anchorMs }, Date.parse("2026-03-09T00:00Z"));
    expect(new Date(startMs).toISOString()).toBe("2026-03-08T23:00:00.000Z");
  });
});

describe("multiples that divide the day", () => {
  it("match the wall clock of Python's zoneinfo", () => {
    const tally = newTally();
    const { source, groups }: Vectors = readVectors("multiples.json");
    for (const { zones, windows } of groups) {
      for (let i = 0; i < windows.length; i += 4) {
        const [length = NaN, now = NaN, since = NaN, until = NaN] = windows.slice(i, i + 4);
        const want = { startMs: now - since, endMs: now + until };
        for (const zone of zones) compare(tally, zone, length, now, want);
      }
    }
    report(tally, source);
  });

  const zones = Intl.supportedValuesOf("timeZone").filter((zone) => recordedOffsets(zone).length);
  it(`match the recorded offsets in every zone, SEED=${SEED}`, { timeout: 7_200_000 }, () => {
    const tally = newTally();
    for (const zone of zones) compareZone(tally, zone);
    report(tally, `SEED=${SEED}`);
  });
});

interface Vectors {
  readonly source: string;
  readonly groups: readonly {
    readonly zones: readonly string[];
    /** Length, now, since the start, until the end, all in seconds; laid end to end. */
    readonly windows: readonly number[];
  }[];
}

const newTally = (): Tally => ({
  zones: 0,
  changes: 0,
  windows: 0,
  skipped: 0,
  otherRules: new Set(),
  wrong: [],
});

function report(tally: Tally, source: string): void {
  const { zones, changes, windows, skipped, otherRules, wrong } = tally;
  const where = skipped === 0 ? "" : `: other zone rules for ${[...otherRules].join(", ")}`;
  const lengths = ALL ? LENGTHS.length : `a third of ${LENGTHS.length}`;
  const of = zones === 0 ? "" : `${zones} zones x ${lengths} lengths, ${changes} changes, `;
  console.warn(
    `${source}: ${of}${windows} windows, ${wrong.length} wrong, ${skipped} SKIPPED${where}`,
  );
  expect(wrong.slice(0, 5)).toEqual([]);
  expect(windows).toBeGreaterThan(10_000);
  expect(skipped / windows).toBeLessThanOrEqual(0.02);
}
