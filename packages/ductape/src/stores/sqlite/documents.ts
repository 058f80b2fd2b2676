import type { Clock } from "../../base/call.js";
import type {
  DocumentChange,
  DocumentPage,
  DocumentWrite,
  KeptDocument,
  StoredDocument,
} from "../store.js";
import { rollBack, type Sqlite, type SqliteRow, type SqliteStatement } from "./driver.js";
import { storeError } from "./errors.js";

/** Expired documents dropped for each written one. */
const DROPS_PER_WRITE = 2;

/**
 * Documents in a SQLite file. Every change of a watched one takes the next sequence number. The
 * methods are those of `Documents`, but synchronous, and throw what SQLite throws.
 */
export class SqliteDocuments {
  readonly #db: Sqlite;
  readonly #path: string;
  readonly #clock: Clock;
  readonly #changed: () => void;
  readonly #changes: SqliteStatement;
  readonly #get: SqliteStatement;
  readonly #list: SqliteStatement;
  readonly #upsert: SqliteStatement;
  readonly #delete: SqliteStatement;
  readonly #drop: SqliteStatement;
  readonly #forget: SqliteStatement;
  readonly #selectAll: SqliteStatement;
  readonly #revise: SqliteStatement;

  constructor(db: Sqlite, path: string, clock: Clock, changed: () => void) {
    this.#db = db;
    this.#path = path;
    this.#clock = clock;
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
    // The row with the last sequence number stays; without it the next number would not look new.
    this.#drop = db.prepare(
      `DELETE FROM documents WHERE key IN
         (SELECT key FROM documents WHERE expires_ms <= ? LIMIT ?)
       AND sequence IS NOT (SELECT max(sequence) FROM documents)`,
    );
    this.#selectAll = db.prepare(
      `SELECT key, revision, value, expires_ms, sequence FROM documents
       WHERE key > ? AND value IS NOT NULL AND ${isLive} ORDER BY key LIMIT ?`,
    );
    this.#revise = db.prepare("UPDATE documents SET revision = ? WHERE key = ?");
    this.#forget = db.prepare("INSERT OR IGNORE INTO forgotten (prefix) VALUES (?)");
  }

  /** Like `Documents.changes`. */
  changes(after: number): { sequence: number; changes: DocumentChange[] } {
    const rows = this.#changes.all(after, this.#clock());
    const changes = rows.map(({ key, revision, value }) => ({
      key: String(key),
      revision: Number(revision),
      value: typeof value === "string" ? value : null,
    }));
    return { sequence: Number(rows.at(-1)?.["sequence"] ?? after), changes };
  }

  /** Like `Documents.get`. */
  get(key: string): StoredDocument | null {
    const row = this.#get.get(key, this.#clock());
    return row === undefined ? null : documentOf(row);
  }

  /** Like `Documents.list`. */
  list(folder: string, { after, limit }: DocumentPage): StoredDocument[] {
    const from = after === "" ? folder : after;
    return this.#list.all(from, `${folder}\u{10FFFF}`, this.#clock(), limit).map(documentOf);
  }

  /** Like `Documents.write`. */
  write(writes: readonly DocumentWrite[], forget: readonly string[]): string | null {
    this.#db.exec("BEGIN IMMEDIATE");
    let isCommitting = false;
    try {
      const nowMs = this.#clock();
      const stale = writes.find(({ key, ifRevision }) => {
        return Number(this.#get.get(key, nowMs)?.["revision"] ?? 0) !== ifRevision;
      });
      if (stale === undefined) {
        for (const write of writes) this.#put(write);
        this.#drop.run(nowMs, writes.length * DROPS_PER_WRITE);
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

  /** Documents under keys later than `after` that have not expired, by key, at most `most`. */
  after(after: string, most: number): KeptDocument[] {
    return this.#selectAll.all(after, this.#clock(), most).map((row) => ({
      ...documentOf(row),
      expiresMs: row["expires_ms"] === null ? null : Number(row["expires_ms"]),
      isUnwatched: row["sequence"] === null,
    }));
  }

  /** Writes documents unchanged, replacing others, as part of a transaction. */
  load(documents: readonly KeptDocument[]): void {
    for (const { key, revision, value, expiresMs, isUnwatched } of documents) {
      this.#upsert.run(key, isUnwatched ? 0 : 1, expiresMs, value);
      this.#revise.run(revision, key);
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
