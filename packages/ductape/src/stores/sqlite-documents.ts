import { StoreError } from "../errors.js";
import type { DocumentChange, Documents, DocumentWrite } from "../store.js";
import type { Sqlite, SqliteStatement } from "./sqlite-driver.js";
import { isBusy, storeError } from "./sqlite-errors.js";

/** Definitions in a SQLite file. Every change takes the next sequence number, deletions too. */
export class SqliteDocuments implements Documents {
  readonly #db: Sqlite;
  readonly #path: string;
  readonly #timeoutMs: number;
  readonly #changed: () => void;
  readonly #select: SqliteStatement;
  readonly #revision: SqliteStatement;
  readonly #upsert: SqliteStatement;
  readonly #forget: SqliteStatement;

  constructor(db: Sqlite, path: string, timeoutMs: number, changed: () => void) {
    this.#db = db;
    this.#path = path;
    this.#timeoutMs = timeoutMs;
    this.#changed = changed;
    this.#select = db.prepare(
      "SELECT key, revision, sequence, value FROM documents WHERE sequence > ? ORDER BY sequence",
    );
    this.#revision = db.prepare(
      `SELECT CASE WHEN value IS NULL THEN 0 ELSE revision END AS revision
       FROM documents WHERE key = ?`,
    );
    this.#upsert = db.prepare(
      `INSERT INTO documents (key, revision, sequence, value)
       VALUES (?, 1, (SELECT coalesce(max(sequence), 0) + 1 FROM documents), ?)
       ON CONFLICT (key) DO UPDATE SET revision = revision + 1, sequence = excluded.sequence,
         value = excluded.value`,
    );
    this.#forget = db.prepare("INSERT OR IGNORE INTO forgotten (prefix) VALUES (?)");
  }

  changes(sequence: number): Promise<{ sequence: number; changes: DocumentChange[] }> {
    try {
      const rows = this.#select.all(sequence);
      const changes = rows.map(({ key, revision, value }) => ({
        key: String(key),
        revision: Number(revision),
        value: typeof value === "string" ? value : null,
      }));
      const last = rows.at(-1)?.["sequence"];
      return Promise.resolve({ sequence: last === undefined ? sequence : Number(last), changes });
    } catch (error) {
      return Promise.reject(storeError(error, this.#path));
    }
  }

  async write(writes: readonly DocumentWrite[], forget: readonly string[]): Promise<string | null> {
    const deadlineMs = performance.now() + this.#timeoutMs;
    for (;;) {
      try {
        return this.#writeOnce(writes, forget);
      } catch (error) {
        if (!isBusy(error)) throw storeError(error, this.#path);
        if (performance.now() > deadlineMs) {
          throw new StoreError("TIMEOUT", `the store stayed busy for ${this.#timeoutMs} ms`);
        }
        await new Promise((resolve) => setTimeout(resolve, 1 + Math.random() * 8));
      }
    }
  }

  #writeOnce(writes: readonly DocumentWrite[], forget: readonly string[]): string | null {
    this.#db.exec("BEGIN IMMEDIATE");
    try {
      const stale = writes.find(
        ({ key, ifRevision }) => Number(this.#revision.get(key)?.["revision"] ?? 0) !== ifRevision,
      );
      if (stale === undefined) {
        for (const { key, value } of writes) if (value !== undefined) this.#upsert.run(key, value);
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
}
