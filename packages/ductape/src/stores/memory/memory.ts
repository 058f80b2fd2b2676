import { setImmediate as nextTurn } from "node:timers/promises";
import { apply } from "../../decide/apply.js";
import { copyOf } from "../../decide/counter.js";
import { StoreError } from "../../base/errors.js";
import type { Outcome } from "../../decide/outcome.js";
import type { Plan } from "../../decide/plan.js";
import { type CallOptions, type Clock, abortedError } from "../../base/call.js";
import type {
  CounterRow,
  Documents,
  Records,
  Store,
  StoreFact,
  StoreChunk,
  StoreRoom,
} from "../store.js";
import { fact } from "../facts.js";
import { HEAP_BYTES_MAX } from "../heap.js";
import { MemoryCounters } from "./counters.js";
import { MemoryDocuments } from "./documents.js";
import { MemoryRoom } from "./room.js";
import { CHUNK_ROWS, chunksOf } from "../paging.js";

const MB = 1e6;
/** The most that a {@link MemoryStore} keeps: a map of the runtime has at most 2^24 entries. */
export const MEMORY_MB_MAX = 3_000;

/**
 * Counters and definitions in this process, lost when it ends. Decides in the caller's turn,
 * without waiting. Each new counter drops a few of past windows, so no sweep ever stalls. It keeps
 * at most `maxMb` estimated megabytes, by default half of the maximum heap; beyond that new
 * subjects, keys and sessions are `OVERLOADED`, and known ones continue.
 */
export class MemoryStore implements Store {
  readonly guarantees = { name: "memory", durable: false, shared: "process" } as const;
  readonly #documents: MemoryDocuments;
  readonly #counters: MemoryCounters;
  readonly #room: MemoryRoom;
  readonly #clock: Clock;
  #isClosed = false;

  /** `clock` determines when documents expire; calls have their own instant. */
  constructor(clock: Clock, maxMb: number = defaultMb()) {
    this.#clock = clock;
    this.#room = new MemoryRoom(maxMb * MB);
    this.#counters = new MemoryCounters(this.#room);
    const forget = (prefix: string): void => this.#counters.forget(prefix);
    this.#documents = new MemoryDocuments(clock, forget, this.#room);
  }

  get documents(): Documents {
    return this.#documents;
  }

  readonly records: Records = {
    answer: ({ space }, name) =>
      Promise.resolve(this.#counters.answers.live(space, name, this.#clock())),
    hold: ({ space }, name) =>
      Promise.resolve(this.#counters.holds.live(space, name, this.#clock())),
    openHolds: ({ space }, page) =>
      Promise.resolve(this.#counters.holds.open(space, page, this.#clock())),
  };

  get isOpen(): boolean {
    return !this.#isClosed;
  }

  get room(): StoreRoom {
    return this.#room;
  }

  open(): Promise<void> {
    return Promise.resolve();
  }

  apply(plan: Plan, options?: CallOptions): Outcome {
    if (this.#isClosed) {
      throw new StoreError("STORE_UNAVAILABLE", "the store is closed", { retryable: false });
    }
    if (options?.signal?.aborted) throw abortedError(options.signal.reason);
    const counters = this.#counters;
    const nowMs = plan[0].plannedMs;
    counters.nowMs = nowMs;
    if (this.#room.isTight) counters.checkRoom(plan);
    const outcome = apply(counters, plan, nowMs);
    counters.dropPast();
    return outcome;
  }

  facts(): Promise<readonly StoreFact[]> {
    const { bytes, maxBytes, isTight } = this.#room;
    const value = `${Math.round(bytes / MB)} of at most ${Math.round(maxBytes / MB)} MB`;
    const advice = isTight ? "give it more room (memory:?max_mb=...), or keep it on disk" : null;
    return Promise.resolve([fact("kept", value, advice)]);
  }

  async *scan(prefix: string): AsyncIterable<CounterRow> {
    for (const [space, counters] of this.#counters.under(prefix)) {
      let visits = 0;
      for (const [subject, counter] of counters) {
        if (++visits % CHUNK_ROWS === 0) await nextTurn();
        yield { space, subject, counter: copyOf(counter) };
      }
    }
  }

  async *dump(): AsyncIterable<StoreChunk> {
    for await (const counters of chunksOf(this.scan(""))) {
      yield { ...NOTHING, counters };
    }
    for await (const answers of chunksOf(this.#counters.answers.rows(this.#clock()))) {
      yield { ...NOTHING, answers };
    }
    for await (const holds of chunksOf(this.#counters.holds.rows(this.#clock()))) {
      yield { ...NOTHING, holds };
    }
    yield { ...NOTHING, documents: this.#documents.all() };
  }

  load({ counters, answers, holds, documents }: StoreChunk): Promise<void> {
    for (const { space, subject, counter } of counters)
      this.#counters.load(space, subject, counter);
    for (const answer of answers) this.#counters.answers.load(answer, this.#clock());
    for (const { space, name, hold } of holds) {
      this.#counters.holds.put(space, name, hold, this.#clock());
    }
    this.#documents.load(documents);
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.#isClosed = true;
    return Promise.resolve();
  }
}

const NOTHING: StoreChunk = { counters: [], answers: [], holds: [], documents: [] };

/** Half of the maximum heap of this process. */
function defaultMb(): number {
  return Math.min(MEMORY_MB_MAX, Math.floor(HEAP_BYTES_MAX / 2 / MB));
}
