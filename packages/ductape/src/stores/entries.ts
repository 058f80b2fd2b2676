import type { Counter } from "../decide/counter.js";
import type { CachePolicy, RuleCheck, RuleTerms } from "../decide/plan.js";

/** A read in progress that others wait for. Instants and lengths are in milliseconds. */
interface Pending {
  readonly answer: Promise<unknown>;
  /** When it began, from the origin of the entries' instants. */
  readonly sinceMs: number;
  /** How long it waits. */
  readonly timeoutMs: number;
}

/**
 * A copy of one counter, or a place for one. It is a single object, and its instants count from
 * when the first entry was made, because small integers are stored in the object itself: with many
 * counters, each further object to look up costs a good part of a decision.
 */
export interface Entry extends Counter {
  /** When the counter was read: the copy is no older. */
  readMs: number;
  /** The cache that last used the copy; null: there is no copy. */
  cache: CachePolicy | null;
  readonly space: string;
  readonly subject: string;
  pending: Pending | null;
}

/** The window of a counter that does not exist. */
export const NEVER = { startMs: 0, endMs: 0 } as const;

type Generation = Map<string, Map<string, Entry>>;

/** The most copies kept. */
export const ENTRIES_MAX = 10_000;

/**
 * Copies of at most {@link ENTRIES_MAX} counters, the most recently used. There are two
 * generations of maps: a used copy moves into the young one, and when that holds half of all, the
 * old one is dropped. By space, then subject, so that no key is built.
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

  /** The copy of a check's counter; reading it makes it stay longer. */
  get({ rule, subject }: RuleCheck): Entry | undefined {
    if (rule !== this.#lastRule) {
      this.#lastRule = rule;
      this.#lastSpace = this.#young.get(rule.space);
    }
    return this.#lastSpace?.get(subject) ?? this.#rejuvenate(rule.space, subject);
  }

  /** Like `get`, but makes a place for a counter that has no copy yet. */
  keep(check: RuleCheck): Entry {
    const found = this.get(check);
    if (found !== undefined) return found;
    // One literal: members added later would be stored outside of the object.
    return this.#add({
      windowVersion: check.rule.windowVersion,
      window: NEVER,
      used: 0,
      granted: 0,
      alerted: 0,
      entries: null,
      holds: null,
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
