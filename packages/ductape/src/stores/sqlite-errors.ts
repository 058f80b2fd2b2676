import { DuctapeError, StoreError } from "../errors.js";

/** True where another connection holds the lock: nothing was done, and trying again is right. */
export function isBusy(error: unknown): boolean {
  const code = resultCode(error);
  return code === BUSY || code === LOCKED;
}

const BUSY = 5;
const LOCKED = 6;
const READONLY = 8;
const IOERR = 10;
const CORRUPT = 11;
const FULL = 13;
const CANTOPEN = 14;
const NOTADB = 26;

/** Names of the primary result codes (sqlite.org/rescode.html) as better-sqlite3 gives them. */
const CODES: Readonly<Record<string, number>> = {
  SQLITE_BUSY: BUSY,
  SQLITE_LOCKED: LOCKED,
  SQLITE_READONLY: READONLY,
  SQLITE_IOERR: IOERR,
  SQLITE_CORRUPT: CORRUPT,
  SQLITE_FULL: FULL,
  SQLITE_CANTOPEN: CANTOPEN,
  SQLITE_NOTADB: NOTADB,
};

const SAYINGS: Readonly<Record<number, readonly [text: string, retryable: boolean]>> = {
  [BUSY]: ["another process holds its lock", true],
  [READONLY]: ["the file or its folder is read-only; make it writable for this user", false],
  [IOERR]: ["the disk failed to read or write it", true],
  [CORRUPT]: ["the file is damaged; restore it from a backup, it was not changed", false],
  [FULL]: ["the disk is full; free some space", true],
  [CANTOPEN]: ["the file cannot be opened; check that its folder exists and is writable", false],
  [NOTADB]: ["the file is no SQLite database; name another one, it was not changed", false],
};

/**
 * The public error of what SQLite threw. A commit that failed on the disk may or may not be found
 * after a crash: `OUTCOME_UNKNOWN`.
 */
export function storeError(error: unknown, path: string, isCommitting = false): unknown {
  if (DuctapeError.is(error)) return error;
  const code = resultCode(error);
  if (code === null) return systemError(error, path);
  if (isCommitting && code === IOERR) {
    const message = `the disk failed while ${path} was synced; the change may or may not last`;
    return new StoreError("OUTCOME_UNKNOWN", message, { cause: error });
  }
  const [text, retryable] = SAYINGS[code] ?? [String(error), false];
  return new StoreError("STORE_UNAVAILABLE", `the store ${path}: ${text}`, {
    cause: error,
    retryable,
  });
}

/** Errors of the file system, such as a folder that cannot be made; anything else is a defect. */
function systemError(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || !("syscall" in error)) return error;
  return new StoreError("STORE_UNAVAILABLE", `the store ${path}: ${error.message}`, {
    cause: error,
    retryable: false,
  });
}

/** The primary result code, from either binding. */
function resultCode(error: unknown): number | null {
  if (!(error instanceof Error)) return null;
  if ("errcode" in error && typeof error.errcode === "number") return error.errcode & 0xff;
  if (!("code" in error) || typeof error.code !== "string") return null;
  const name = /^SQLITE_[A-Z]+/.exec(error.code)?.[0];
  return name === undefined ? null : (CODES[name] ?? 0);
}
