import {
  assert,
  constantFrom,
  double,
  integer,
  maxSafeNat,
  oneof,
  pre,
  property,
  tuple,
} from "fast-check";
import { describe, expect, it } from "vitest";
import {
  amountText,
  DECIMALS_MAX,
  exactUnits,
  sumOf,
  unitsOf,
  valueMax,
} from "../src/decide/amount.js";
import { decimalText, ratioOf, rounded, type Ratio } from "./paper.js";
import { seedOf } from "./support.js";

const SEED = seedOf();
const RUNS = { seed: SEED, numRuns: 5_000 };
const COUNT_MAX = 2 ** 53 - 1;
/** Up to here each count has a double of its own at every number of decimals. */
const COUNT_SURE = 1e15;

/** The first 15 significant digits of a double, as a ratio. */
function kept(value: number): Ratio {
  let power = 0;
  const exact = ratioOf(value);
  while (rounded(exact, power, "nearest") < 10n ** 14n) power++;
  while (rounded(exact, power, "nearest") >= 10n ** 15n) power--;
  const digits = rounded(exact, power, "nearest");
  const ten = 10n ** BigInt(Math.abs(power));
  return power >= 0 ? { over: digits, under: ten } : { over: digits * ten, under: 1n };
}

const decimalsOf = integer({ min: 0, max: DECIMALS_MAX });
const roundings = constantFrom("up" as const, "nearest" as const);
const countsTo = (max: number) =>
  oneof(
    integer({ min: 0, max: 1_000 }),
    maxSafeNat().map((count) => count % (max + 1)),
  );
/** Of all sizes, and many next to what has few digits. */
const values = oneof(
  tuple(double({ min: 1, max: 10, noNaN: true }), integer({ min: -20, max: 15 })).map(
    ([digits, power]) => digits * 10 ** power,
  ),
  tuple(countsTo(1e6), decimalsOf, integer({ min: -4, max: 4 })).map(([count, decimals, steps]) =>
    stepped(count / 10 ** decimals, steps),
  ),
);

/** The double so many steps beside a value. */
function stepped(value: number, steps: number): number {
  const bits = new DataView(new ArrayBuffer(8));
  bits.setFloat64(0, value);
  const moved = bits.getBigInt64(0) + BigInt(steps);
  bits.setBigInt64(0, moved < 0n ? 0n : moved);
  return bits.getFloat64(0);
}

describe("an exact amount", () => {
  it(`is any decimal of that many digits, SEED=${SEED}`, () => {
    assert(
      property(countsTo(COUNT_SURE), decimalsOf, (count, decimals) => {
        const value = Number(decimalText(count, decimals));
        expect(exactUnits(value, 10 ** decimals)).toBe(count);
        // And comes out as the same text.
        expect(amountText(count / 10 ** decimals)).toBe(decimalText(count, decimals));
      }),
      RUNS,
    );
  });

  it(`is nothing but the nearest double of such a decimal, SEED=${SEED}`, () => {
    assert(
      property(values, decimalsOf, (value, decimals) => {
        const units = exactUnits(value, 10 ** decimals);
        const near = rounded(ratioOf(value), decimals, "nearest");
        const isExact = Number(decimalText(near, decimals)) === value && near <= COUNT_MAX;
        expect(units !== null).toBe(isExact);
        if (near < COUNT_SURE && isExact) expect(units).toBe(Number(near));
      }),
      RUNS,
    );
  });

  it(`is one of the counts with that double, beyond 10^15, SEED=${SEED}`, () => {
    const large = integer({ min: COUNT_SURE, max: COUNT_MAX });
    assert(
      property(large, decimalsOf, (count, decimals) => {
        const value = Number(decimalText(count, decimals));
        const units = exactUnits(value, 10 ** decimals) ?? -1;
        expect(Math.abs(units - count)).toBeLessThanOrEqual(1);
        expect(Number(decimalText(units, decimals))).toBe(value);
      }),
      RUNS,
    );
  });

  it.each(Array.from({ length: DECIMALS_MAX + 1 }, (_, i) => i))(
    "may be the largest that %i decimals count",
    (decimals) => {
      const most = valueMax(decimals);
      expect(Number(decimalText(COUNT_MAX, decimals))).toBe(most);
      expect(exactUnits(most, 10 ** decimals)).toBeGreaterThanOrEqual(COUNT_MAX - 1);
      expect(exactUnits(most * 1.01, 10 ** decimals)).toBe(null);
    },
  );
});

describe("a rounded amount", () => {
  it(`is its first 15 digits, rounded as a decimal, SEED=${SEED}`, () => {
    assert(
      property(values, decimalsOf, roundings, (value, decimals, rounding) => {
        const units = unitsOf(value, decimals, rounding);
        const exact = exactUnits(value, 10 ** decimals);
        const wanted = rounded(value < 1e-300 ? ratioOf(value) : kept(value), decimals, rounding);
        if (exact !== null) expect(units).toBe(exact);
        else if (wanted > BigInt(COUNT_MAX)) expect(units).toBe(null);
        else if (wanted < 1e14) expect(units).toBe(Number(wanted));
        // Fifteen digits do not reach the last one: the nearest is all there is.
        else expect(units).toBe(Number(rounded(ratioOf(value), decimals, "nearest")));
      }),
      RUNS,
    );
  });

  it(`is what its cost is on paper, for any price and count, SEED=${SEED}`, () => {
    const price = tuple(integer({ min: 1, max: 99_999 }), integer({ min: 0, max: 12 }));
    const line = tuple(integer({ min: 0, max: 1_000_000 }), price);
    const cases = tuple(line, line, decimalsOf, roundings);
    assert(
      property(cases, ([first, second, decimals, rounding]) => {
        const lines = [first, second];
        const costs = lines.map(
          ([count, [digits, power]]) => count * Number(`${digits}e-${power}`),
        );
        const cost = costs.reduce((sum, each) => sum + each);
        const over = lines.reduce(
          (sum, [count, [digits, power]]) =>
            sum + BigInt(count) * BigInt(digits) * 10n ** BigInt(12 - power),
          0n,
        );
        // More digits than a double keeps are not on paper either.
        pre(String(over).replace(/0+$/, "").length <= 15);
        const paper = rounded({ over, under: 10n ** 12n }, decimals, rounding);
        if (paper <= 1e14) expect(unitsOf(cost, decimals, rounding)).toBe(Number(paper));
      }),
      { ...RUNS, numRuns: 20_000 },
    );
  });

  it.each([
    [0.1 + 0.2, 2, 30, 30],
    [1234 * 1.5e-7, 2, 1, 0],
    [1234 * 1.5e-7, 7, 1851, 1851],
    [1234 * 1.5e-7, 12, 185_100_000, 185_100_000],
    [0.125, 2, 13, 13],
    [1.005, 2, 101, 101],
    [1.0049, 2, 101, 100],
    [0.5, 0, 1, 1],
    [0.4, 0, 1, 0],
    [2.5, 0, 3, 3],
    [1e-300, 12, 1, 0],
    [5e-324, 0, 1, 0],
    [0.3000001, 2, 31, 30],
    [8.2 - 8, 1, 2, 2],
    [4.35 * 100, 0, 435, 435],
    [1_000_000.000_000_1, 6, 1_000_000_000_001, 1_000_000_000_000],
  ])("of %d at %i decimals is %i up and %i to the nearest", (value, decimals, up, nearest) => {
    expect(unitsOf(value, decimals, "up")).toBe(up);
    expect(unitsOf(value, decimals, "nearest")).toBe(nearest);
  });
});

describe("a sum of amounts", () => {
  it(`has no noise, SEED=${SEED}`, () => {
    const counts = countsTo(COUNT_SURE / 2);
    assert(
      property(counts, counts, decimalsOf, (a, b, decimals) => {
        const [first, second] = [a, b].map((count) => count / 10 ** decimals);
        const text = amountText(sumOf(first ?? NaN, second ?? NaN));
        expect(text).toBe(decimalText(a + b, decimals));
        const back = amountText(sumOf(Number(text), -(second ?? NaN)));
        expect(back).toBe(decimalText(a, decimals));
      }),
      RUNS,
    );
  });
});
