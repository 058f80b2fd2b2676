import { heldAt, type Holds } from "./holds.js";

// Rolling windows. `entries` are pairs (instant, amount), oldest first; instants in epoch
// milliseconds, amounts in integers. An amount counts until its instant plus the period.
//
// Up to 64 entries are exact. Beyond that, two neighbours are merged and dated by the later one, so
// no amount leaves early. Both are in the same 1/60 of the period, so no amount stays longer than
// that past its time; of all such pairs the merge picks the one that delays the least, as a
// histogram of a stream merges its closest bins (Ben-Haim and Tom-Tov, JMLR 2010).
//
// There is always such a pair: all entries are within one period before the newest, which touches
// at most 61 parts (62 of 2 seconds and 64 of one, as a part is a whole number of milliseconds).

/** The most entries of a counter; amounts at further instants are merged. */
export const ROLLING_ENTRIES_MAX = 64;
/** The period has this many parts; no amount is counted longer than one part past its time. */
const ROLLING_PARTS = 60;

/** The sum of what is still counted: the amounts later than `leftMs`. */
export function liveSum(entries: readonly number[], leftMs: number): number {
  let sum = 0;
  for (let i = entries.length - 2; i >= 0; i -= 2) {
    if ((entries[i] ?? 0) > leftMs) sum += entries[i + 1] ?? 0;
  }
  return sum;
}

/** When the oldest counted amount leaves, in epoch milliseconds; `nowMs` if nothing is counted. */
export function oldestLeavesMs(
  entries: readonly number[],
  periodMs: number,
  nowMs: number,
): number {
  for (let i = 0; i < entries.length; i += 2) {
    const atMs = entries[i] ?? 0;
    if (atMs > nowMs - periodMs) return atMs + periodMs;
  }
  return nowMs;
}

/**
 * When all but `room` has left or is no longer held, in epoch milliseconds; null: never. Both lists
 * are in the order in which their amounts end.
 */
export function fitsMs(
  entries: readonly number[],
  holds: Holds | null,
  room: number,
  periodMs: number,
  nowMs: number,
): number | null {
  if (room < 0) return null;
  const parts = holds === null ? [] : holds.parts;
  let left = liveSum(entries, nowMs - periodMs) + heldAt(holds, nowMs);
  let [i, part] = [0, 0];
  while (i < entries.length || part < parts.length) {
    const leavesMs = i < entries.length ? (entries[i] ?? 0) + periodMs : Infinity;
    const endsMs = part < parts.length ? (parts[part] ?? 0) : Infinity;
    const nextMs = Math.min(leavesMs, endsMs);
    if (nextMs > nowMs) left -= (leavesMs <= endsMs ? entries[i + 1] : parts[part + 1]) ?? 0;
    if (leavesMs <= endsMs) i += 2;
    else part += 3;
    if (nextMs > nowMs && left <= room) return nextMs;
  }
  return nowMs + periodMs;
}

/** Removes, in place, the amounts that are not later than `leftMs`. */
export function dropLeft(entries: number[], leftMs: number): void {
  let gone = 0;
  while (gone < entries.length && (entries[gone] ?? 0) <= leftMs) gone += 2;
  if (gone > 0) removeAt(entries, 0, gone);
}

/**
 * Adds an amount at `nowMs`, in place. If the clock stepped back, the amount is dated at the
 * newest instant: time never runs backwards.
 */
export function addAmount(
  entries: number[],
  amount: number,
  periodMs: number,
  nowMs: number,
): void {
  const last = entries.length - 2;
  if (nowMs <= (entries[last] ?? -Infinity)) {
    entries[last + 1] = (entries[last + 1] ?? 0) + amount;
    return;
  }
  entries.push(nowMs);
  entries.push(amount);
  if (entries.length > 2 * ROLLING_ENTRIES_MAX) joinTwo(entries, periodMs);
}

/** Adds an amount that counts from an instant that may have passed, in place. */
export function addAmountAt(
  entries: number[],
  amount: number,
  atMs: number,
  periodMs: number,
): void {
  const place = placeOf(entries, atMs);
  if (entries[place] === atMs) {
    entries[place + 1] = (entries[place + 1] ?? 0) + amount;
    return;
  }
  entries.push(0);
  entries.push(0);
  for (let i = entries.length - 1; i > place + 1; i--) entries[i] = entries[i - 2] ?? 0;
  entries[place] = atMs;
  entries[place + 1] = amount;
  if (entries.length > 2 * ROLLING_ENTRIES_MAX) joinTwo(entries, periodMs);
}

/** The place of the first amount that is not earlier than `atMs`. */
function placeOf(entries: readonly number[], atMs: number): number {
  let place = 0;
  while (place < entries.length && (entries[place] ?? 0) < atMs) place += 2;
  return place;
}

/**
 * What is left of the entry that an amount was counted in at `atMs`: a merged one is dated later.
 */
export function amountFrom(entries: readonly number[], atMs: number, leftMs: number): number {
  const place = placeOf(entries, atMs);
  return (entries[place] ?? 0) > leftMs ? (entries[place + 1] ?? 0) : 0;
}

/** Removes up to `amount` of that entry, in place. */
export function takeFrom(entries: number[], amount: number, atMs: number): void {
  const place = placeOf(entries, atMs);
  const own = entries[place + 1] ?? 0;
  if (own > amount) entries[place + 1] = own - amount;
  else if (place < entries.length) removeAt(entries, place, 2);
}

/**
 * Merges the two neighbours within a part that delay the least: the amount of the earlier one
 * times the milliseconds between them. A product past 2^53 is rounded the same way in every
 * engine.
 */
function joinTwo(entries: number[], periodMs: number): void {
  const partMs = Math.max(1, Math.floor(periodMs / ROLLING_PARTS));
  let best = -1;
  let leastDelay = Infinity;
  let part = Math.floor((entries[0] ?? 0) / partMs);
  for (let i = 0; i + 2 < entries.length; i += 2) {
    const nextMs = entries[i + 2] ?? 0;
    const nextPart = Math.floor(nextMs / partMs);
    if (part === nextPart) {
      const delay = (entries[i + 1] ?? 0) * (nextMs - (entries[i] ?? 0));
      if (delay < leastDelay) [best, leastDelay] = [i, delay];
    }
    part = nextPart;
  }
  if (best < 0) return;
  entries[best + 3] = (entries[best + 3] ?? 0) + (entries[best + 1] ?? 0);
  removeAt(entries, best, 2);
}

/** Removes up to `amount`, in place, the newest amounts first. */
export function takeNewest(entries: number[], amount: number): void {
  let rest = amount;
  while (rest > 0 && entries.length > 0) {
    const newest = entries[entries.length - 1] ?? 0;
    if (newest > rest) {
      entries[entries.length - 1] = newest - rest;
      return;
    }
    rest -= newest;
    entries.pop();
    entries.pop();
  }
}

function removeAt(entries: number[], at: number, count: number): void {
  const length = entries.length - count;
  for (let i = at; i < length; i++) entries[i] = entries[i + count] ?? 0;
  for (let i = 0; i < count; i++) entries.pop();
}
