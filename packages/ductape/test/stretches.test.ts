// Random traffic through rolling windows, beside an exact log of all that was admitted.
import {
  array,
  assert,
  asyncProperty,
  constant,
  constantFrom,
  integer,
  nat,
  oneof,
  property,
  record,
  type Arbitrary,
} from "fast-check";
import { expect, it } from "vitest";
import type { Decision, Ductape, Period } from "ductape";
import { addAmount, dropLeft, liveSum, ROLLING_ENTRIES_MAX } from "../src/decide/rolling.js";
import { clientWith, inputOf, seedOf } from "./support.js";

const seed = seedOf();
const RUNS = Number(process.env["RUNS"] ?? 200);
const CALLS_MAX = 400;
const START_MS = Date.UTC(2026, 4, 15, 12);

const MINUTE_MS = 60_000;
const PERIODS: readonly (readonly [Period, number])[] = [
  ["second", 1_000],
  [{ every: 2, unit: "second" }, 2_000],
  ["minute", MINUTE_MS],
  [{ every: 7, unit: "minute" }, 7 * MINUTE_MS],
  ["hour", 60 * MINUTE_MS],
  ["day", 1_440 * MINUTE_MS],
  ["month", 31 * 1_440 * MINUTE_MS],
];

interface Call {
  /** Since the one before. */
  readonly afterMs: number;
  readonly amount: number;
}

interface Traffic {
  readonly period: Period;
  readonly periodMs: number;
  readonly limit: number;
  readonly calls: readonly Call[];
}

/** From many calls in one part of a period to a few in all of it; now and then a long pause. */
const traffic: Arbitrary<Traffic> = record({
  length: constantFrom(...PERIODS),
  pace: constantFrom(20, 120, 500, 1_000, 8_000, 60_000),
  limit: oneof(
    integer({ min: 4, max: 40 }),
    integer({ min: 100, max: 1_000 }),
    integer({ min: 100_000, max: 200_000 }),
  ),
}).chain(({ length: [period, periodMs], pace, limit }) => {
  const stepMs = Math.max(1, Math.floor(periodMs / pace));
  const afterMs = oneof(
    { weight: 40, arbitrary: nat(5).map((steps) => steps * stepMs) },
    { weight: 10, arbitrary: nat(2 * stepMs) },
    { weight: 2, arbitrary: nat(Math.floor(periodMs / 20)) },
    { weight: 1, arbitrary: nat(2 * periodMs) },
  );
  // Small amounts between large ones: joining a small one costs little, however far it is.
  const amount = oneof(integer({ min: 1, max: 4 }), integer({ min: 1, max: 1_000 }));
  const call = record({ afterMs, amount });
  const calls = array(call, { minLength: 1, maxLength: CALLS_MAX, size: "max" });
  return record({
    period: constant(period),
    periodMs: constant(periodMs),
    limit: constant(limit),
    calls,
  });
});

/** Shrinking a failure ends before the test does; to have drawn too few is a failure too. */
const LIMIT_MS = Math.max(60_000, RUNS * 300);
const TIMEOUT_MS = 2 * LIMIT_MS;
const assertOptions = {
  seed,
  numRuns: RUNS,
  interruptAfterTimeLimit: LIMIT_MS,
  markInterruptAsFailure: true,
};

/** All that was admitted, and when. */
class ExactLog {
  readonly #admitted: { readonly atMs: number; readonly amount: number }[] = [];

  add(atMs: number, amount: number): void {
    this.#admitted.push({ atMs, amount });
  }

  /** The sum of what was admitted later than an instant, none of which is in the future. */
  sumAfter(leftMs: number): number {
    let sum = 0;
    for (let i = this.#admitted.length - 1; i >= 0; i--) {
      const { atMs, amount } = this.#admitted[i] ?? { atMs: 0, amount: 0 };
      if (atMs <= leftMs) break;
      sum += amount;
    }
    return sum;
  }

  /** How many instants it remembers that are later than another. */
  instantsAfter(leftMs: number): number {
    const later = this.#admitted.filter(({ atMs }) => atMs > leftMs);
    return new Set(later.map(({ atMs }) => atMs)).size;
  }
}

async function run(ductape: Ductape, amount: number): Promise<Decision> {
  const result = await ductape.processor.quota.run(inputOf({ amount }));
  return result;
}

/** What the runs of a property met. */
const met = { denials: 0, joins: 0, entriesMost: 0 };

async function expectStretches({ period, periodMs, limit, calls }: Traffic): Promise<void> {
  let nowMs = START_MS;
  const quota = { tag: "q", limit, period, window: "rolling" } as const;
  await using ductape = await clientWith([quota], { clock: () => nowMs });
  const log = new ExactLog();
  let joinedMs = -Infinity;
  for (const { afterMs, amount } of calls) {
    nowMs += afterMs;
    const { allowed, used } = await run(ductape, amount);
    if (allowed) log.add(nowMs, amount);
    else met.denials++;
    // Of all stretches of this length, one that ends with an admission holds most.
    const exact = log.sumAfter(nowMs - periodMs);
    const longerMs = nowMs - periodMs - periodMs / 60;
    const longer = log.sumAfter(longerMs);
    expect(exact).toBeLessThanOrEqual(limit);
    expect(used).toBeGreaterThanOrEqual(exact);
    expect(used).toBeLessThanOrEqual(longer);
    if (log.instantsAfter(nowMs - periodMs) > ROLLING_ENTRIES_MAX) joinedMs = nowMs;
    if (joinedMs > longerMs) met.joins++;
    else expect(used).toBe(exact);
    if (!allowed) expect(used + amount).toBeGreaterThan(limit);
  }
}

it(
  `no stretch passes the limit, and none is denied for 1/60 too long (SEED=${seed})`,
  async () => {
    await assert(asyncProperty(traffic, expectStretches), assertOptions);
    expect(Math.min(met.denials, met.joins)).toBeGreaterThan(RUNS);
  },
  TIMEOUT_MS,
);

/** Instants that ascend, none twice. */
function isAscending(entries: readonly number[]): boolean {
  return entries.every((atMs, i) => i % 2 === 1 || i === 0 || (entries[i - 2] ?? 0) < atMs);
}

function expectEntries({ periodMs, calls }: Traffic, backs: readonly number[]): void {
  const entries: number[] = [];
  let atMs = START_MS;
  for (const [i, { afterMs, amount }] of calls.entries()) {
    // A clock that steps back now and then, by up to two periods.
    const backMs = i % 50 === 49 ? (backs[i % backs.length] ?? 0) % (2 * periodMs) : 0;
    atMs += afterMs - backMs;
    dropLeft(entries, atMs - periodMs);
    const before = liveSum(entries, atMs - periodMs);
    addAmount(entries, amount, periodMs, atMs);
    const isWhole = liveSum(entries, atMs - periodMs) === before + amount;
    expect([isAscending(entries), isWhole]).toEqual([true, true]);
    met.entriesMost = Math.max(met.entriesMost, entries.length / 2);
  }
}

it(
  `a counter has 64 entries at most, in order, and loses nothing (SEED=${seed})`,
  () => {
    const backs = array(nat());
    assert(property(traffic, backs, expectEntries), assertOptions);
    expect(met.entriesMost).toBe(ROLLING_ENTRIES_MAX);
  },
  TIMEOUT_MS,
);
