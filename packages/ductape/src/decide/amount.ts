import { AMOUNT_MAX } from "./counter.js";

/**
 * How to treat an amount with more digits than its quota counts: refuse it, or round it to the
 * last digit. `nearest` rounds a half up.
 */
export type Rounding = "exact" | "up" | "nearest";

/** Every rounding; the first is the default. */
export const ROUNDINGS: readonly [Rounding, ...Rounding[]] = ["exact", "up", "nearest"];

/** The most fraction digits that a quota counts. */
export const DECIMALS_MAX = 12;

/**
 * Significant digits of a decimal that a double always keeps (DBL_DIG); further digits may be
 * noise.
 */
const DIGITS_KEPT = 15;
/** Up to here a product with a power of ten is less than half a unit off. */
const UNITS_SURE = 2 ** 50;

/**
 * A value >= 0 in units of 1 / `scale`, a power of ten: the count whose nearest double it is. Null
 * if the value has more digits than that, or exceeds 2^53-1.
 */
export function exactUnits(value: number, scale: number): number | null {
  const near = Math.round(value * scale);
  if (near / scale === value && near <= AMOUNT_MAX) return near;
  if (near < UNITS_SURE || near > 2 * AMOUNT_MAX) return null;
  const beside = [near - 1, near + 1, near - 2, near + 2];
  return beside.find((units) => units / scale === value && units <= AMOUNT_MAX) ?? null;
}

/**
 * A value >= 0 in units of the last of `decimals` digits, rounded if it has more digits; null if
 * it must not be rounded, or would exceed 2^53-1 units.
 *
 * Arithmetic with floats leaves noise in the last bits: 0.1 + 0.2 is 0.30000000000000004. So a
 * value that is not exact is reduced to its first 15 significant digits, which are rounded as
 * decimals: that sum is 0.3, even rounded up.
 */
export function unitsOf(value: number, decimals: number, rounding: Rounding): number | null {
  const exact = exactUnits(value, 10 ** decimals);
  if (exact !== null || rounding === "exact") return exact;
  const rounded = roundedUnits(value, decimals, rounding);
  return rounded <= AMOUNT_MAX ? rounded : null;
}

function roundedUnits(value: number, decimals: number, rounding: "up" | "nearest"): number {
  const [digits = "", exponent = ""] = value.toExponential(DIGITS_KEPT - 1).split("e");
  const beyond = DIGITS_KEPT - 1 - Number(exponent) - decimals;
  // A double of this size can only express the nearest unit.
  if (beyond <= 0) return Number(value.toFixed(decimals).replace(".", ""));
  const kept = Number(digits.replace(".", ""));
  const unit = 10 ** beyond;
  const rest = kept % unit;
  const isUp = rounding === "up" ? rest > 0 : 2 * rest >= unit;
  return (kept - rest) / unit + (isUp ? 1 : 0);
}

/** The largest value that `decimals` fraction digits can count. */
export function valueMax(decimals: number): number {
  return AMOUNT_MAX / 10 ** decimals;
}

/** The same as text to its last digit, which a double of that size cannot express. */
export function valueMaxText(decimals: number): string {
  const digits = String(AMOUNT_MAX);
  const point = digits.length - decimals;
  return decimals === 0 ? digits : `${digits.slice(0, point)}.${digits.slice(point)}`;
}

/** How many fraction digits, at most {@link DECIMALS_MAX}, can count up to `value`; -1: none. */
export function decimalsFor(value: number): number {
  let decimals = DECIMALS_MAX;
  while (decimals >= 0 && value > valueMax(decimals)) decimals--;
  return decimals;
}

/** The fewest fraction digits, from `from` to `to`, that hold a value exactly; null: none do. */
export function decimalsOf(value: number, from: number, to: number): number | null {
  for (let decimals = from; decimals <= to; decimals++) {
    if (exactUnits(value, 10 ** decimals) !== null) return decimals;
  }
  return null;
}

/** An amount for people: all digits, where `String` would write 1.5e-7. */
export function amountText(value: number): string {
  const text = String(value);
  return text.includes("e-") ? value.toFixed(DECIMALS_MAX).replace(/\.?0+$/, "") : text;
}

/**
 * The sum of two amounts of one quota as it is counted, without the noise of adding floats; a
 * negative amount is subtracted.
 */
export function sumOf(a: number, b: number): number {
  const scale = 10 ** Math.max(fractionDigits(a), fractionDigits(b));
  return (Math.round(a * scale) + Math.round(b * scale)) / scale;
}

function fractionDigits(value: number): number {
  return (amountText(value).split(".")[1] ?? "").length;
}
