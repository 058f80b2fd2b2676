import { mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { StoreError } from "../../base/errors.js";
import type { Sqlite } from "./driver.js";
import { movedError } from "./errors.js";

/** What is lost with a file that somebody removes must not be more than this, in milliseconds. */
const LOOK_EVERY_MS = 10;

/**
 * Tells whether the file that was opened is the one at its path. SQLite goes on writing into a file
 * that was deleted or replaced, where nobody would find it again.
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

  /** Throws where the file, or its write-ahead log, is no longer at its path. */
  assertInPlace(): void {
    if (!this.#isAtPath() || !this.#hasItsLog()) throw movedError(this.#path);
  }

  /**
   * As `assertInPlace`, right after a commit: that is lost with the file. Looks at most once in
   * {@link LOOK_EVERY_MS}, as looking costs a good part of a commit. Where only the log was removed
   * it may last, as closing brings over what is in the log (`OUTCOME_UNKNOWN`).
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
   * Closes the connection. A log that was left beside a file put in place of ours is emptied into
   * ours first, or its pages would be taken for those of the other.
   */
  release(db: Sqlite): void {
    try {
      if (!this.#isAtPath() && this.#hasItsLog()) db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    } catch {
      // A file that is lost may have failed as well: what matters is to let go of it.
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

/** Device and inode; null where there is nothing, or nothing that can be looked at. */
function identityOf(path: string): string | null {
  try {
    const { dev, ino } = statSync(path);
    return `${dev}:${ino}`;
  } catch {
    // Also where a file took the place of its folder, or the folder may not be entered any more.
    return null;
  }
}

/**
 * Makes a folder with those above it. Node's recursive `mkdirSync` never returns where the system
 * answers that there can be none, as under /proc. Throws what the file system says.
 */
export function makeFolder(folder: string): void {
  if (isFolder(folder)) return;
  const parent = dirname(folder);
  if (parent !== folder) makeFolder(parent);
  try {
    mkdirSync(folder);
  } catch (error) {
    // Another process may have made it meanwhile.
    if (!isFolder(folder)) throw error;
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
