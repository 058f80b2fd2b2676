import type { Counter } from "../../decide/counter.js";
import type { Written } from "../counter-record.js";
import { COPIES_MAX } from "../heap.js";

/** A counter in memory, as a row was when it was read or written. */
export interface Known {
  readonly counter: Counter;
  /** Names the change that made the row; no two changes have the same. */
  readonly version: string;
  /** What the row holds. */
  readonly written: Written;
  /** How often in a row it was found as this process left it. */
  readonly calm: number;
}

/**
 * From this on, a counter is believed to be nobody else's. One that is found changed begins at 0;
 * one not seen before is believed at once.
 */
export const CALM_MIN = 8;

/**
 * Counters in memory. They are believed only as far as the server confirms their version. A batch
 * takes what it works on out, so that no two batches have the same object.
 */
export class KnownCounters {
  readonly #known = new Map<string, Known>();

  /** Takes a counter out; undefined where it is not known. */
  take(key: string): Known | undefined {
    const known = this.#known.get(key);
    if (known !== undefined) this.#known.delete(key);
    return known;
  }

  /** Keeps a counter. */
  keep(key: string, known: Known): void {
    if (this.#known.size >= COPIES_MAX) this.#known.clear();
    this.#known.set(key, known);
  }

  /** Forgets a counter. */
  drop(key: string): void {
    this.#known.delete(key);
  }

  /** Forgets all. */
  clear(): void {
    this.#known.clear();
  }
}
