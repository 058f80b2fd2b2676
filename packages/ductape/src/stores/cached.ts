import { apply, type Verdict } from "../decide/apply.js";
import type { CachePolicy, Step } from "../decide/step.js";
import { copyInto, copyOf, emptyCell, type Cell, type Cells } from "../decide/cell.js";
import { nextTold, type Leg } from "../decide/leg.js";
import type { CallOptions, Clock } from "../base/call.js";
import type {
  CellRow,
  Documents,
  Store,
  StoreFact,
  StoreGuarantees,
  StorePiece,
  StoreRoom,
} from "./store.js";
import { Entries, NEVER, type Entry } from "./entries.js";

/** A copy of a counter: to read, not to change. */
export interface Copy {
  readonly space: string;
  readonly subject: string;
  /** Null: nothing was ever counted. */
  readonly cell: Readonly<Cell> | null;
  /** The cache that used it last. */
  readonly cacheTag: string;
  /** When the counter was asked for, epoch milliseconds. */
  readonly readMs: number;
}

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
  readonly clock: Clock | undefined;
  readonly #inner: Store;
  readonly #entries = new Entries();
  /** What the instants of entries count from, epoch milliseconds. */
  #originMs = 0;

  constructor(inner: Store) {
    this.#inner = inner;
    this.guarantees = inner.guarantees;
    this.documents = inner.documents;
    this.clock = inner.clock;
  }

  get isOpen(): boolean {
    return this.#inner.isOpen;
  }

  get room(): StoreRoom | undefined {
    return this.#inner.room;
  }

  async open(): Promise<void> {
    // It may be another file: nothing of the old one is told.
    this.#entries.clear();
    await this.#inner.open();
  }

  async facts(): Promise<readonly StoreFact[]> {
    return (await this.#inner.facts?.()) ?? [];
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

  /** The copies that are kept, in no order. */
  *copies(): Generator<Copy> {
    for (const entry of this.#entries) {
      const { cache, space, subject, readMs } = entry;
      if (cache === null) continue;
      const cell = entry.window === NEVER ? null : entry;
      yield { space, subject, cell, cacheTag: cache.tag, readMs: readMs + this.#originMs };
    }
  }

  scan(prefix: string): AsyncIterable<CellRow> {
    return this.#inner.scan(prefix);
  }

  dump(): AsyncIterable<StorePiece> {
    return this.#inner.dump();
  }

  async load(piece: StorePiece, homeOf: (key: string) => string): Promise<void> {
    this.#entries.clear();
    await this.#inner.load(piece, homeOf);
  }

  async close(): Promise<void> {
    await this.#inner.close();
    this.#entries.clear();
  }

  /** Decides from the copies; false where one is too old or missing, or an increment may pass. */
  #repeat(plan: Step, cache: CachePolicy): boolean {
    const nowMs = plan.nowMs - this.#originMs;
    const isCheck = plan.action === "check";
    let oldestMs = nowMs;
    for (let leg: Leg | null = plan.legs; leg !== null; leg = nextTold(leg)) {
      const entry = this.#entries.get(leg);
      if (entry === undefined || !isYoung(entry, nowMs, cache)) return false;
      if (entry.cache !== cache) entry.cache = cache;
      if (entry.readMs < oldestMs) oldestMs = entry.readMs;
      // An increment that is admitted here changes a copy of the copy, and then asks the store.
      leg.cell = isCheck ? entry : copyOf(entry);
    }
    if (apply(COPIES, plan, plan.nowMs) === "stale") return false;
    if (!isCheck && plan.status !== "denied") return false;
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
    const answer = this.#ask(plan, cache, options);
    if (typeof answer === "string") return answer;
    const sinceMs = nowMs - this.#originMs;
    for (let leg: Leg | null = plan.legs; leg !== null; leg = nextTold(leg)) {
      const entry = this.#entries.keep(leg);
      if (!isYoung(entry, sinceMs, cache)) entry.pending = { answer, sinceMs, timeoutMs };
    }
    return answer;
  }

  /**
   * A read under way of a counter whose copy is missing, begun within the expiry, that gives up no
   * later than this call would.
   */
  #pendingOf(plan: Step, cache: CachePolicy, timeoutMs: number): Promise<unknown> | null {
    const nowMs = plan.nowMs - this.#originMs;
    for (let leg: Leg | null = plan.legs; leg !== null; leg = nextTold(leg)) {
      const entry = this.#entries.get(leg);
      if (entry === undefined || entry.pending === null || isYoung(entry, nowMs, cache)) continue;
      const { answer, sinceMs, timeoutMs: waitMs } = entry.pending;
      if (waitMs <= timeoutMs && isWithin(cache, sinceMs, nowMs)) return answer;
    }
    return null;
  }

  /** Asks the store, and copies the counters as it answers. */
  #ask(plan: Step, cache: CachePolicy, options?: CallOptions): Verdict | Promise<Verdict> {
    if (this.#entries.isEmpty) this.#originMs = plan.nowMs;
    // From before it is asked: the copy is no older, whatever clock the store has. The origin may
    // be another when the answer comes, so the instant is kept whole until then.
    const { nowMs } = plan;
    const verdict = this.#inner.apply(plan, options);
    if (typeof verdict === "string") return this.#learn(plan, cache, nowMs, verdict);
    return verdict.then(
      (later) => this.#learn(plan, cache, nowMs, later),
      (fault: unknown) => this.#fail(plan, fault),
    );
  }

  #learn(plan: Step, cache: CachePolicy, askedMs: number, verdict: Verdict): Verdict {
    const readMs = askedMs - this.#originMs;
    this.#endRead(plan, readMs);
    if (verdict === "stale") return verdict;
    for (let leg: Leg | null = plan.legs; leg !== null; leg = nextTold(leg)) {
      const entry = this.#entries.keep(leg);
      copyInto(entry, leg.cell ?? emptyCell(leg.rule.shape, NEVER));
      entry.readMs = readMs;
      entry.cache = cache;
    }
    return verdict;
  }

  /** A plan that names no cache, or of several steps: drops the copies of what it changed. */
  #pass(plan: Step, options?: CallOptions): Verdict | Promise<Verdict> {
    const verdict = this.#inner.apply(plan, options);
    if (typeof verdict === "string") return this.#drop(plan, verdict);
    return verdict.then(
      (later) => this.#drop(plan, later),
      (fault: unknown) => this.#fail(plan, fault),
    );
  }

  /** What failed may have been counted. */
  #fail(plan: Step, fault: unknown): never {
    this.#endRead(plan, Infinity);
    this.#drop(plan, "decided");
    throw fault;
  }

  /** Nobody waits any more for a read that was begun at `untilMs` or before. */
  #endRead(plan: Step, untilMs: number): void {
    for (let leg: Leg | null = plan.legs; leg !== null; leg = leg.next) {
      const entry = this.#entries.get(leg);
      if (entry === undefined || entry.pending === null) continue;
      if (entry.pending.sinceMs <= untilMs) entry.pending = null;
    }
  }

  #drop(plan: Step, verdict: Verdict): Verdict {
    if (verdict === "stale") return verdict;
    for (let step: Step | null = plan; step !== null; step = step.next) {
      if (step.action === "check") continue;
      for (let leg: Leg | null = step.legs; leg !== null; leg = leg.next) {
        const entry = this.#entries.get(leg);
        if (entry !== undefined) entry.cache = null;
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

function isYoung({ cache, readMs }: Entry, nowMs: number, policy: CachePolicy): boolean {
  return cache !== null && isWithin(policy, readMs, nowMs);
}

/** An instant of the future is no age: the clock was set back. */
function isWithin({ expiry }: CachePolicy, sinceMs: number, nowMs: number): boolean {
  return nowMs - sinceMs < expiry && sinceMs <= nowMs;
}
