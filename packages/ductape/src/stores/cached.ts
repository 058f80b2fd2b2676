import type { CallOptions, Clock } from "../base/call.js";
import { apply } from "../decide/apply.js";
import { copyInto, copyOf, emptyCounter, type Counter } from "../decide/counter.js";
import type { Counters } from "../decide/counters.js";
import type { Outcome, StepOutcome } from "../decide/outcome.js";
import {
  allChecks,
  type CachePolicy,
  type Plan,
  type RuleCheck,
  type Step,
} from "../decide/plan.js";
import { Entries, NEVER, type Entry } from "./entries.js";
import type {
  CounterRow,
  Documents,
  Records,
  Store,
  StoreFact,
  StoreGuarantees,
  StoreRoom,
} from "./store.js";

/** A read-only copy of a counter. */
export interface Copy {
  readonly space: string;
  readonly subject: string;
  /** Null: nothing was ever counted. */
  readonly counter: Readonly<Counter> | null;
  /** The cache that last used it. */
  readonly cacheTag: string;
  /** When the counter was read, in epoch milliseconds. */
  readonly readMs: number;
}

/**
 * A store in front of a store, with copies of the counters that steps with a cache have read. The
 * same `apply` decides a `check` with a cache, and the denial of an `increment`, on copies younger
 * than the cache's expiry; everything else reaches the store and renews the copies. An answer is
 * never older than the last change that this store acknowledged. It relies on the store answering
 * in the order in which it decides.
 */
export class CachedStore implements Store {
  readonly guarantees: StoreGuarantees;
  readonly documents: Documents;
  readonly records: Records;
  readonly clock: Clock | undefined;
  readonly #inner: Store;
  readonly #entries = new Entries();
  /** The copies, only to be read; changes to them are discarded. */
  readonly #read = copiesIn((check) => this.#entries.get(check));
  /**
   * Copies of the copies: an increment that they would admit changes them, and then asks the store.
   */
  readonly #scratch = copiesIn((check) => {
    const entry = this.#entries.get(check);
    return entry === undefined ? undefined : copyOf(entry);
  });
  /** The origin of the instants of entries, in epoch milliseconds. */
  #originMs = 0;

  constructor(inner: Store) {
    this.#inner = inner;
    this.guarantees = inner.guarantees;
    this.documents = inner.documents;
    this.records = inner.records;
    this.clock = inner.clock;
  }

  get isOpen(): boolean {
    return this.#inner.isOpen;
  }

  get room(): StoreRoom | undefined {
    return this.#inner.room;
  }

  async open(): Promise<void> {
    // It may be another file, so copies of the old one are dropped.
    this.#entries.clear();
    await this.#inner.open();
  }

  async facts(): Promise<readonly StoreFact[]> {
    return (await this.#inner.facts?.()) ?? [];
  }

  apply(plan: Plan, options?: CallOptions): Outcome | Promise<Outcome> {
    const step = plan[0];
    const { cache } = step;
    if (cache === null && this.#entries.isEmpty) return this.#inner.apply(plan, options);
    if (cache === null || plan.length > 1) return this.#pass(plan, options);
    if (mayRepeat(step) && options?.signal?.aborted !== true) {
      const repeated = this.#repeat(plan, cache);
      if (repeated !== null) return repeated;
      const canShare = step.action === "check" && options?.signal === undefined;
      if (canShare) return this.#share(plan, cache, options);
    }
    return this.#ask(plan, cache, options);
  }

  /** All copies, in no order. */
  *copies(): Generator<Copy> {
    for (const entry of this.#entries) {
      const { cache, space, subject, readMs } = entry;
      if (cache === null) continue;
      const counter = entry.window === NEVER ? null : entry;
      yield { space, subject, counter, cacheTag: cache.tag, readMs: readMs + this.#originMs };
    }
  }

  scan(prefix: string): AsyncIterable<CounterRow> {
    return this.#inner.scan(prefix);
  }

  async close(): Promise<void> {
    await this.#inner.close();
    this.#entries.clear();
  }

  /** Decides from the copies; null if one is too old or missing, or an increment may pass. */
  #repeat(plan: Plan, cache: CachePolicy): Outcome | null {
    const step = plan[0];
    const nowMs = step.plannedMs - this.#originMs;
    let oldestMs = nowMs;
    for (const check of step.checks) {
      const entry = this.#entries.get(check);
      if (entry === undefined || !isYoung(entry, nowMs, cache)) return null;
      if (entry.cache !== cache) entry.cache = cache;
      if (entry.readMs < oldestMs) oldestMs = entry.readMs;
    }
    const copies = step.action === "check" ? this.#read : this.#scratch;
    const outcome = apply(copies, plan, step.plannedMs);
    if (outcome === "stale") return null;
    const [decided] = outcome;
    if (step.action !== "check" && decided.status !== "denied") return null;
    return [aged(decided, nowMs - oldestMs)];
  }

  /** Asks the store once for all calls that wait for the same counter: the first one asks. */
  #share(plan: Plan, cache: CachePolicy, options?: CallOptions): Outcome | Promise<Outcome> {
    const timeoutMs = options?.timeoutMs ?? Infinity;
    const waitsFor = this.#pendingOf(plan[0], cache, timeoutMs);
    if (waitsFor !== null) {
      return waitsFor.then(() => this.#repeat(plan, cache) ?? this.#ask(plan, cache, options));
    }
    const [{ plannedMs, checks }] = plan;
    const answer = this.#ask(plan, cache, options);
    if (!(answer instanceof Promise)) return answer;
    const sinceMs = plannedMs - this.#originMs;
    for (const check of checks) {
      const entry = this.#entries.keep(check);
      if (!isYoung(entry, sinceMs, cache)) entry.pending = { answer, sinceMs, timeoutMs };
    }
    return answer;
  }

  /**
   * A read in progress of a counter without a copy, begun within the expiry, that times out no
   * later than this call would.
   */
  #pendingOf(
    { plannedMs, checks }: Step,
    cache: CachePolicy,
    timeoutMs: number,
  ): Promise<unknown> | null {
    const nowMs = plannedMs - this.#originMs;
    for (const check of checks) {
      const entry = this.#entries.get(check);
      if (entry === undefined || entry.pending === null || isYoung(entry, nowMs, cache)) continue;
      const { answer, sinceMs, timeoutMs: waitMs } = entry.pending;
      if (waitMs <= timeoutMs && isWithin(cache, sinceMs, nowMs)) return answer;
    }
    return null;
  }

  /** Asks the store and copies the counters in its answer. */
  #ask(plan: Plan, cache: CachePolicy, options?: CallOptions): Outcome | Promise<Outcome> {
    // Taken before asking, so the copy is no older, whatever the store's clock. The origin may have
    // changed when the answer comes, so the instant is kept absolute until then.
    const { plannedMs } = plan[0];
    if (this.#entries.isEmpty) this.#originMs = plannedMs;
    const outcome = this.#inner.apply(plan, options);
    if (!(outcome instanceof Promise)) return this.#learn(plan[0], cache, plannedMs, outcome);
    return outcome.then(
      (later) => this.#learn(plan[0], cache, plannedMs, later),
      (fault: unknown) => this.#fail(plan, fault),
    );
  }

  #learn(step: Step, cache: CachePolicy, askedMs: number, outcome: Outcome): Outcome {
    const readMs = askedMs - this.#originMs;
    this.#endRead(step, readMs);
    if (outcome === "stale") return outcome;
    const [decided] = outcome;
    if (decided.isReplayed) return outcome;
    for (const [i, check] of step.checks.entries()) {
      const entry = this.#entries.keep(check);
      const counter = decided.checks[i]?.counter ?? null;
      copyInto(entry, counter ?? emptyCounter(check.rule.windowVersion, NEVER));
      entry.readMs = readMs;
      entry.cache = cache;
    }
    return outcome;
  }

  /** A plan without a cache, or with several steps, drops the copies of what it changed. */
  #pass(plan: Plan, options?: CallOptions): Outcome | Promise<Outcome> {
    const outcome = this.#inner.apply(plan, options);
    if (!(outcome instanceof Promise)) return this.#drop(plan, outcome);
    return outcome.then(
      (later) => this.#drop(plan, later),
      (fault: unknown) => this.#fail(plan, fault),
    );
  }

  /** A failed plan may have been counted. */
  #fail(plan: Plan, fault: unknown): never {
    this.#endRead(plan[0], Infinity);
    this.#dropChanged(plan);
    throw fault;
  }

  /** Ends the sharing of a read that began at `untilMs` or before. */
  #endRead({ checks }: Step, untilMs: number): void {
    for (const check of checks) {
      const entry = this.#entries.get(check);
      if (entry === undefined || entry.pending === null) continue;
      if (entry.pending.sinceMs <= untilMs) entry.pending = null;
    }
  }

  #drop(plan: Plan, outcome: Outcome): Outcome {
    if (outcome !== "stale") this.#dropChanged(plan);
    return outcome;
  }

  #dropChanged(plan: Plan): void {
    for (const step of plan) {
      if (step.action === "check") continue;
      for (const check of allChecks(step)) {
        const entry = this.#entries.get(check);
        if (entry !== undefined) entry.cache = null;
      }
    }
  }
}

function copiesIn(find: (check: RuleCheck) => Counter | undefined): Counters {
  return {
    find,
    changed: () => undefined,
    put: () => undefined,
    findAnswer: () => undefined,
    putAnswer: () => undefined,
    findHold: () => undefined,
    putHold: () => undefined,
  };
}

/** Decided on a copy of that age. */
function aged(outcome: StepOutcome, ageMs: number): StepOutcome {
  return { ...outcome, ageMs };
}

/** With an idempotency key the first answer counts, which only the store knows. */
function mayRepeat({ action, answerKey }: Step): boolean {
  return answerKey === null && (action === "check" || action === "increment");
}

function isYoung({ cache, readMs }: Entry, nowMs: number, policy: CachePolicy): boolean {
  return cache !== null && isWithin(policy, readMs, nowMs);
}

/** An instant in the future gives no age: the clock was set back. */
function isWithin({ expiry }: CachePolicy, sinceMs: number, nowMs: number): boolean {
  return nowMs - sinceMs < expiry && sinceMs <= nowMs;
}
