import { setImmediate as nextTurn } from "node:timers/promises";
import { apply, type Verdict } from "../../decide/apply.js";
import { copyOf } from "../../decide/cell.js";
import { StoreError } from "../../base/errors.js";
import type { Step } from "../../decide/step.js";
import { type CallOptions, type Clock, abortedError } from "../../base/call.js";
import type { CellRow, Documents, Store, StoreFact, StorePiece, StoreRoom } from "../store.js";
import { fact } from "../facts.js";
import { HEAP_BYTES_MAX } from "../heap.js";
import { MemoryCells } from "./cells.js";
import { MemoryDocuments } from "./documents.js";
import { MemoryRoom } from "./room.js";
import { PIECE_ROWS, piecesOf } from "../paging.js";

const MB = 1e6;
/** The most that a {@link MemoryStore} keeps: a map of the runtime has at most 2^24 entries. */
export const MEMORY_MB_MAX = 3_000;

/**
 * Counters and definitions in this process, gone with it. Decides in the caller's turn, without
 * waiting. Counters of past windows are dropped a few at each new counter, so no sweep ever stalls.
 * It keeps at most `maxMb` megabytes as it estimates them, by default half of what the heap may be;
 * then new subjects, keys and sessions are `OVERLOADED`, and known ones go on.
 */
export class MemoryStore implements Store {
  readonly guarantees = { name: "memory", durable: false, shared: "process" } as const;
  readonly #documents: MemoryDocuments;
  readonly #cells: MemoryCells;
  readonly #room: MemoryRoom;
  readonly #clock: Clock;
  #isClosed = false;

  /** `clock` says when documents expire; calls bring their own instant. */
  constructor(clock: Clock, maxMb: number = defaultMb()) {
    this.#clock = clock;
    this.#room = new MemoryRoom(maxMb * MB);
    this.#cells = new MemoryCells(this.#room);
    const forget = (prefix: string): void => this.#cells.forget(prefix);
    this.#documents = new MemoryDocuments(clock, forget, this.#room);
  }

  get documents(): Documents {
    return this.#documents;
  }

  get isOpen(): boolean {
    return !this.#isClosed;
  }

  get room(): StoreRoom {
    return this.#room;
  }

  open(): Promise<void> {
    return Promise.resolve();
  }

  apply(plan: Step, options?: CallOptions): Verdict {
    if (this.#isClosed) {
      throw new StoreError("STORE_UNAVAILABLE", "the store is closed", { retryable: false });
    }
    if (options?.signal?.aborted) throw abortedError(options.signal.reason);
    const cells = this.#cells;
    cells.nowMs = plan.nowMs;
    if (this.#room.isTight) cells.checkRoom(plan);
    const verdict = apply(cells, plan, plan.nowMs);
    cells.dropPast();
    return verdict;
  }

  facts(): Promise<readonly StoreFact[]> {
    const { bytes, maxBytes, isTight } = this.#room;
    const value = `${Math.round(bytes / MB)} of at most ${Math.round(maxBytes / MB)} MB`;
    const advice = isTight ? "give it more room (memory:?max_mb=...), or keep it on disk" : null;
    return Promise.resolve([fact("kept", value, advice)]);
  }

  async *scan(prefix: string): AsyncIterable<CellRow> {
    for (const [space, cells] of this.#cells.under(prefix)) {
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

/** Half of what the heap of this process may be. */
function defaultMb(): number {
  return Math.min(MEMORY_MB_MAX, Math.floor(HEAP_BYTES_MAX / 2 / MB));
}
