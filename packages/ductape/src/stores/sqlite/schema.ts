import { StoreError } from "../../base/errors.js";
import { FILE_SCHEMA, rollBack, type Sqlite } from "./driver.js";

/** Numbered changes of the schema, each run once; never edited after a release. */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE ${FILE_SCHEMA}.cells (
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
  CREATE TABLE ${FILE_SCHEMA}.log (
    seq INTEGER NOT NULL PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    pairs BLOB NOT NULL
  ) STRICT;
  CREATE TABLE ${FILE_SCHEMA}.answers (
    key TEXT NOT NULL PRIMARY KEY,
    expires_ms INTEGER NOT NULL,
    answer TEXT NOT NULL
  ) STRICT;
  CREATE INDEX ${FILE_SCHEMA}.answers_by_expiry ON answers (expires_ms);
  CREATE TABLE ${FILE_SCHEMA}.documents (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    sequence INTEGER,
    expires_ms INTEGER,
    value TEXT
  ) STRICT;
  CREATE INDEX ${FILE_SCHEMA}.documents_by_sequence ON documents (sequence)
    WHERE sequence IS NOT NULL;
  CREATE INDEX ${FILE_SCHEMA}.documents_by_expiry ON documents (expires_ms)
    WHERE expires_ms IS NOT NULL;
  CREATE TABLE ${FILE_SCHEMA}.forgotten (prefix TEXT NOT NULL PRIMARY KEY) STRICT;
  `,
  // Null: it remembers no window before. SQLite keeps a comment in here, and cannot read it again.
  `ALTER TABLE ${FILE_SCHEMA}.cells ADD COLUMN last TEXT`,
  // The index has nothing but open holds, so it stays small however many are remembered.
  `
  ALTER TABLE ${FILE_SCHEMA}.cells ADD COLUMN holds TEXT;
  CREATE TABLE ${FILE_SCHEMA}.holds (
    id INTEGER NOT NULL PRIMARY KEY,
    space TEXT NOT NULL,
    name TEXT NOT NULL,
    opened_ms INTEGER NOT NULL,
    kept_ms INTEGER NOT NULL,
    is_open INTEGER NOT NULL,
    record TEXT NOT NULL,
    UNIQUE (space, name)
  ) STRICT;
  CREATE INDEX ${FILE_SCHEMA}.holds_open ON holds (space, opened_ms, name) WHERE is_open;
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
    db.exec(`PRAGMA ${FILE_SCHEMA}.application_id = ${APPLICATION_ID}`);
    db.exec(`PRAGMA ${FILE_SCHEMA}.user_version = ${MIGRATIONS.length}`);
    db.exec("COMMIT");
  } catch (error) {
    rollBack(db);
    throw error;
  }
}

/**
 * The schema version of the file; 0 for an empty one. Writes nothing. Throws `STORE_UNAVAILABLE`
 * for a file that is newer or belongs to another program.
 */
export function schemaVersion(db: Sqlite, path: string): number {
  const numberOf = (sql: string) => Number(Object.values(db.prepare(sql).get() ?? {})[0]);
  const version = numberOf(`PRAGMA ${FILE_SCHEMA}.user_version`);
  const tables = numberOf(`SELECT count(*) FROM ${FILE_SCHEMA}.sqlite_schema`);
  // Last: if another process creates the tables meanwhile, this shows that they are ours.
  const owner = numberOf(`PRAGMA ${FILE_SCHEMA}.application_id`);
  if (owner !== APPLICATION_ID && (owner !== 0 || version !== 0 || tables > 0)) {
    throw refused(path, "it belongs to another program; name another file, it was not changed");
  }
  if (version > MIGRATIONS.length) {
    const known = `it has schema ${version}, and this version knows ${MIGRATIONS.length}`;
    throw refused(path, `${known}; update ductape, it was not changed`);
  }
  return version;
}

function refused(path: string, why: string): StoreError {
  return new StoreError("STORE_UNAVAILABLE", `the store ${path}: ${why}`, { retryable: false });
}
