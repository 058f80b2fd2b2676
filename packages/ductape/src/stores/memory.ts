import { setImmediate as nextTurn } from "node:timers/promises";
import { apply, type Verdict } from "../apply.js";
import type { AnswerKey } from "../answer.js";
import { copyOf, keptUntilMs, type Cell, type Cells } from "../cell.js";
import { StoreError } from "../errors.js";
import type { Leg, LegRule } from "../leg.js";
import type { Step } from "../plan.js";
import type { CallOptions, CellRow, Clock, Documents, Store, StorePiece } from "../store.js";
import { abortedError } from "./batching.js";
import { MemoryAnswers } from "./memory-answers.js";
import { MemoryDocuments } from "./memory-documents.js";
import { PIECE_ROWS, piecesOf } from "./pieces.js";

/** How long a counter outlives its window, in milliseconds: a clock may be set back a little. */
export const PAST_GRACE_MS = 60_000;
/** Counters looked at for each new one, and answers: more than one keeps ahead of the growth. */
export const VISITS_PER_INSERT = 2;

/**
 * Counters and definitions in this process, gone with it. Decides in the caller's turn, without
 * waiting. Counters of past windows are dropped a few at each new counter, so no sweep ever stalls.
 */
export class MemoryStore implements Store {
  readonly guarantees = { name: "memory", durable: false, shared: "process" } as const;
  readonly #documents: MemoryDocuments;
  readonly #cells = new MemoryCells();
  readonly #clock: Clock;
  #isClosed = false;

  /** `clock` says when documents expire; calls bring their own instant. */
  constructor(clock: Clock) {
    this.#clock = clock;
    this.#documents = new MemoryDocuments(clock, (prefix) => this.#cells.forget(prefix));
  }

  get documents(): Documents {
    return this.#documents;
  }

  get isOpen(): boolean {
    return !this.#isClosed;
  }

  open(): Promise<void> {
    return Promise.resolve();
  }

  apply(plan: Step, options?: CallOptions): Verdict {
    if (this.#isClosed) {
      throw new StoreError("STORE_UNAVAILABLE", "the store is closed", { retryable: false });
    }
    if (options?.signal?.aborted) throw abortedError(options.signal.reason);
    this.#cells.nowMs = plan.nowMs;
    const verdict = apply(this.#cells, plan, plan.nowMs);
    if (this.#cells.newCount > 0) this.#cells.dropPast();
    return verdict;
  }

  async *scan(prefix: string): AsyncIterable<CellRow> {
    for (const [space, cells] of this.#cells.spaces) {
      if (!space.startsWith(prefix)) continue;
      let visits = 0;
      for (const [subject, cell] of cells) {
        if (++visits % PIECE_ROWS === 0) await nextTurn();
        yield { space, subject, cell: copyOf(cell) };
      }
    }
  }

  async *dump(): AsyncIterable<StorePiece> {
    for await (const counters of piecesOf(this.scan(""))) {
      yield { counters, answers: [], documents: [] };
    }
    for await (const answers of piecesOf(this.#cells.answers.rows(this.#clock()))) {
      yield { counters: [], answers, documents: [] };
    }
    yield { counters: [], answers: [], documents: this.#documents.all() };
  }

  load({ counters, answers, documents }: StorePiece): Promise<void> {
    for (const { space, subject, cell } of counters) this.#cells.load(space, subject, cell);
    for (const answer of answers) this.#cells.answers.load(answer, this.#clock());
    this.#documents.load(documents);
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.#isClosed = true;
    return Promise.resolve();
  }
}

class MemoryCells implements Cells {
  readonly spaces = new Map<string, Map<string, Cell>>();
  nowMs = 0;
  /** Counters made since the last {@link dropPast}. */
  newCount = 0;
  readonly answers = new MemoryAnswers();
  #walk = this.#walkCells();
  #lastRule: LegRule | null = null;
  #lastSpace: Map<string, Cell> | undefined;

  get(leg: Leg): Cell | undefined {
    return this.#spaceOf(leg.rule)?.get(leg.subject);
  }

  /** Calls in a row often ask for the same rule. */
  #spaceOf(rule: LegRule): Map<string, Cell> | undefined {
    if (rule === this.#lastRule) return this.#lastSpace;
    this.#lastRule = rule;
    this.#lastSpace = this.spaces.get(rule.space);
    return this.#lastSpace;
  }

  put(leg: Leg, cell: Cell): void {
    if (leg.cell !== cell) this.#insert(leg, cell);
  }

  #insert({ rule, subject }: Leg, cell: Cell): void {
    let space = this.#spaceOf(rule);
    if (space === undefined) {
      space = new Map();
      this.spaces.set(rule.space, space);
      this.#lastSpace = space;
    }
    const before = space.size;
    space.set(subject, cell);
    this.newCount += space.size - before;
  }

  load(space: string, subject: string, cell: Cell): void {
    const known = this.spaces.get(space);
    if (known !== undefined) known.set(subject, copyOf(cell));
    else this.spaces.set(space, new Map([[subject, copyOf(cell)]]));
    this.#lastRule = null;
  }

  getAnswer(key: AnswerKey): string | undefined {
    return this.answers.get(key);
  }

  putAnswer({ space, name }: AnswerKey, text: string, expiresMs: number): void {
    this.answers.put(space, name, text, expiresMs, this.nowMs);
  }

  forget(prefix: string): void {
    this.#lastRule = null;
    for (const space of this.spaces.keys()) if (space.startsWith(prefix)) this.spaces.delete(space);
    this.answers.forget(prefix);
  }

  /**
   * A few visits for each new counter. Never during a decision.
   */
  dropPast(): void {
    for (; this.newCount > 0; this.newCount -= 1 / VISITS_PER_INSERT) {
      if (this.#walk.next().done) this.#walk = this.#walkCells();
    }
  }

  *#walkCells(): Generator<undefined> {
    for (const [space, cells] of this.spaces) {
      for (const [subject, cell] of cells) {
        if (keptUntilMs(cell) <= this.nowMs - PAST_GRACE_MS) cells.delete(subject);
        yield;
      }
      if (cells.size > 0) continue;
      this.spaces.delete(space);
      this.#lastRule = null;
    }
  }
}
