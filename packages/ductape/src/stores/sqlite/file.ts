import { mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { StoreError } from "../../base/errors.js";
import type { Sqlite } from "./driver.js";
import { movedError } from "./errors.js";

/** The most time, in milliseconds, whose counts are lost if somebody removes the file. */
const LOOK_EVERY_MS = 10;

/**
 * Checks whether the open file is still the one at its path. SQLite keeps writing into a deleted
 * or replaced file, where nobody would find the data again.
 */
export class SqliteFile {
  readonly #path: string;
  readonly #file: string | null;
  readonly #wal: string | null;
  #lookedMs = 0;

  /** `path` is open, and was read from: its write-ahead log is there. */
  constructor(path: string) {
    this.#path = path;
    this.#file = identityOf(path);
    this.#wal = identityOf(`${path}-wal`);
  }

  /** Throws if the file, or its write-ahead log, is no longer at its path. */
  assertInPlace(): void {
    if (!this.#isAtPath() || !this.#hasItsLog()) throw movedError(this.#path);
  }

  /**
   * Like `assertInPlace`, right after a commit, which is lost with the file. Checks at most once
   * in {@link LOOK_EVERY_MS}, because a check costs a good part of a commit. If only the log was
   * removed, the commit may last, because closing copies the content of the log
   * (`OUTCOME_UNKNOWN`).
   */
  assertKept(): void {
    const nowMs = performance.now();
    if (nowMs - this.#lookedMs < LOOK_EVERY_MS) return;
    this.#lookedMs = nowMs;
    if (!this.#isAtPath()) throw movedError(this.#path);
    if (this.#hasItsLog()) return;
    const message = `${this.#path}-wal was removed while in use; the change may or may not last`;
    throw new StoreError("OUTCOME_UNKNOWN", message, { cause: movedError(this.#path) });
  }

  /**
   * Closes the connection. If another file took the place of ours and our log is still beside it,
   * the log is emptied into our file first, or its pages would be taken for those of the other
   * file.
   */
  release(db: Sqlite): void {
    try {
      if (!this.#isAtPath() && this.#hasItsLog()) db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    } catch {
      // A lost file may also have failed; all that matters is to close it.
    }
    db.close();
  }

  #isAtPath(): boolean {
    return identityOf(this.#path) === this.#file;
  }

  #hasItsLog(): boolean {
    return identityOf(`${this.#path}-wal`) === this.#wal;
  }
}

/** Device and inode; null if there is nothing, or nothing accessible. */
function identityOf(path: string): string | null {
  try {
    const { dev, ino } = statSync(path);
    return `${dev}:${ino}`;
  } catch {
    // Also if a file took the place of its folder, or the folder is no longer accessible.
    return null;
  }
}

/**
 * Creates a folder and its parents. Node's recursive `mkdirSync` never returns where the system
 * allows no folder, as under /proc. Throws the errors of the file system.
 */
export function makeFolder(folder: string): void {
  if (isFolder(folder)) return;
  const parent = dirname(folder);
  if (parent !== folder) makeFolder(parent);
  try {
    mkdirSync(folder);
  } catch (error) {
    // Another process may have created it meanwhile.
    if (!isFolder(folder)) throw error;
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
