import type { Counter } from "../decide/counter.js";
import type { CachePolicy, RuleCheck, RuleTerms } from "../decide/plan.js";

/** A read under way that others wait for. Instants and lengths in milliseconds. */
export interface Pending {
  readonly answer: Promise<unknown>;
  /** When it was begun, counted as the instants of entries are. */
  readonly sinceMs: number;
  /** How long it waits. */
  readonly timeoutMs: number;
}

/**
 * A copy of one counter, or a place for one. It is one object, and its instants count from when the
 * first of all was kept, as small integers stand in the object itself: where counters are many,
 * each further object to look up costs a good part of a decision.
 */
export interface Entry extends Counter {
  /** When the counter was asked for: the copy is no older. */
  readMs: number;
  /** The cache that used the copy last; null: there is no copy. */
  cache: CachePolicy | null;
  readonly space: string;
  readonly subject: string;
  pending: Pending | null;
}

/** The window of a counter that never was. */
export const NEVER = { startMs: 0, endMs: 0 } as const;

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
  #lastRule: RuleTerms | null = null;
  #lastSpace: Map<string, Entry> | undefined;

  get isEmpty(): boolean {
    return this.#youngCount === 0 && this.#old.size === 0;
  }

  /** The copy of a check's counter; it stays longer than those not asked for. */
  get({ rule, subject }: RuleCheck): Entry | undefined {
    if (rule !== this.#lastRule) {
      this.#lastRule = rule;
      this.#lastSpace = this.#young.get(rule.space);
    }
    return this.#lastSpace?.get(subject) ?? this.#rejuvenate(rule.space, subject);
  }

  /** As `get`, with a new place where there is none. */
  keep(check: RuleCheck): Entry {
    const found = this.get(check);
    if (found !== undefined) return found;
    // One literal: members that are added to another would stand outside of the object.
    return this.#add({
      windowVersion: check.rule.windowVersion,
      window: NEVER,
      used: 0,
      granted: 0,
      alerted: 0,
      entries: null,
      readMs: 0,
      cache: null,
      seenMs: 0,
      knownLimit: null,
      last: null,
      space: check.rule.space,
      subject: check.subject,
      pending: null,
    });
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
    const copies = this.#old.get(space);
    const entry = copies?.get(subject);
    if (copies === undefined || entry === undefined) return undefined;
    copies.delete(subject);
    if (copies.size === 0) this.#old.delete(space);
    return this.#add(entry);
  }

  #add(entry: Entry): Entry {
    if (this.#youngCount >= ENTRIES_MAX / 2) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#youngCount = 0;
    }
    this.#lastRule = null;
    const copies = this.#young.get(entry.space);
    if (copies === undefined) this.#young.set(entry.space, new Map([[entry.subject, entry]]));
    else copies.set(entry.subject, entry);
    this.#youngCount++;
    return entry;
  }
}
