import { dirname } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { apply } from "../../decide/apply.js";
import type { Outcome } from "../../decide/outcome.js";
import type { Counter } from "../../decide/counter.js";
import { StoreError } from "../../base/errors.js";
import { splitCounterKey } from "../../base/key.js";
import { onlyReads, type Plan } from "../../decide/plan.js";
import type {
  CounterRow,
  DocumentChange,
  DocumentPage,
  Documents,
  DocumentWrite,
  KeptDocument,
  Records,
  Store,
  StoredDocument,
  StoreChunk,
  StoreFact,
} from "../store.js";
import { type CallOptions, type Clock, timedOut } from "../../base/call.js";
import { Batching } from "../batching.js";
import { CHUNK_ROWS, pagesOf, chunksOf } from "../paging.js";
import {
  FILE_SCHEMA,
  openSqlite,
  rollBack,
  type Sqlite,
  type SqliteDriver,
  type SqliteStatement,
} from "./driver.js";
import { makeFolder, SqliteFile } from "./file.js";
import { sqliteFacts } from "./facts.js";
import { migrate, schemaVersion } from "./schema.js";
import { SqliteCounters } from "./counters.js";
import { SqliteDocuments } from "./documents.js";
import { isBusy, isLost, storeError } from "./errors.js";

/** Options of a {@link SqliteStore}. */
interface SqliteStoreOptions {
  /** The database file; its folder is created if it is missing. */
  readonly path: string;
  readonly clock: Clock;
  /** How long a call waits for another process's lock, in milliseconds. */
  readonly timeoutMs: number;
  /** The binding to use; by default the first that loads. */
  readonly driver?: SqliteDriver | undefined;
}

/**
 * Counters and definitions in one SQLite file, shared exactly by the processes of one machine. A
 * call resolves after its batch is committed and synced (`synchronous=FULL`): what was
 * acknowledged survives a killed process, and a power failure that the disk survives.
 */
export class SqliteStore implements Store {
  readonly guarantees = { name: "sqlite", durable: true, shared: "machine" } as const;
  readonly documents: Documents;
  readonly records: Records;
  readonly #options: SqliteStoreOptions;
  readonly #batching: Batching;
  #engine: Engine | null = null;
  #isClosed = false;
  #opening: Promise<void> | null = null;

  constructor(options: SqliteStoreOptions) {
    this.#options = options;
    this.#batching = new Batching((plans) => this.#flush(plans), {
      batchPlansMax: 4096,
      queuePlansMax: 65_536,
      timeoutMs: options.timeoutMs,
    });
    this.documents = {
      changes: (sequence) => this.#whileBusy((engine) => engine.changes(sequence)),
      get: (key) => this.#whileBusy((engine) => engine.get(key)),
      list: (folder, page) => this.#whileBusy((engine) => engine.list(folder, page)),
      write: (writes, forget) => this.#whileBusy((engine) => engine.write(writes, forget)),
    };
    this.records = {
      answer: ({ space }, name) =>
        this.#read((counters, nowMs) => counters.answer(space + name, nowMs)),
      hold: ({ space }, name) => this.#read(({ holds }, nowMs) => holds.live(space, name, nowMs)),
      openHolds: ({ space }, page) =>
        this.#read(({ holds }, nowMs) => holds.open(space, page, nowMs)),
    };
  }

  get isOpen(): boolean {
    return this.#engine !== null;
  }

  open(): Promise<void> {
    if (this.#engine !== null) return Promise.resolve();
    this.#opening ??= this.#openNow().finally(() => {
      this.#opening = null;
    });
    return this.#opening;
  }

  async #openNow(): Promise<void> {
    this.#isClosed = false;
    const { path, timeoutMs, driver } = this.#options;
    try {
      makeFolder(dirname(path));
      const db = await whileBusy(timeoutMs, () => openSqlite(path, driver));
      try {
        await whileBusy(timeoutMs, () => prepareFile(db, path));
        this.#engine = new Engine(db, this.#options);
      } catch (error) {
        db.close();
        throw error;
      }
    } catch (error) {
      throw storeError(error, path);
    }
  }

  apply(plan: Plan, options?: CallOptions): Promise<Outcome> {
    if (this.#isClosed) return Promise.reject(this.#notOpen());
    return this.#batching.submit(plan, options);
  }

  async *scan(prefix: string): AsyncIterable<CounterRow> {
    let after = "";
    for (;;) {
      const rows = this.#opened().scan(prefix, after);
      for (const { key, counter } of rows) yield { ...splitCounterKey(key), counter };
      const last = rows.at(-1);
      if (last === undefined || rows.length < CHUNK_ROWS) return;
      after = last.key;
      await nextTurn();
    }
  }

  async *dump(): AsyncIterable<StoreChunk> {
    const nothing = { counters: [], answers: [], holds: [], documents: [] };
    for await (const counters of chunksOf(this.scan(""))) yield { ...nothing, counters };
    const answered = (after: string) =>
      this.#read((counters, nowMs) => counters.answersAfter(after, nowMs, CHUNK_ROWS));
    for await (const answers of pagesOf(answered)) yield { ...nothing, answers };
    const held = (after: string) =>
      this.#read(({ holds }, nowMs) => holds.after(after, nowMs, CHUNK_ROWS));
    for await (const holds of pagesOf(held)) yield { ...nothing, holds };
    const kept = (after: string) => this.#whileBusy((engine) => engine.all(after));
    for await (const documents of pagesOf(kept)) yield { ...nothing, documents };
  }

  async load(chunk: StoreChunk): Promise<void> {
    await this.#whileBusy((engine) => engine.load(chunk));
  }

  facts(): Promise<readonly StoreFact[]> {
    return this.#whileBusy((engine) => engine.facts());
  }

  async close(): Promise<void> {
    // First, so that new calls cannot delay the end for ever.
    this.#isClosed = true;
    await this.#opening?.catch(() => undefined);
    await this.#batching.drain();
    this.#engine?.close();
    this.#engine = null;
  }

  #flush(plans: readonly Plan[]): readonly Outcome[] | null {
    const engine = this.#opened();
    try {
      return engine.flush(plans);
    } catch (error) {
      throw this.#failed(engine, error);
    }
  }

  #read<T>(work: (counters: SqliteCounters, nowMs: number) => T): Promise<T> {
    return this.#whileBusy((engine) => engine.records(work));
  }

  /** Works on the file, trying again while another process holds its lock. */
  #whileBusy<T>(work: (engine: Engine) => T): Promise<T> {
    return whileBusy(this.#options.timeoutMs, () => {
      const engine = this.#opened();
      try {
        return work(engine);
      } catch (error) {
        throw isBusy(error) ? error : this.#failed(engine, error);
      }
    });
  }

  /**
   * The public error. A lost file is closed, so that the next call opens the file now at the path.
   */
  #failed(engine: Engine, error: unknown): unknown {
    const fault = storeError(error, this.#options.path);
    if (isLost(fault) && engine === this.#engine) {
      this.#engine = null;
      engine.close();
    }
    return fault;
  }

  #opened(): Engine {
    if (this.#engine !== null) return this.#engine;
    throw this.#notOpen();
  }

  #notOpen(): StoreError {
    const why = this.#isClosed ? "is closed" : "is not open";
    const message = `the store ${this.#options.path} ${why}`;
    return new StoreError("STORE_UNAVAILABLE", message, { retryable: !this.#isClosed });
  }
}

/** Sets up the file. A file of another program is refused before anything is written to it. */
function prepareFile(db: Sqlite, path: string): void {
  // Only a short wait in SQLite itself, so another process never blocks the event loop.
  db.exec("PRAGMA busy_timeout = 5");
  schemaVersion(db, path);
  db.exec(`PRAGMA ${FILE_SCHEMA}.journal_mode = WAL`);
  db.exec(`PRAGMA ${FILE_SCHEMA}.synchronous = FULL`);
  migrate(db, path);
}

const RETRY_MS_MAX = 8;

/**
 * Tries again while another process holds the lock. Throws `TIMEOUT`, and what `attempt` throws.
 */
async function whileBusy<T>(timeoutMs: number, attempt: () => T | Promise<T>): Promise<T> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (!isBusy(error)) throw error;
      if (performance.now() > deadlineMs) throw timedOut(timeoutMs);
    }
    await new Promise((resolve) => setTimeout(resolve, 1 + Math.random() * RETRY_MS_MAX));
  }
}

/** An open file: one connection, with counters in memory as long as nobody else commits. */
class Engine {
  readonly #db: Sqlite;
  readonly #path: string;
  readonly #clock: Clock;
  readonly #file: SqliteFile;
  readonly #documents: SqliteDocuments;
  readonly #counters: SqliteCounters;
  readonly #dataVersion: SqliteStatement;
  readonly #begin: Readonly<Record<"read" | "write", SqliteStatement>>;
  readonly #commit: SqliteStatement;
  #seenVersion: unknown = null;

  constructor(db: Sqlite, options: SqliteStoreOptions) {
    const { path } = options;
    this.#db = db;
    this.#path = path;
    this.#clock = options.clock;
    this.#file = new SqliteFile(path);
    this.#counters = new SqliteCounters(db);
    this.#documents = new SqliteDocuments(db, path, options.clock, () => this.#distrust());
    this.#dataVersion = db.prepare(`PRAGMA ${FILE_SCHEMA}.data_version`);
    this.#begin = { read: db.prepare("BEGIN"), write: db.prepare("BEGIN IMMEDIATE") };
    this.#commit = db.prepare("COMMIT");
  }

  /**
   * Decides a batch under the write lock and commits it once; null while another process has the
   * lock. The instant is read inside the lock, so no batch is decided earlier than one before it.
   */
  flush(plans: readonly Plan[]): readonly Outcome[] | null {
    const db = this.#db;
    const kind = plans.every(onlyReads) ? "read" : "write";
    try {
      this.#begin[kind].run();
    } catch (error) {
      if (isBusy(error)) return null;
      throw storeError(error, this.#path);
    }
    let isCommitting = false;
    try {
      const nowMs = this.#clock();
      this.#readOn();
      const outcomes = plans.map((plan) => apply(this.#counters, plan, nowMs));
      this.#counters.write(nowMs);
      isCommitting = true;
      this.#commit.run();
      if (kind === "write") this.#file.assertKept();
      return outcomes;
    } catch (error) {
      this.#distrust();
      rollBack(db);
      if (isBusy(error) && !isCommitting) return null;
      throw storeError(error, this.#path, isCommitting);
    }
  }

  /** Reads a chunk in one transaction, so that rows and log agree. */
  scan(prefix: string, after: string): { key: string; counter: Counter }[] {
    try {
      this.#begin.read.run();
      try {
        this.#readOn();
        return this.#counters.scan(prefix, after, CHUNK_ROWS);
      } finally {
        rollBack(this.#db);
      }
    } catch (error) {
      throw storeError(error, this.#path);
    }
  }

  /** Changes after `sequence`. Throws what SQLite throws. */
  changes(sequence: number): { sequence: number; changes: DocumentChange[] } {
    this.#file.assertInPlace();
    return this.#documents.changes(sequence);
  }

  /** One document. Throws what SQLite throws. */
  get(key: string): StoredDocument | null {
    this.#file.assertInPlace();
    return this.#documents.get(key);
  }

  /** Documents of a folder. Throws what SQLite throws. */
  list(folder: string, page: DocumentPage): StoredDocument[] {
    this.#file.assertInPlace();
    return this.#documents.list(folder, page);
  }

  /** Facts about the file for people. Throws what SQLite throws. */
  facts(): StoreFact[] {
    return sqliteFacts(this.#db, this.#path);
  }

  /**
   * Writes documents, all or none. Returns the key whose revision was not the expected one, or
   * null. Throws what SQLite throws.
   */
  write(writes: readonly DocumentWrite[], forget: readonly string[]): string | null {
    const stale = this.#documents.write(writes, forget);
    if (stale === null) this.#file.assertKept();
    return stale;
  }

  /** Reads answers or holds. Throws what SQLite throws. */
  records<T>(read: (counters: SqliteCounters, nowMs: number) => T): T {
    this.#file.assertInPlace();
    return read(this.#counters, this.#clock());
  }

  /** Documents by key. Throws what SQLite throws. */
  all(after: string): KeptDocument[] {
    return this.#documents.after(after, CHUNK_ROWS);
  }

  /** Writes the content of another store, in one transaction. Throws what SQLite throws. */
  load(chunk: StoreChunk): void {
    this.#begin.write.run();
    try {
      this.#readOn();
      this.#counters.load(chunk, this.#clock());
      this.#documents.load(chunk.documents);
      this.#commit.run();
      this.#file.assertKept();
    } catch (error) {
      this.#distrust();
      rollBack(this.#db);
      throw error;
    }
  }

  close(): void {
    this.#file.release(this.#db);
  }

  /** The memory is valid as long as no other connection has committed. */
  #readOn(): void {
    const version = this.#dataVersion.get()?.["data_version"];
    if (version !== this.#seenVersion) this.#counters.readOn();
    this.#seenVersion = version;
  }

  #distrust(): void {
    this.#counters.clear();
    this.#seenVersion = null;
  }
}
