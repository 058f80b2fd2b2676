// Rolling windows. Amounts are kept by parts of 1/60 of the period, each with the instant of its
// latest amount; a part counts until that instant plus the period, so no amount leaves early and
// none stays longer than one part too long. `entries` are pairs (latest instant, amount), oldest
// first; instants in epoch milliseconds, amounts in integers.

/**
 * A rolling window is counted in this many parts; an amount is refused at most one part too long.
 */
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
  if (gone > 0) entries.splice(0, gone);
}

/**
 * Adds an amount of `nowMs`, in place: to the newest part where it belongs to it, else as a new
 * one.
 */
export function addAmount(
  entries: number[],
  amount: number,
  periodMs: number,
  nowMs: number,
): void {
  const partMs = Math.max(1, Math.floor(periodMs / ROLLING_PARTS));
  const last = entries.length - 2;
  const lastMs = entries[last];
  // A clock that stepped back joins the newest part: amounts never leave before their time.
  const joins = lastMs !== undefined && Math.floor(nowMs / partMs) <= Math.floor(lastMs / partMs);
  if (!joins) {
    entries.push(nowMs, amount);
    return;
  }
  entries[last] = Math.max(lastMs, nowMs);
  entries[last + 1] = (entries[last + 1] ?? 0) + amount;
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
    entries.length -= 2;
  }
}
