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

/**
 * Opens `path` with `driver`, or with the runtime's own SQLite where it has one (Node 22.16 and
 * later) and else with better-sqlite3. Throws `STORE_UNAVAILABLE` where neither is there.
 */
export async function openSqlite(path: string, driver?: SqliteDriver): Promise<Sqlite> {
  const builtIn = driver === "better-sqlite3" ? null : builtInSqlite();
  if (builtIn !== null) return new builtIn(path);
  if (driver === "node:sqlite") throw missing("this Node has no node:sqlite (22.16 or later has)");
  const installed = await installedSqlite();
  return new installed(path);
}

function builtInSqlite(): SqliteConstructor | null {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major < 22 || (major === 22 && minor < 16)) return null;
  const module: unknown = process.getBuiltinModule("node:sqlite");
  if (typeof module !== "object" || module === null || !("DatabaseSync" in module)) return null;
  return isConstructor(module.DatabaseSync) ? module.DatabaseSync : null;
}

async function installedSqlite(): Promise<SqliteConstructor> {
  try {
    const name = "better-sqlite3";
    const module: { default: unknown } = await import(name);
    if (isConstructor(module.default)) return module.default;
    throw new Error("the package has no constructor");
  } catch (error) {
    throw missing("better-sqlite3 could not be loaded", error);
  }
}

function isConstructor(value: unknown): value is SqliteConstructor {
  return typeof value === "function";
}

function missing(why: string, cause?: unknown): StoreError {
  return new StoreError(
    "STORE_UNAVAILABLE",
    `no SQLite: ${why}; use Node 22.16 or later, or run "npm install better-sqlite3" and, where ` +
      'npm blocks its install script, "npm install-scripts approve better-sqlite3"',
    { cause, retryable: false },
  );
}
