import { StoreError } from "../errors.js";

/** A binding to SQLite: the runtime's own, or the optional package. */
export type SqliteDriver = "node:sqlite" | "better-sqlite3";

/** A row by column name. */
export type SqliteRow = Record<string, unknown>;

/** A value both bindings take as it is. */
export type SqliteValue = string | number | null | Uint8Array;

/** The part of a prepared statement that both bindings share. */
export interface SqliteStatement {
  get(...values: SqliteValue[]): SqliteRow | undefined;
  all(...values: SqliteValue[]): SqliteRow[];
  run(...values: SqliteValue[]): { changes: number | bigint };
}

/** The part of a connection that both bindings share. */
export interface Sqlite {
  exec(sql: string): unknown;
  prepare(sql: string): SqliteStatement;
  close(): void;
}

interface SqliteConstructor {
  new (path: string): Sqlite;
}

/** Older ones can corrupt a WAL file that several connections share (fixed in 3.51.3). */
const VERSION_MIN = [3, 51, 3] as const;

/** True for a version of SQLite, such as `3.50.4`, that must not be used. */
export function isTooOld(version: string): boolean {
  const parts = version.split(".").map(Number);
  const different = VERSION_MIN.findIndex((least, i) => parts[i] !== least);
  return different !== -1 && !((parts[different] ?? 0) > (VERSION_MIN[different] ?? 0));
}

/**
 * Opens `path` with `driver`, or with the runtime's own SQLite where that is new enough, and else
 * with better-sqlite3. Throws `STORE_UNAVAILABLE` where neither is there, or it is too old.
 */
export async function openSqlite(path: string, driver?: SqliteDriver): Promise<Sqlite> {
  const builtIn = driver === "better-sqlite3" ? null : builtInSqlite();
  if (builtIn !== null) return new builtIn(path);
  if (driver === "node:sqlite") {
    throw missing(`this Node's own is ${process.versions["sqlite"] ?? "none"}`);
  }
  const installed = await installedSqlite();
  return new installed(path);
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
    const name = "better-sqlite3";
    const module: { default: unknown } = await import(name);
    if (!isConstructor(module.default)) throw new Error("the package has no constructor");
    const version = versionOf(module.default);
    if (isTooOld(version)) throw new Error(`the package has SQLite ${version}`);
    return module.default;
  } catch (error) {
    throw missing("better-sqlite3 cannot be used", error);
  }
}

/**
 * Throws where the package was not compiled, or for another Node: it loads its binary only here.
 */
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
  const wanted = `wants SQLite ${VERSION_MIN.join(".")} or newer`;
  const message =
    `${wanted}, as older ones can corrupt a shared file, but ${why}; update Node, or run ` +
    '"npm install better-sqlite3" and, where npm blocks its install script, ' +
    '"npm install-scripts approve better-sqlite3"';
  return new StoreError("STORE_UNAVAILABLE", message, { cause, retryable: false });
}
