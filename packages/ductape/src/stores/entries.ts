import type { CachePolicy } from "../cache.js";
import type { Cell } from "../cell.js";
import type { Leg, LegRule } from "../plan.js";

/** A copy of one counter, or a place for one that is being read. */
export interface Entry {
  readonly space: string;
  readonly subject: string;
  /** Undefined: nothing was ever counted. */
  cell: Cell | undefined;
  /** When it was asked for: the copy is no older. Epoch milliseconds; -Infinity: there is none. */
  readMs: number;
  /** The cache that used it last. */
  cache: CachePolicy;
  /** The read under way that others wait for, and when it was begun. */
  pending: Promise<unknown> | null;
  pendingMs: number;
  /** How long that read waits, in milliseconds. */
  pendingTimeoutMs: number;
}

type Generation = Map<string, Map<string, Entry>>;

/** Most copies kept. */
export const ENTRIES_MAX = 10_000;

/**
 * Copies of at most {@link ENTRIES_MAX} counters: those of the last uses. Two generations of maps:
 * a copy that is used moves into the young one, and when that holds half of all, the old one is
 * forgotten. By space, then subject, so that no key is built.
 */
export class Entries {
  #young: Generation = new Map();
  #old: Generation = new Map();
  #youngCount = 0;
  #lastRule: LegRule | null = null;
  #lastSpace: Map<string, Entry> | undefined;

  get isEmpty(): boolean {
    return this.#youngCount === 0 && this.#old.size === 0;
  }

  /** The copy of a leg's counter; it stays longer than those not asked for. */
  get(leg: Leg): Entry | undefined {
    const { rule, subject } = leg;
    if (rule !== this.#lastRule) {
      this.#lastRule = rule;
      this.#lastSpace = this.#young.get(rule.space);
    }
    return this.#lastSpace?.get(subject) ?? this.#rejuvenate(rule.space, subject);
  }

  /** As `get`, with a new place where there is none. */
  keep(leg: Leg, cache: CachePolicy): Entry {
    const found = this.get(leg);
    if (found !== undefined) return found;
    const { space } = leg.rule;
    const { subject } = leg;
    const entry = { space, subject, cell: undefined, readMs: -Infinity, cache };
    return this.#add({ ...entry, pending: null, pendingMs: -Infinity, pendingTimeoutMs: 0 });
  }

  clear(): void {
    this.#young = new Map();
    this.#old = new Map();
    this.#youngCount = 0;
    this.#lastRule = null;
  }

  *[Symbol.iterator](): Generator<Entry> {
    for (const generation of [this.#young, this.#old]) {
      for (const space of generation.values()) yield* space.values();
    }
  }

  #rejuvenate(space: string, subject: string): Entry | undefined {
    const home = this.#old.get(space);
    const entry = home?.get(subject);
    if (home === undefined || entry === undefined) return undefined;
    home.delete(subject);
    if (home.size === 0) this.#old.delete(space);
    return this.#add(entry);
  }

  #add(entry: Entry): Entry {
    if (this.#youngCount >= ENTRIES_MAX / 2) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#youngCount = 0;
    }
    this.#lastRule = null;
    const home = this.#young.get(entry.space);
    if (home === undefined) this.#young.set(entry.space, new Map([[entry.subject, entry]]));
    else home.set(entry.subject, entry);
    this.#youngCount++;
    return entry;
  }
}
