import type { CallOptions, Clock } from "../base/call.js";
import type { Counter } from "../decide/counter.js";
import type { Hold } from "../decide/hold.js";
import type { Logger } from "../base/logger.js";
import type { Outcome } from "../decide/outcome.js";
import type { Plan } from "../decide/plan.js";

/**
 * What a store promises. Tests and docs read differences between stores from here, never from a
 * name.
 */
export interface StoreGuarantees {
  readonly name: string;
  /** An acknowledged change survives a crash of the process. */
  readonly durable: boolean;
  /** Who can share it and stay exact. */
  readonly shared: "process" | "machine" | "network";
}

/** How much a store in memory keeps, in estimated bytes, and how much it may keep. */
export interface StoreRoom {
  readonly bytes: number;
  readonly maxBytes: number;
}

/** A document after its last change. */
export interface StoredDocument {
  /** Its parts each end in "/"; those before the last are its folder. */
  readonly key: string;
  /** Increases with every change, from 1. */
  readonly revision: number;
  /** JSON text. */
  readonly value: string;
}

/** A change of a watched document; `value` is null once it is deleted. */
export interface DocumentChange extends Omit<StoredDocument, "value"> {
  readonly value: string | null;
}

/** A document with the options it was written with. */
export interface KeptDocument extends StoredDocument {
  /** Null: never. */
  readonly expiresMs: number | null;
  readonly isUnwatched: boolean;
}

/** One write of an all-or-nothing change of documents. */
export interface DocumentWrite {
  readonly key: string;
  /** The revision it must have now; 0: it must not exist. */
  readonly ifRevision: number;
  /** New JSON text, null to delete; undefined only checks the revision. */
  readonly value: string | null | undefined;
  /** Left out of `changes`: for numerous documents that few processes read. */
  readonly expiresMs?: number | undefined;
  /** Left out of `changes`, for numerous documents that few processes read. */
  readonly unwatched?: boolean | undefined;
}

/** Selects the documents of a folder to list. */
export interface DocumentPage {
  /** Begins after this key, which need not exist; "": at the first. */
  readonly after: string;
  /** At most this many. */
  readonly limit: number;
}

/**
 * Small JSON texts kept beside the counters, of two kinds. *Watched* ones are few, such as
 * definitions, keys and revocations: every process keeps them in memory and reads `changes`.
 * *Unwatched* ones are numerous, such as a record for each login, and are read by key or folder.
 *
 * From the instant it expires, by the store's clock, no method returns a document, and its
 * revision is 0. Later writes drop expired documents, a few at each, so that no sweep stalls a
 * call; a dropped document is no change.
 *
 * Every method throws `STORE_UNAVAILABLE` if the store cannot answer; `write` also `TIMEOUT`, and
 * `OVERLOADED` if there is no room for new unwatched documents.
 */
export interface Documents {
  /** Changes of watched documents after `sequence` (0: all), and the sequence after them. */
  changes(sequence: number): Promise<{ sequence: number; changes: DocumentChange[] }>;
  /** The document with a key, watched or not, after the last acknowledged write; null: none. */
  get(key: string): Promise<StoredDocument | null>;
  /**
   * The unwatched documents of one folder, in the order of their keys. Folders do not nest: a key
   * has one part after its folder.
   */
  list(folder: string, page: DocumentPage): Promise<StoredDocument[]>;
  /**
   * Writes all or none, and in the same step deletes the counters whose space starts with one of
   * `forget`. Returns the key of a write whose `ifRevision` no longer matches, else null.
   */
  write(writes: readonly DocumentWrite[], forget: readonly string[]): Promise<string | null>;
  /**
   * For an engine that announces changes of watched documents: calls `changed` soon after each, and
   * may miss some. Returns a function that stops it. Without it, clients ask every second.
   */
  watch?(changed: () => void): () => void;
}

/** A counter read by `scan`. */
export interface CounterRow {
  readonly space: string;
  readonly subject: string;
  /** A copy. */
  readonly counter: Counter;
}

/** The first answer to an idempotency key, as stored. */
export interface AnswerRow {
  /** The whole key. */
  readonly key: string;
  readonly text: string;
}

/** Where the answers and holds of a quota in one environment are kept. */
export interface RecordPlace {
  /** The start of all keys of its answers and holds. */
  readonly space: string;
  /** That of its rules: an engine of several machines keeps everything under it on one of them. */
  readonly shardKey: string;
}

/** The record of a hold. */
export interface HoldRow {
  /** Its place's. */
  readonly space: string;
  /** The hold's id. */
  readonly name: string;
  readonly hold: Hold;
}

/** Selects open holds to list. */
export interface HoldPage {
  /** Begins after this hold, which need not exist any more; null: at the oldest. */
  readonly after: { readonly openedMs: number; readonly name: string } | null;
  /** At most this many. */
  readonly limit: number;
}

/**
 * Reads what a store keeps of single calls, after the last acknowledged change or a later one. The
 * decision alone writes it. Every method throws `STORE_UNAVAILABLE` if the store cannot answer.
 */
export interface Records {
  /**
   * The text of the first answer to an idempotency key; null if it is missing or has expired.
   */
  answer(place: RecordPlace, name: string): Promise<string | null>;
  /** The record of a hold; null if it is missing or no longer remembered. */
  hold(place: RecordPlace, name: string): Promise<Hold | null>;
  /**
   * The holds of a place that are neither settled nor expired, those reserved first first, and
   * those of one instant by the code points of their ids.
   */
  openHolds(place: RecordPlace, page: HoldPage): Promise<readonly HoldRow[]>;
}

/** A part of everything in a store. */
export interface StoreChunk {
  readonly counters: readonly CounterRow[];
  readonly answers: readonly AnswerRow[];
  readonly holds: readonly HoldRow[];
  readonly documents: readonly KeptDocument[];
}

/** A fact about the engine of a store. */
export interface StoreFact {
  /** Such as `synchronous_commit`; with several servers, includes the server's address. */
  readonly name: string;
  readonly value: string;
  /** What to do; null if all is well. */
  readonly advice: string | null;
}

/**
 * Keeps counters, answers, holds and definitions. A store runs `apply` under its own lock and adds
 * nothing to the decision. Every plan is atomic, and resolves once it is as durable as `guarantees`
 * says.
 */
export interface Store {
  readonly guarantees: StoreGuarantees;
  /**
   * False before `open`, and again once what was opened is lost: the client then opens it and
   * reads all definitions again.
   */
  readonly isOpen: boolean;
  /**
   * For an engine whose own clock decides: its estimate from the engine's answers. Plans are made
   * for that instant.
   */
  readonly clock?: Clock | undefined;
  /** For a store bounded by memory. With no room left, it throws `OVERLOADED`. */
  readonly room?: StoreRoom | undefined;
  /** Opens or creates it. Throws `STORE_UNAVAILABLE` and may be called again. */
  open(): Promise<void>;
  /**
   * Decides the plan, and changes no argument. Where the engine has a round trip, plans of the same
   * turn of the event loop share a batch. Throws `STORE_UNAVAILABLE`, `TIMEOUT`, `ABORTED`,
   * `OVERLOADED`, `OUTCOME_UNKNOWN`.
   */
  apply(plan: Plan, options?: CallOptions): Outcome | Promise<Outcome>;
  readonly documents: Documents;
  readonly records: Records;
  /** Versions, settings that decide what survives, and how far its clock is from this machine's. */
  facts?(): Promise<readonly StoreFact[]>;
  /**
   * Counters of all spaces that start with `prefix`, in no order, each in a committed state. Read
   * in parts, so that other calls run in between.
   */
  scan(prefix: string): AsyncIterable<CounterRow>;
  /**
   * All that it holds and that has not expired, in chunks and in no order, read as by
   * {@link scan}. A store without `dump` and `load` works, but cannot be copied.
   */
  dump?(): AsyncIterable<StoreChunk>;
  /**
   * Writes what another store held, in place of what is stored under the same keys. `shardKeyOf`
   * returns the shard key of the quota of a space, or of the key of an answer.
   */
  load?(chunk: StoreChunk, shardKeyOf: (key: string) => string): Promise<void>;
  /** Waits for accepted calls to finish, then releases everything. */
  close(): Promise<void>;
}

/** Settings a client passes to its store. */
export interface StoreContext {
  /** The clock option, which decides instead of the engine's clock; undefined: it was left out. */
  readonly clock: Clock | undefined;
  /** How long a call waits by default, in milliseconds. */
  readonly timeoutMs: number;
  readonly logger: Logger;
}

/** Makes the store of one client. */
export type StoreMaker = (context: StoreContext) => Store;
