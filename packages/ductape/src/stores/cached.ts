import { apply, type Verdict } from "../apply.js";
import type { CachePolicy } from "../cache.js";
import { copyOf, type Cells } from "../cell.js";
import type { Leg, Step } from "../plan.js";
import type { CallOptions, CellRow, Documents, Store, StoreGuarantees } from "../store.js";
import { Entries, type Entry } from "./entries.js";

/**
 * A store in front of a store, with copies of the counters that steps with a cache asked for. A
 * `check` with a cache, and the refusal of an `increment`, are decided by the same `apply` on
 * copies younger than the cache's expiry; all else reaches the store and renews them.
 * What this store answers is never older than the last change that it acknowledged. It relies on
 * the store answering in the order in which it decides.
 */
export class CachedStore implements Store {
  readonly guarantees: StoreGuarantees;
  readonly documents: Documents;
  readonly #inner: Store;
  readonly #entries = new Entries();

  constructor(inner: Store) {
    this.#inner = inner;
    this.guarantees = inner.guarantees;
    this.documents = inner.documents;
  }

  get isOpen(): boolean {
    return this.#inner.isOpen;
  }

  async open(): Promise<void> {
    // It may be another file: nothing of the old one is told.
    this.#entries.clear();
    await this.#inner.open();
  }

  apply(plan: Step, options?: CallOptions): Verdict | Promise<Verdict> {
    const { cache } = plan;
    if (cache === null && this.#entries.isEmpty) return this.#inner.apply(plan, options);
    if (cache === null || plan.next !== null) return this.#pass(plan, options);
    if (mayRepeat(plan) && options?.signal?.aborted !== true) {
      if (this.#repeat(plan, cache)) return "decided";
      const canShare = plan.action === "check" && options?.signal === undefined;
      if (canShare) return this.#share(plan, cache, options);
    }
    return this.#ask(plan, cache, options);
  }

  /** The copies that are kept, in no order; to read, not to change. */
  entries(): Iterable<Readonly<Entry>> {
    return this.#entries;
  }

  scan(prefix: string): AsyncIterable<CellRow> {
    return this.#inner.scan(prefix);
  }

  async close(): Promise<void> {
    await this.#inner.close();
    this.#entries.clear();
  }

  /** Decides from the copies; false where one is too old or missing, or an increment may pass. */
  #repeat(plan: Step, cache: CachePolicy): boolean {
    const { nowMs, action } = plan;
    let oldestMs = nowMs;
    for (let leg: Leg | null = plan.legs; leg !== null; leg = leg.next) {
      const entry = this.#entries.get(leg);
      if (entry === undefined || !isYounger(entry.readMs, nowMs, cache)) return false;
      entry.cache = cache;
      if (entry.readMs < oldestMs) oldestMs = entry.readMs;
      // An increment that is admitted here changes a copy of the copy, and then asks the store.
      leg.cell = action === "check" ? entry.cell : entry.cell && copyOf(entry.cell);
    }
    if (apply(COPIES, plan, nowMs) === "stale") return false;
    if (action !== "check" && plan.status !== "denied") return false;
    plan.ageMs = nowMs - oldestMs;
    return true;
  }

  /** Asks the store for all that wait for the same counter: whoever comes first asks. */
  #share(plan: Step, cache: CachePolicy, options?: CallOptions): Verdict | Promise<Verdict> {
    const timeoutMs = options?.timeoutMs ?? Infinity;
    const waitsFor = this.#pendingOf(plan, cache, timeoutMs);
    if (waitsFor !== null) {
      return waitsFor.then(() =>
        this.#repeat(plan, cache) ? "decided" : this.#ask(plan, cache, options),
      );
    }
    const { nowMs } = plan;
    const verdict = this.#ask(plan, cache, options);
    if (typeof verdict === "string") return verdict;
    for (let leg: Leg | null = plan.legs; leg !== null; leg = leg.next) {
      const entry = this.#entries.keep(leg, cache);
      if (isYounger(entry.readMs, nowMs, cache)) continue;
      entry.pending = verdict;
      entry.pendingMs = nowMs;
      entry.pendingTimeoutMs = timeoutMs;
    }
    return verdict;
  }

  /**
   * A read under way of a counter whose copy is missing, begun within the expiry, that gives up no
   * later than this call would.
   */
  #pendingOf(plan: Step, cache: CachePolicy, timeoutMs: number): Promise<unknown> | null {
    for (let leg: Leg | null = plan.legs; leg !== null; leg = leg.next) {
      const entry = this.#entries.get(leg);
      if (entry === undefined || isYounger(entry.readMs, plan.nowMs, cache)) continue;
      if (entry.pendingTimeoutMs > timeoutMs) continue;
      if (isYounger(entry.pendingMs, plan.nowMs, cache)) return entry.pending;
    }
    return null;
  }

  /** Asks the store, and copies the counters as it answers. */
  #ask(plan: Step, cache: CachePolicy, options?: CallOptions): Verdict | Promise<Verdict> {
    // From before it is asked: the copy is no older, whatever clock the store has.
    const { nowMs } = plan;
    const verdict = this.#inner.apply(plan, options);
    if (typeof verdict !== "string") {
      return verdict.then(
        (later) => this.#learn(plan, cache, nowMs, later),
        (fault: unknown) => this.#fail(plan, nowMs, fault),
      );
    }
    return this.#learn(plan, cache, nowMs, verdict);
  }

  #learn(plan: Step, cache: CachePolicy, readMs: number, verdict: Verdict): Verdict {
    this.#endRead(plan, readMs);
    if (verdict === "stale") return verdict;
    for (let leg: Leg | null = plan.legs; leg !== null; leg = leg.next) {
      const entry = this.#entries.keep(leg, cache);
      entry.cell = leg.cell && copyOf(leg.cell);
      entry.readMs = readMs;
      entry.cache = cache;
    }
    return verdict;
  }

  /** A plan that names no cache, or of several steps: drops the copies of what it changed. */
  #pass(plan: Step, options?: CallOptions): Verdict | Promise<Verdict> {
    const { nowMs } = plan;
    const verdict = this.#inner.apply(plan, options);
    if (typeof verdict !== "string") {
      return verdict.then(
        (later) => this.#drop(plan, later),
        (fault: unknown) => this.#fail(plan, nowMs, fault),
      );
    }
    return this.#drop(plan, verdict);
  }

  /** What failed may have been counted. */
  #fail(plan: Step, askedMs: number, fault: unknown): never {
    this.#endRead(plan, askedMs);
    this.#drop(plan, "decided");
    throw fault;
  }

  /** Nobody waits any more for a read that was begun at `askedMs`. */
  #endRead(plan: Step, askedMs: number): void {
    for (let leg: Leg | null = plan.legs; leg !== null; leg = leg.next) {
      const entry = this.#entries.get(leg);
      if (entry?.pendingMs !== askedMs) continue;
      entry.pending = null;
      entry.pendingMs = -Infinity;
    }
  }

  #drop(plan: Step, verdict: Verdict): Verdict {
    if (verdict === "stale") return verdict;
    for (let step: Step | null = plan; step !== null; step = step.next) {
      if (step.action === "check") continue;
      for (let leg: Leg | null = step.legs; leg !== null; leg = leg.next) {
        const entry = this.#entries.get(leg);
        if (entry === undefined) continue;
        entry.cell = undefined;
        entry.readMs = -Infinity;
      }
    }
    return verdict;
  }
}

/** The copies stand in the legs already, and what is decided on them is kept nowhere. */
const COPIES: Cells = {
  get: ({ cell }) => cell,
  put: () => undefined,
  getAnswer: () => undefined,
  putAnswer: () => undefined,
};

/** With an idempotency key the first answer is told, which only the store knows. */
function mayRepeat({ action, answer }: Step): boolean {
  return answer === null && (action === "check" || action === "increment");
}

/** An instant of the future is not young: a clock that was set back says nothing of an age. */
function isYounger(atMs: number, nowMs: number, { expiry }: CachePolicy): boolean {
  return nowMs - atMs < expiry && atMs <= nowMs;
}
