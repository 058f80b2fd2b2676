import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { apply, type Verdict } from "../apply.js";
import { StoreError } from "../errors.js";
import { splitCellKey } from "../key.js";
import type { Step } from "../plan.js";
import type { CallOptions, CellRow, Clock, Documents, Store } from "../store.js";
import { Batching } from "./batching.js";
import {
  openSqlite,
  type Sqlite,
  type SqliteDriver,
  type SqliteStatement,
} from "./sqlite-driver.js";
import { migrate } from "./sqlite-schema.js";
import { SqliteCells } from "./sqlite-cells.js";
import { SqliteDocuments } from "./sqlite-documents.js";
import { isBusy, storeError } from "./sqlite-errors.js";

/** How a {@link SqliteStore} is opened. */
export interface SqliteStoreOptions {
  /** The database file; its folder is made where it is missing. */
  readonly path: string;
  readonly clock: Clock;
  /** How long a call waits for another process's lock, in milliseconds. */
  readonly timeoutMs: number;
  /** Which binding to use; the first that loads unless given. */
  readonly driver?: SqliteDriver | undefined;
}

/**
 * Counters and definitions in one SQLite file, shared exactly by the processes of one machine. A
 * call resolves after its batch is committed and synced (`synchronous=FULL`): what was acknowledged
 * survives a killed process and a power cut that the disk survives.
 */
export class SqliteStore implements Store {
  readonly guarantees = { name: "sqlite", durable: true, shared: "machine" } as const;
  readonly documents: Documents;
  readonly #options: SqliteStoreOptions;
  readonly #batching: Batching;
  #engine: Engine | null = null;
  #isClosed = false;

  constructor(options: SqliteStoreOptions) {
    this.#options = options;
    this.#batching = new Batching((plans) => this.#opened().flush(plans, options.clock()), {
      batchPlansMax: 4096,
      queuePlansMax: 65_536,
      timeoutMs: options.timeoutMs,
    });
    this.documents = {
      changes: async (sequence) => this.#opened().documents.changes(sequence),
      get: async (key) => this.#opened().documents.get(key),
      list: async (folder, page) => this.#opened().documents.list(folder, page),
      write: async (writes, forget) => this.#opened().documents.write(writes, forget),
    };
  }

  async open(): Promise<void> {
    if (this.#engine !== null) return;
    this.#isClosed = false;
    const { path, timeoutMs, driver } = this.#options;
    try {
      mkdirSync(dirname(path), { recursive: true });
      const db = await openSqlite(path, driver);
      try {
        await prepareFile(db, timeoutMs);
        this.#engine = new Engine(db, this.#options);
      } catch (error) {
        db.close();
        throw error;
      }
    } catch (error) {
      throw storeError(error, path);
    }
  }

  apply(plan: Step, options?: CallOptions): Promise<Verdict> {
    return this.#batching.submit(plan, options);
  }

  async *scan(prefix: string): AsyncIterable<CellRow> {
    yield* this.#opened().scan(prefix);
  }

  async close(): Promise<void> {
    await this.#batching.drain();
    this.#isClosed = true;
    this.#engine?.close();
    this.#engine = null;
  }

  #opened(): Engine {
    if (this.#engine !== null) return this.#engine;
    const why = this.#isClosed ? "is closed" : "is not open";
    const message = `the store ${this.#options.path} ${why}`;
    throw new StoreError("STORE_UNAVAILABLE", message, { retryable: !this.#isClosed });
  }
}

/** Sets the file up, waiting out the locks of other processes that open it at the same time. */
async function prepareFile(db: Sqlite, timeoutMs: number): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    try {
      // A short wait in SQLite itself, so the event loop never stands still behind another process.
      db.exec("PRAGMA busy_timeout = 5");
      db.exec("PRAGMA journal_mode = WAL");
      db.exec("PRAGMA synchronous = FULL");
      migrate(db);
      return;
    } catch (error) {
      if (!isBusy(error) || performance.now() > deadlineMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, 2 + Math.random() * 8));
    }
  }
}

/** An open file: one connection, its counters in memory while nobody else has committed. */
class Engine {
  readonly documents: SqliteDocuments;
  readonly #db: Sqlite;
  readonly #path: string;
  readonly #cells: SqliteCells;
  readonly #dataVersion: SqliteStatement;
  readonly #begin: Readonly<Record<"read" | "write", SqliteStatement>>;
  readonly #commit: SqliteStatement;
  #seenVersion: unknown = null;

  constructor(db: Sqlite, options: SqliteStoreOptions) {
    const { path } = options;
    this.#db = db;
    this.#path = path;
    this.#cells = new SqliteCells(db);
    this.documents = new SqliteDocuments(db, options, () => this.#distrust());
    this.#dataVersion = db.prepare("PRAGMA data_version");
    this.#begin = { read: db.prepare("BEGIN"), write: db.prepare("BEGIN IMMEDIATE") };
    this.#commit = db.prepare("COMMIT");
  }

  /**
   * Decides a batch under the write lock and commits it once; null while another process has the
   * lock.
   */
  flush(plans: readonly Step[], nowMs: number): readonly Verdict[] | null {
    const db = this.#db;
    try {
      this.#begin[plans.every(onlyReads) ? "read" : "write"].run();
    } catch (error) {
      if (isBusy(error)) return null;
      throw storeError(error, this.#path);
    }
    let isCommitting = false;
    try {
      this.#readOn();
      const verdicts = plans.map((plan) => apply(this.#cells, plan, nowMs));
      this.#cells.write(nowMs);
      isCommitting = true;
      this.#commit.run();
      return verdicts;
    } catch (error) {
      this.#distrust();
      rollBack(db);
      if (isBusy(error) && !isCommitting) return null;
      throw storeError(error, this.#path, isCommitting);
    }
  }

  /** Reads in one transaction, so that rows and log agree. */
  scan(prefix: string): CellRow[] {
    try {
      this.#begin.read.run();
      try {
        this.#readOn();
        const rows = this.#cells.scan(prefix);
        return rows.map(({ key, ...numbers }) => ({ ...splitCellKey(key), ...numbers }));
      } finally {
        rollBack(this.#db);
      }
    } catch (error) {
      throw storeError(error, this.#path);
    }
  }

  close(): void {
    this.#db.close();
  }

  /** What is in memory is right as long as no other connection has committed. */
  #readOn(): void {
    const version = this.#dataVersion.get()?.["data_version"];
    if (version !== this.#seenVersion) this.#cells.readOn();
    this.#seenVersion = version;
  }

  #distrust(): void {
    this.#cells.clear();
    this.#seenVersion = null;
  }
}

function onlyReads(plan: Step): boolean {
  for (let step: Step | null = plan; step !== null; step = step.next) {
    if (step.action !== "check" || step.answer !== null) return false;
  }
  return true;
}

/** A failed statement may have ended the transaction already. */
function rollBack(db: Sqlite): void {
  try {
    db.exec("ROLLBACK");
  } catch {
    // Nothing is open any more: that is what was wanted.
  }
}
