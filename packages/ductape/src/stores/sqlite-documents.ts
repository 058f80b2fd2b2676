import { StoreError } from "../errors.js";
import type {
  Clock,
  DocumentChange,
  DocumentPage,
  Documents,
  DocumentWrite,
  StoredDocument,
} from "../store.js";
import type { Sqlite, SqliteRow, SqliteStatement } from "./sqlite-driver.js";
import { isBusy, storeError } from "./sqlite-errors.js";

/** Expired documents dropped for each written one. */
const DROPS_PER_WRITE = 2;

/** How a {@link SqliteDocuments} works: part of the store's options. */
export interface SqliteDocumentsOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly timeoutMs: number;
}

/** Documents in a SQLite file. Every change of a watched one takes the next sequence number. */
export class SqliteDocuments implements Documents {
  readonly #db: Sqlite;
  readonly #options: SqliteDocumentsOptions;
  readonly #changed: () => void;
  readonly #changes: SqliteStatement;
  readonly #get: SqliteStatement;
  readonly #list: SqliteStatement;
  readonly #upsert: SqliteStatement;
  readonly #delete: SqliteStatement;
  readonly #drop: SqliteStatement;
  readonly #forget: SqliteStatement;

  constructor(db: Sqlite, options: SqliteDocumentsOptions, changed: () => void) {
    this.#db = db;
    this.#options = options;
    this.#changed = changed;
    const isLive = "(expires_ms IS NULL OR expires_ms > ?)";
    this.#changes = db.prepare(
      `SELECT key, revision, sequence, value FROM documents
       WHERE sequence > ? AND ${isLive} ORDER BY sequence`,
    );
    this.#get = db.prepare(
      `SELECT key, revision, value FROM documents
       WHERE key = ? AND value IS NOT NULL AND ${isLive}`,
    );
    this.#list = db.prepare(
      `SELECT key, revision, value FROM documents
       WHERE key > ? AND key < ? AND value IS NOT NULL AND sequence IS NULL AND ${isLive}
       ORDER BY key LIMIT ?`,
    );
    this.#upsert = db.prepare(
      `INSERT INTO documents (key, revision, sequence, expires_ms, value) VALUES (?, 1,
         CASE WHEN ? THEN (SELECT coalesce(max(sequence), 0) + 1 FROM documents) END, ?, ?)
       ON CONFLICT (key) DO UPDATE SET revision = revision + 1, sequence = excluded.sequence,
         expires_ms = excluded.expires_ms, value = excluded.value`,
    );
    this.#delete = db.prepare("DELETE FROM documents WHERE key = ?");
    // The last sequence number stays: after it, the next one would not be seen as new.
    this.#drop = db.prepare(
      `DELETE FROM documents WHERE key IN
         (SELECT key FROM documents WHERE expires_ms <= ? LIMIT ?)
       AND sequence IS NOT (SELECT max(sequence) FROM documents)`,
    );
    this.#forget = db.prepare("INSERT OR IGNORE INTO forgotten (prefix) VALUES (?)");
  }

  changes(after: number): Promise<{ sequence: number; changes: DocumentChange[] }> {
    return this.#read(() => {
      const rows = this.#changes.all(after, this.#options.clock());
      const changes = rows.map(({ key, revision, value }) => ({
        key: String(key),
        revision: Number(revision),
        value: typeof value === "string" ? value : null,
      }));
      return { sequence: Number(rows.at(-1)?.["sequence"] ?? after), changes };
    });
  }

  get(key: string): Promise<StoredDocument | null> {
    return this.#read(() => {
      const row = this.#get.get(key, this.#options.clock());
      return row === undefined ? null : documentOf(row);
    });
  }

  list(folder: string, { after, limit }: DocumentPage): Promise<StoredDocument[]> {
    return this.#read(() => {
      const from = after === "" ? folder : after;
      const end = `${folder}\u{10FFFF}`;
      return this.#list.all(from, end, this.#options.clock(), limit).map(documentOf);
    });
  }

  #read<T>(read: () => T): Promise<T> {
    try {
      return Promise.resolve(read());
    } catch (error) {
      return Promise.reject(storeError(error, this.#options.path));
    }
  }

  async write(writes: readonly DocumentWrite[], forget: readonly string[]): Promise<string | null> {
    const deadlineMs = performance.now() + this.#options.timeoutMs;
    for (;;) {
      try {
        return this.#writeOnce(writes, forget);
      } catch (error) {
        if (!isBusy(error)) throw storeError(error, this.#options.path);
        if (performance.now() > deadlineMs) {
          throw new StoreError(
            "TIMEOUT",
            `the store stayed busy for ${this.#options.timeoutMs} ms`,
          );
        }
        await new Promise((resolve) => setTimeout(resolve, 1 + Math.random() * 8));
      }
    }
  }

  #writeOnce(writes: readonly DocumentWrite[], forget: readonly string[]): string | null {
    this.#db.exec("BEGIN IMMEDIATE");
    try {
      const nowMs = this.#options.clock();
      const stale = writes.find(({ key, ifRevision }) => {
        return Number(this.#get.get(key, nowMs)?.["revision"] ?? 0) !== ifRevision;
      });
      if (stale === undefined) {
        for (const write of writes) this.#put(write);
        this.#drop.run(nowMs, writes.length * DROPS_PER_WRITE);
        for (const prefix of forget) this.#forget.run(prefix);
        if (forget.length > 0) this.#changed();
      }
      this.#db.exec(stale === undefined ? "COMMIT" : "ROLLBACK");
      return stale?.key ?? null;
    } catch (error) {
      try {
        this.#db.exec("ROLLBACK");
      } catch {
        // Already rolled back by SQLite.
      }
      throw error;
    }
  }
  #put({ key, value, expiresMs, unwatched = false }: DocumentWrite): void {
    if (value === undefined) return;
    if (value === null && unwatched) this.#delete.run(key);
    else this.#upsert.run(key, unwatched ? 0 : 1, expiresMs ?? null, value);
  }
}

function documentOf({ key, revision, value }: SqliteRow): StoredDocument {
  return { key: String(key), revision: Number(revision), value: String(value) };
}
