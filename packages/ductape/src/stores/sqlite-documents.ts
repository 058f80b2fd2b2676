import type { DocumentChange, DocumentWrite } from "../store.js";
import type { Sqlite, SqliteStatement } from "./sqlite-driver.js";
import { storeError } from "./sqlite-errors.js";
import { rollBack } from "./sqlite-schema.js";

/** Definitions in a SQLite file. Every change takes the next sequence number, deletions too. */
export class SqliteDocuments {
  readonly #db: Sqlite;
  readonly #path: string;
  readonly #changed: () => void;
  readonly #select: SqliteStatement;
  readonly #revision: SqliteStatement;
  readonly #upsert: SqliteStatement;
  readonly #forget: SqliteStatement;

  constructor(db: Sqlite, path: string, changed: () => void) {
    this.#db = db;
    this.#path = path;
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

  /** As `Documents.changes`, without waiting. Throws what SQLite throws. */
  changes(sequence: number): { sequence: number; changes: DocumentChange[] } {
    const rows = this.#select.all(sequence);
    const changes = rows.map(({ key, revision, value }) => ({
      key: String(key),
      revision: Number(revision),
      value: typeof value === "string" ? value : null,
    }));
    const last = rows.at(-1)?.["sequence"];
    return { sequence: last === undefined ? sequence : Number(last), changes };
  }

  /** As `Documents.write`, without waiting. Throws what SQLite throws. */
  write(writes: readonly DocumentWrite[], forget: readonly string[]): string | null {
    this.#db.exec("BEGIN IMMEDIATE");
    let isCommitting = false;
    try {
      const stale = writes.find(
        ({ key, ifRevision }) => Number(this.#revision.get(key)?.["revision"] ?? 0) !== ifRevision,
      );
      if (stale === undefined) {
        for (const { key, value } of writes) if (value !== undefined) this.#upsert.run(key, value);
        for (const prefix of forget) this.#forget.run(prefix);
        if (forget.length > 0) this.#changed();
      }
      isCommitting = stale === undefined;
      this.#db.exec(isCommitting ? "COMMIT" : "ROLLBACK");
      return stale?.key ?? null;
    } catch (error) {
      rollBack(this.#db);
      throw isCommitting ? storeError(error, this.#path, true) : error;
    }
  }
}
