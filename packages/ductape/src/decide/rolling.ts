// Rolling windows. `entries` are pairs (instant, amount), oldest first; instants in epoch
// milliseconds, amounts in integers. An amount counts until its instant plus the period.
//
// Up to 64 entries are exact. Past that, two neighbours become one, dated by the later of them, so
// no amount leaves early. They are two of the same 1/60 of the period, which is why none stays
// longer than that past its time; and of those the two whose joining delays the least, as a
// histogram of a stream joins its closest bins (Ben-Haim and Tom-Tov, JMLR 2010).
//
// There always are two such: all entries lie within one period before the newest, which touches at
// most 61 parts (62 of 2 seconds and 64 of one, as a part is a whole number of milliseconds).

/** Most entries of a counter; amounts of more instants than that are joined. */
export const ROLLING_ENTRIES_MAX = 64;
/** No amount is counted longer than this part of the period past its time. */
export const ROLLING_PARTS = 60;

/** What is still counted: the amounts later than `leftMs`. */
export function liveSum(entries: readonly number[], leftMs: number): number {
  let sum = 0;
  for (let i = entries.length - 2; i >= 0; i -= 2) {
    if ((entries[i] ?? 0) > leftMs) sum += entries[i + 1] ?? 0;
  }
  return sum;
}

/** When the oldest counted amount leaves, epoch milliseconds; `nowMs` where there is none. */
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

/** When all but `room` has left, epoch milliseconds; null where that never is. */
export function fitsMs(
  entries: readonly number[],
  room: number,
  periodMs: number,
  nowMs: number,
): number | null {
  if (room < 0) return null;
  let left = liveSum(entries, nowMs - periodMs);
  for (let i = 0; i < entries.length; i += 2) {
    const atMs = entries[i] ?? 0;
    if (atMs <= nowMs - periodMs) continue;
    left -= entries[i + 1] ?? 0;
    if (left <= room) return atMs + periodMs;
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
 * Adds an amount of `nowMs`, in place. Where the clock stepped back it counts as of the newest
 * instant known: time never runs backwards.
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

/**
 * Joins the two neighbours within a part that delay the least: the amount of the earlier one times
 * the milliseconds between them. A product past 2^53 is rounded, in every engine alike.
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

/** Takes up to `amount` away, in place, the newest first. */
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
