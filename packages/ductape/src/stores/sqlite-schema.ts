import { StoreError } from "../errors.js";
import type { Sqlite } from "./sqlite-driver.js";

/** Numbered changes of the schema, each run once; never edited after a release. */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE cells (
    id INTEGER NOT NULL PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    shape INTEGER NOT NULL,
    start_ms INTEGER NOT NULL,
    end_ms INTEGER NOT NULL,
    used INTEGER NOT NULL CHECK (used BETWEEN 0 AND 9007199254740991),
    granted INTEGER NOT NULL CHECK (granted BETWEEN 0 AND 9007199254740991),
    alerted REAL NOT NULL,
    entries TEXT,
    seen_ms INTEGER NOT NULL,
    planned_limit INTEGER -- null: not known; -1: none
  ) STRICT;
  CREATE TABLE log (
    seq INTEGER NOT NULL PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    pairs BLOB NOT NULL
  ) STRICT;
  CREATE TABLE answers (
    key TEXT NOT NULL PRIMARY KEY,
    expires_ms INTEGER NOT NULL,
    answer TEXT NOT NULL
  ) STRICT;
  CREATE INDEX answers_by_expiry ON answers (expires_ms);
  CREATE TABLE documents (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    sequence INTEGER,
    expires_ms INTEGER,
    value TEXT
  ) STRICT;
  CREATE INDEX documents_by_sequence ON documents (sequence) WHERE sequence IS NOT NULL;
  CREATE INDEX documents_by_expiry ON documents (expires_ms) WHERE expires_ms IS NOT NULL;
  CREATE TABLE forgotten (prefix TEXT NOT NULL PRIMARY KEY) STRICT;
  `,
];

/** "duct" in ASCII, so that a file of another program is never written to. */
const APPLICATION_ID = 0x64756374;

/**
 * Brings the file to this version's schema, under its write lock. Throws `STORE_UNAVAILABLE` for a
 * file that is newer or of another program.
 */
export function migrate(db: Sqlite, path: string): void {
  if (schemaVersion(db, path) === MIGRATIONS.length) return;
  db.exec("BEGIN IMMEDIATE");
  try {
    const version = schemaVersion(db, path);
    for (const sql of MIGRATIONS.slice(version)) db.exec(sql);
    db.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
    db.exec(`PRAGMA user_version = ${MIGRATIONS.length}`);
    db.exec("COMMIT");
  } catch (error) {
    rollBack(db);
    throw error;
  }
}

/** In one statement, as another process may be making the tables. */
const TOLD = `
  SELECT user_version, application_id, (SELECT count(*) FROM sqlite_schema) AS tables
  FROM pragma_user_version, pragma_application_id`;

/**
 * The schema that the file has; 0 for an empty one. Writes nothing. Throws `STORE_UNAVAILABLE` for
 * a file that is newer or of another program.
 */
export function schemaVersion(db: Sqlite, path: string): number {
  const told = db.prepare(TOLD).get();
  const [version, owner] = [Number(told?.["user_version"]), Number(told?.["application_id"])];
  if (owner !== APPLICATION_ID && (owner !== 0 || version !== 0 || Number(told?.["tables"]) > 0)) {
    throw refused(path, "it belongs to another program; name another file, it was not changed");
  }
  if (version > MIGRATIONS.length) {
    const known = `it has schema ${version}, and this version knows ${MIGRATIONS.length}`;
    throw refused(path, `${known}; update ductape, it was not changed`);
  }
  return version;
}

/** Ends a transaction that failed; SQLite may have ended it already. */
export function rollBack(db: Sqlite): void {
  try {
    db.exec("ROLLBACK");
  } catch {
    // Nothing is open any more: that is what was wanted.
  }
}

function refused(path: string, why: string): StoreError {
  return new StoreError("STORE_UNAVAILABLE", `the store ${path}: ${why}`, { retryable: false });
}
