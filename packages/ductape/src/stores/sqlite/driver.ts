import { StoreError } from "../../base/errors.js";

/** The bindings to SQLite: the runtime's own, and an optional package with the same interface. */
export const SQLITE_DRIVERS = ["node:sqlite", "@photostructure/sqlite"] as const;

/** A binding to SQLite. */
export type SqliteDriver = (typeof SQLITE_DRIVERS)[number];

/** A row by column name. */
export type SqliteRow = Record<string, unknown>;

/** A value that a statement accepts. */
type SqliteValue = string | number | null | Uint8Array;

/** The part of a prepared statement that is used here. */
export interface SqliteStatement {
  get(...values: SqliteValue[]): SqliteRow | undefined;
  all(...values: SqliteValue[]): SqliteRow[];
  run(...values: SqliteValue[]): { changes: number | bigint };
}

/** The part of a connection that is used here. */
export interface Sqlite {
  exec(sql: string): unknown;
  prepare(sql: string): SqliteStatement;
  close(): void;
}

interface SqliteConstructor {
  new (path: string): Sqlite;
}

/** The schema name of the file in statements; `main` is an empty database in memory. */
export const FILE_SCHEMA = "store";

/** Older versions can corrupt a WAL file that several connections share (fixed in 3.51.3). */
const VERSION_MIN = [3, 51, 3] as const;

/** True for a version of SQLite, such as `3.50.4`, that must not be used. */
export function isTooOld(version: string): boolean {
  const parts = version.split(".").map(Number);
  const different = VERSION_MIN.findIndex((least, i) => parts[i] !== least);
  return different !== -1 && !((parts[different] ?? 0) > (VERSION_MIN[different] ?? 0));
}

/**
 * Opens `path` with `driver`, or by default with the runtime's own SQLite if it is new enough,
 * else with the package. Throws `STORE_UNAVAILABLE` if there is none or it is too old, and what
 * SQLite throws for the file.
 */
export async function openSqlite(path: string, driver?: SqliteDriver): Promise<Sqlite> {
  const Database = await databaseOf(driver);
  const db = new Database(":memory:");
  try {
    db.exec(`ATTACH '${path.replaceAll("'", "''")}' AS ${FILE_SCHEMA}`);
  } catch (error) {
    db.close();
    throw error;
  }
  return {
    exec: (sql) => db.exec(sql),
    prepare: (sql) => db.prepare(sql),
    close: () => close(db),
  };
}

/**
 * Detaches the file before closing the connection: the package's `close()` leaves the file open,
 * with its locks, until the connection's statements are garbage-collected.
 */
function close(db: Sqlite): void {
  rollBack(db);
  db.exec(`DETACH ${FILE_SCHEMA}`);
  db.close();
}

/** Ends a transaction that failed; SQLite may have ended it already. */
export function rollBack(db: Sqlite): void {
  try {
    db.exec("ROLLBACK");
  } catch {
    // Nothing is open any more, which is the goal.
  }
}

async function databaseOf(driver?: SqliteDriver): Promise<SqliteConstructor> {
  const builtIn = driver === "@photostructure/sqlite" ? null : builtInSqlite();
  if (builtIn !== null) return builtIn;
  if (driver !== "node:sqlite") return await installedSqlite();
  throw missing(`this Node's own is ${process.versions["sqlite"] ?? "none"}`);
}

function builtInSqlite(): SqliteConstructor | null {
  const version = process.versions["sqlite"];
  if (version === undefined || isTooOld(version)) return null;
  const module: unknown = process.getBuiltinModule("node:sqlite");
  if (typeof module !== "object" || module === null || !("DatabaseSync" in module)) return null;
  return isConstructor(module.DatabaseSync) ? module.DatabaseSync : null;
}

async function installedSqlite(): Promise<SqliteConstructor> {
  try {
    const { DatabaseSync } = await import("@photostructure/sqlite");
    const version = versionOf(DatabaseSync);
    if (isTooOld(version)) throw new Error(`the package has SQLite ${version}`);
    return DatabaseSync;
  } catch (error) {
    throw missing("@photostructure/sqlite cannot be used", error);
  }
}

/** Throws if the package has no binary for this machine: it loads its binary only here. */
function versionOf(constructor: SqliteConstructor): string {
  const db = new constructor(":memory:");
  try {
    return String(db.prepare("SELECT sqlite_version() AS version").get()?.["version"]);
  } finally {
    db.close();
  }
}

function isConstructor(value: unknown): value is SqliteConstructor {
  return typeof value === "function";
}

function missing(why: string, cause?: unknown): StoreError {
  const wanted = `expects SQLite ${VERSION_MIN.join(".")} or newer`;
  const message =
    `${wanted}, because older ones can corrupt a shared file, but ${why}; update Node, or run ` +
    '"npm install @photostructure/sqlite@1"';
  return new StoreError("STORE_UNAVAILABLE", message, { cause, retryable: false });
}
