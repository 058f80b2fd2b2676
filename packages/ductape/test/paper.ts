// Exact decimals, as on paper: what amounts are compared with.

/** `count` of the last of so many decimals, as people write it. */
export function decimalText(count: number | bigint, decimals: number): string {
  const digits = String(count).padStart(decimals + 1, "0");
  const point = digits.length - decimals;
  const fraction = digits.slice(point).replace(/0+$/, "");
  return fraction === "" ? digits.slice(0, point) : `${digits.slice(0, point)}.${fraction}`;
}

/** An exact number. */
export interface Ratio {
  readonly over: bigint;
  readonly under: bigint;
}

/** What a double is to the last bit. */
export function ratioOf(value: number): Ratio {
  const bits = new DataView(new ArrayBuffer(8));
  bits.setFloat64(0, value);
  const all = bits.getBigUint64(0);
  const power = Number((all >> 52n) & 0x7ffn);
  const part = all & 0xfffffffffffffn;
  const mantissa = power === 0 ? part : part | 0x10000000000000n;
  const shift = (power === 0 ? 1 : power) - 1_075;
  if (shift >= 0) return { over: mantissa << BigInt(shift), under: 1n };
  return { over: mantissa, under: 1n << BigInt(-shift) };
}

/** A ratio times ten to a power, to an integer: up, or to the nearest with halves up. */
export function rounded({ over, under }: Ratio, power: number, rounding: "up" | "nearest"): bigint {
  const more = 10n ** BigInt(Math.max(0, power));
  const less = 10n ** BigInt(Math.max(0, -power));
  const [top, bottom] = [over * more, under * less];
  return rounding === "up" ? (top + bottom - 1n) / bottom : (2n * top + bottom) / (2n * bottom);
}
