// What open holds set aside on one counter, as parts of time: holds that end at the same instant
// share a part, and instants lie on a grid, so a counter does not grow with the number of holds.
//
// The grid of a hold is the largest power of two, in milliseconds, of at most 1/60 of its length.
// So holds of one length end at 61 to 121 instants at most, and as finer grids contain the coarser
// ones, holds of every length from a second to a day at no more than 1,100 together.

/** What is set aside on a counter. Shared, and never changed: a change makes another. */
export interface Holds {
  /** The sum of all parts. */
  readonly sum: number;
  /** When the first part ends, epoch milliseconds; {@link NEVER_MS} without parts. */
  readonly firstMs: number;
  /**
   * Counts the times that ended parts were dropped. A part that was dropped is over for good, even
   * if the clock steps back and another part ends at the same instant.
   */
  readonly edition: number;
  /** Triples, the first to end first: end (epoch milliseconds), amount, edition it began in. */
  readonly parts: readonly number[];
}

/** Later than every instant. */
const NEVER_MS = Number.MAX_SAFE_INTEGER;
const TRIPLE = 3;

/** The grid of a length has this many steps, at least. */
const STEPS = 60;

/** The next instant on the grid of `lengthMs` that is not before `atMs`. */
export function onGrid(atMs: number, lengthMs: number): number {
  let gridMs = 1;
  while (gridMs * 2 * STEPS <= lengthMs) gridMs *= 2;
  return Math.ceil(atMs / gridMs) * gridMs;
}

/** Holds of these parts. */
export function holdsOf(edition: number, parts: readonly number[]): Holds {
  let sum = 0;
  for (let i = 1; i < parts.length; i += TRIPLE) sum += parts[i] ?? 0;
  return { sum, firstMs: parts[0] ?? NEVER_MS, edition, parts };
}

/** What is still set aside at `nowMs`. */
export function heldAt(holds: Holds | null, nowMs: number): number {
  if (holds === null) return 0;
  if (nowMs < holds.firstMs) return holds.sum;
  const { parts } = holds;
  let sum = 0;
  for (let i = 0; i < parts.length; i += TRIPLE) {
    if ((parts[i] ?? 0) > nowMs) sum += parts[i + 1] ?? 0;
  }
  return sum;
}

/** When all but `room` has ended, in epoch milliseconds; null: never. */
export function heldFitsMs(holds: Holds | null, room: number, nowMs: number): number | null {
  if (room < 0) return null;
  let left = heldAt(holds, nowMs);
  if (left <= room || holds === null) return nowMs;
  const { parts } = holds;
  for (let i = 0; i < parts.length; i += TRIPLE) {
    const endMs = parts[i] ?? 0;
    if (endMs > nowMs) {
      left -= parts[i + 1] ?? 0;
      if (left <= room) return endMs;
    }
  }
  return null;
}

/** The amount of the part that a hold of `edition` set aside until `endMs`; 0: it is over. */
export function partAt(holds: Holds | null, endMs: number, edition: number, nowMs: number): number {
  if (holds === null || endMs <= nowMs) return 0;
  const { parts } = holds;
  for (let i = parts.length - TRIPLE; i >= 0; i -= TRIPLE) {
    if (parts[i] === endMs) return (parts[i + 2] ?? 0) <= edition ? (parts[i + 1] ?? 0) : 0;
  }
  return 0;
}

/** Without the parts that have ended. */
export function dropEnded(holds: Holds, nowMs: number): Holds {
  if (nowMs < holds.firstMs) return holds;
  const left: number[] = [];
  const { parts } = holds;
  for (let i = 0; i < parts.length; i += TRIPLE) {
    if ((parts[i] ?? 0) > nowMs)
      pushPart(left, parts[i] ?? 0, parts[i + 1] ?? 0, parts[i + 2] ?? 0);
  }
  return holdsOf(holds.edition + 1, left);
}

/** With all parts dropped, as in a new window. */
export function noneOf(holds: Holds | null): Holds | null {
  return holds === null ? null : holdsOf(holds.edition + 1, []);
}

/** With `amount` more until `endMs`, or less where it is negative. */
export function withPart(holds: Holds | null, endMs: number, amount: number): Holds {
  const parts = holds === null ? [] : holds.parts;
  const edition = holds === null ? 0 : holds.edition;
  const changed: number[] = [];
  let isDone = false;
  for (let i = 0; i < parts.length; i += TRIPLE) {
    const atMs = parts[i] ?? 0;
    let own = parts[i + 1] ?? 0;
    if (!isDone && atMs > endMs) pushPart(changed, endMs, amount, edition);
    if (atMs >= endMs) isDone = true;
    if (atMs === endMs) own += amount;
    pushPart(changed, atMs, own, parts[i + 2] ?? 0);
  }
  if (!isDone) pushPart(changed, endMs, amount, edition);
  return holdsOf(edition, changed);
}

function pushPart(parts: number[], endMs: number, amount: number, edition: number): void {
  if (amount <= 0) return;
  parts.push(endMs);
  parts.push(amount);
  parts.push(edition);
}
