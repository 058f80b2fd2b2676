import { storeCases, type StoreCase, type StorePlace } from "./conformance.js";
import type { Clock } from "../base/call.js";

export type { StoreCase, StorePlace } from "./conformance.js";

/** A clock that stands still until you move it. Pass it as the `clock` of a client. */
export interface ManualClock extends Clock {
  /**
   * Advances by `byMs` milliseconds, an integer; a negative number sets the clock back. Returns
   * the new instant.
   */
  advance(byMs: number): number;
  /** Jumps to an instant: epoch milliseconds, a `Date` or ISO 8601 text with its offset. */
  set(to: number | Date | string): void;
}

/**
 * A clock at `start`: epoch milliseconds, a `Date` or ISO 8601 text with its offset. Throws
 * `RangeError` for anything that is not an instant.
 */
export function manualClock(start: number | Date | string): ManualClock {
  let nowMs = instantOf(start);
  return Object.assign(() => nowMs, {
    advance(byMs: number): number {
      nowMs = instantOf(nowMs + byMs);
      return nowMs;
    },
    set(to: number | Date | string): void {
      nowMs = instantOf(to);
    },
  });
}

function instantOf(value: number | Date | string): number {
  if (typeof value === "string" && !/(Z|[+-]\d\d:?\d\d)$/.test(value)) {
    throw new RangeError(`expected an ISO 8601 instant with its offset, got "${value}"`);
  }
  const atMs = typeof value === "number" ? value : new Date(value).getTime();
  if (!Number.isSafeInteger(atMs)) {
    throw new RangeError(`expected an instant in whole milliseconds, got ${String(value)}`);
  }
  return atMs;
}

/**
 * The promises that every store keeps, as cases for any test runner: `run` rejects with an
 * `AssertionError` if the promise is broken. `place` gives each case its own empty place. Promises
 * that only some stores make are read from their `guarantees`.
 *
 * for (const { name, run } of storeSuite(place)) it(name, run);
 */
export function storeSuite(place: () => StorePlace | Promise<StorePlace>): readonly StoreCase[] {
  return storeCases(place, manualClock);
}
