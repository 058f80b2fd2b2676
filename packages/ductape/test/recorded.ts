// The offsets of every zone as Python's zoneinfo has them, and those of this runtime.
import { readFileSync } from "node:fs";
import { Temporal } from "temporal-polyfill";
import { isTimeZone } from "../src/decide/period.js";

/** The JSON that a script of `vectors` wrote. */
export function readVectors(name: string) {
  return JSON.parse(readFileSync(new URL(`vectors/${name}`, import.meta.url), "utf8"));
}

interface Offsets {
  readonly groups: readonly {
    readonly zones: readonly string[];
    /** Start of a stretch, its offset in seconds, and so on. */
    readonly offsets: readonly number[];
  }[];
}

const ZONES: Offsets = readVectors("zones.json");
const OFFSETS = new Map(
  ZONES.groups.flatMap(({ zones, offsets }) => zones.map((name) => [name, offsets] as const)),
);

/** Start of a stretch of one offset, its offset, and so on, all in seconds; empty: not recorded. */
export function recordedOffsets(timeZone: string): readonly number[] {
  return OFFSETS.get(timeZone) ?? [];
}

/**
 * True where this runtime's time-zone data has the recorded offsets at these instants, in epoch
 * seconds.
 */
export function isRecordedAt(timeZone: string, instants: readonly number[]): boolean {
  if (!isTimeZone(timeZone)) return false;
  return instants.every((at) => offsetAt(timeZone, at) === recordedOffset(timeZone, at));
}

function offsetAt(timeZone: string, at: number): number {
  const instant = Temporal.Instant.fromEpochMilliseconds(at * 1_000);
  return instant.toZonedDateTimeISO(timeZone).offsetNanoseconds / 1e9;
}

function recordedOffset(timeZone: string, at: number): number | undefined {
  const offsets = recordedOffsets(timeZone);
  let index = offsets.length - 2;
  while (index > 0 && (offsets[index] ?? 0) > at) index -= 2;
  return offsets[index + 1];
}
