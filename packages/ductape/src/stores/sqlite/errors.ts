import { DuctapeError, StoreError } from "../../base/errors.js";

/** True if another connection holds the lock: nothing was done, and a retry is right. */
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

/** SQLite's error for a file that is no longer at its path (extended code of READONLY). */
const DBMOVED = READONLY | (4 << 8);

const SAYINGS: Readonly<Record<number, readonly [text: string, retryable: boolean]>> = {
  [BUSY]: ["another process holds its lock", true],
  [LOCKED]: ["another connection holds its lock", true],
  [DBMOVED]: ["the file was deleted or replaced while in use; the next call opens it again", true],
  [READONLY]: [
    "it is read-only; make the file, those beside it named -wal and -shm, and their folder " +
      "writable for this user",
    false,
  ],
  [IOERR]: ["the disk failed to read or write it", true],
  [CORRUPT]: ["the file is damaged; restore it from a backup, it was not changed", false],
  [FULL]: ["the disk is full; free some space", true],
  [CANTOPEN]: ["it cannot be opened; name a file in a folder that this user may write to", false],
  [NOTADB]: ["the file is not a SQLite database; name another one, it was not changed", false],
};

/**
 * The public error for what SQLite threw. A commit that failed on the disk may or may not survive
 * a crash: `OUTCOME_UNKNOWN`.
 */
export function storeError(error: unknown, path: string, isCommitting = false): unknown {
  if (DuctapeError.is(error)) return error;
  const code = resultCode(error);
  if (code === null) return systemError(error, path);
  if (isCommitting && code === IOERR) {
    const message = `the disk failed while ${path} was synced; the change may or may not last`;
    return new StoreError("OUTCOME_UNKNOWN", message, { cause: error });
  }
  const [text, retryable] = SAYINGS[hasMoved(error) ? DBMOVED : code] ?? [String(error), false];
  return new StoreError("STORE_UNAVAILABLE", `the store ${path}: ${text}`, {
    cause: error,
    retryable,
  });
}

/** The error of a file that is no longer where it was opened; its counts are lost. */
export function movedError(path: string): Error {
  return Object.assign(new Error(`${path} is now another file, or none`), { errcode: DBMOVED });
}

function hasMoved(error: unknown): boolean {
  return extendedCode(error) === DBMOVED;
}

/**
 * True for a fault of the open file that opening it again may end, because the file was made
 * writable, restored or mounted again. Never for a failed commit: reopening might read back what
 * it wrote although it was never synced, and the next commit overwrites it.
 */
export function isLost(error: unknown): boolean {
  if (!DuctapeError.is(error)) return false;
  if (hasMoved(error.cause)) return true;
  return error.code === "STORE_UNAVAILABLE" && LOST.has(resultCode(error.cause) ?? 0);
}

const LOST: ReadonlySet<number> = new Set([READONLY, IOERR, CORRUPT, CANTOPEN, NOTADB]);

/**
 * Errors of the file system, such as a folder that cannot be created; anything else is a defect.
 */
function systemError(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || !("syscall" in error)) return error;
  const retryable = "code" in error && PASSING.has(error.code);
  return new StoreError("STORE_UNAVAILABLE", `the store ${path}: ${error.message}`, {
    cause: error,
    retryable,
  });
}

/** Temporary errors of the file system: no space, no quota, no descriptor, a failing disk. */
const PASSING: ReadonlySet<unknown> = new Set(["ENOSPC", "EDQUOT", "EMFILE", "ENFILE", "EIO"]);

/** The primary result code. */
function resultCode(error: unknown): number | null {
  const extended = extendedCode(error);
  return extended === null ? null : extended & 0xff;
}

/** The extended result code (sqlite.org/rescode.html); null for an error not from SQLite. */
function extendedCode(error: unknown): number | null {
  if (!(error instanceof Error)) return null;
  const code: unknown = Reflect.get(error, "sqliteExtendedCode") ?? Reflect.get(error, "errcode");
  if (typeof code === "number") return code;
  const isUnnumbered = "code" in error && error.code === "ERR_SQLITE_ERROR";
  return isUnnumbered ? (UNNUMBERED[error.message] ?? 0) : null;
}

/** The texts of `sqlite3_errstr()`, which the package's `all()` throws without their code. */
const UNNUMBERED: Readonly<Record<string, number>> = {
  "database is locked": BUSY,
  "database table is locked": LOCKED,
  "attempt to write a readonly database": READONLY,
  "disk I/O error": IOERR,
  "database disk image is malformed": CORRUPT,
  "database or disk is full": FULL,
  "unable to open database file": CANTOPEN,
  "file is not a database": NOTADB,
};
