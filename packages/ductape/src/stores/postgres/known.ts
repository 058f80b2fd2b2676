import type { Counter } from "../../decide/counter.js";
import type { Written } from "../counter-record.js";
import { COPIES_MAX } from "../heap.js";

/** A counter in memory, as its row was when last read or written. */
export interface Known {
  readonly counter: Counter;
  /** The version of the row, unique to the change that wrote it. */
  readonly version: string;
  /** The content of the row. */
  readonly written: Written;
  /** How often in a row it was found as this process left it. */
  readonly calm: number;
}

/**
 * From this count on, a counter is assumed to be used by this process alone. A counter that was
 * changed starts at 0; a new one is assumed so at once.
 */
export const CALM_MIN = 8;

/**
 * Counters in memory. They count only if the server confirms their version. A batch takes its
 * counters out, so that no two batches share an object.
 */
export class KnownCounters {
  readonly #known = new Map<string, Known>();

  /** Takes a counter out; undefined if it is not known. */
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
