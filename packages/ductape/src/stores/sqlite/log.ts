import type { Sqlite, SqliteStatement } from "./driver.js";

/** The most changes kept in the log; beyond that the oldest are folded into their counters. */
const CHANGES_MAX = 32_768;
const ROWS_MAX = 2_048;
/**
 * Folding continues until this share of the bounds is free, so that only one in many batches
 * folds.
 */
const FREE_SHARE = 1 / 8;
/** Instead of a count: the counter's own row was rewritten or deleted. */
export const REWRITTEN = -1;
const PAIR_BYTES = 16;

/** One batch in the log: pairs of a counter's id and its new count. */
interface Entry {
  readonly seq: number;
  /** When the batch was decided, epoch milliseconds. */
  readonly atMs: number;
  readonly pairs: Float64Array;
}

/** The newest count of a counter that is not in its own row yet. */
interface Change {
  readonly used: number;
  readonly seq: number;
  readonly atMs: number;
}

/**
 * The changes of counts since they were last written into their rows. A batch that counts on many
 * counters appends one small row here instead of writing the page of each, in the same commit; a
 * frequently used counter is written into its own row only once in a while. Each step is one
 * transaction, so the file is consistent at every instant. The log is also kept in memory, and
 * rows of other processes are read from where reading stopped.
 */
export class SqliteLog {
  readonly #changes = new Map<number, Change>();
  readonly #appendRow: SqliteStatement;
  readonly #readOn: SqliteStatement;
  readonly #oldest: SqliteStatement;
  readonly #foldInto: SqliteStatement;
  readonly #dropRows: SqliteStatement;
  #entries: Entry[] = [];
  #pairCount = 0;
  /** The sequence of the newest known row; -1: not read yet. */
  #lastSeq = -1;

  constructor(db: Sqlite) {
    this.#appendRow = db.prepare("INSERT INTO log (seq, at_ms, pairs) VALUES (?, ?, ?)");
    this.#readOn = db.prepare("SELECT seq, at_ms, pairs FROM log WHERE seq > ? ORDER BY seq");
    this.#oldest = db.prepare("SELECT min(seq) AS seq FROM log");
    this.#foldInto = db.prepare("UPDATE cells SET used = ?, seen_ms = ? WHERE id = ?");
    this.#dropRows = db.prepare("DELETE FROM log WHERE seq <= ?");
  }

  /** The newest change of a counter, if it is not in its row yet. */
  changeOf(id: number): Change | undefined {
    return this.#changes.get(id);
  }

  /**
   * Reads what other processes appended, and calls `changed` for each counter with its new count,
   * or {@link REWRITTEN} if its row must be read again. False if rows were folded before they were
   * read here: then nothing in memory is valid any more.
   */
  readOn(changed: (id: number, used: number, atMs: number) => void): boolean {
    const oldestSeq = Number(this.#oldest.get()?.["seq"] ?? 0);
    if (oldestSeq > this.#lastSeq + 1 && this.#lastSeq >= 0) return false;
    this.#lastSeq = Math.max(this.#lastSeq, 0);
    while ((this.#entries[0]?.seq ?? oldestSeq) < oldestSeq) this.#forgetOldest();
    for (const { seq, at_ms, pairs } of this.#readOn.all(this.#lastSeq)) {
      if (!(pairs instanceof Uint8Array)) continue;
      const entry = { seq: Number(seq), atMs: Number(at_ms), pairs: pairsOf(pairs) };
      this.#take(entry);
      for (let i = 0; i < entry.pairs.length; i += 2) {
        changed(entry.pairs[i] ?? 0, entry.pairs[i + 1] ?? REWRITTEN, entry.atMs);
      }
    }
    return true;
  }

  /** Appends the changes of one batch: an id, then a count or {@link REWRITTEN}, and so on. */
  append(changes: readonly number[], atMs: number): void {
    const pairs = Float64Array.from(changes);
    const seq = this.#lastSeq + 1;
    this.#appendRow.run(seq, atMs, new Uint8Array(pairs.buffer));
    this.#take({ seq, atMs, pairs });
    if (this.#pairCount > CHANGES_MAX || this.#entries.length > ROWS_MAX) this.#fold();
  }

  /** Forgets what is in memory: the file is right. */
  clear(): void {
    this.#changes.clear();
    this.#entries = [];
    this.#pairCount = 0;
    this.#lastSeq = -1;
  }

  #take(entry: Entry): void {
    const { seq, atMs, pairs } = entry;
    for (let i = 0; i < pairs.length; i += 2) {
      const id = pairs[i] ?? 0;
      const used = pairs[i + 1] ?? REWRITTEN;
      if (used === REWRITTEN) this.#changes.delete(id);
      else this.#changes.set(id, { used, seq, atMs });
    }
    this.#entries.push(entry);
    this.#pairCount += pairs.length / 2;
    this.#lastSeq = seq;
  }

  /**
   * Writes the oldest changes into the rows of their counters, except those that a newer one
   * replaced.
   */
  #fold(): void {
    let foldedSeq = 0;
    while (
      this.#pairCount > CHANGES_MAX * (1 - FREE_SHARE) ||
      this.#entries.length > ROWS_MAX * (1 - FREE_SHARE)
    ) {
      const [entry] = this.#entries;
      if (entry === undefined || this.#entries.length === 1) break;
      for (const [id, { used, atMs }] of this.#current(entry)) this.#foldInto.run(used, atMs, id);
      foldedSeq = entry.seq;
      this.#forgetOldest();
    }
    this.#dropRows.run(foldedSeq);
  }

  #forgetOldest(): void {
    const entry = this.#entries.shift();
    if (entry === undefined) return;
    for (const [id] of this.#current(entry)) this.#changes.delete(id);
    this.#pairCount -= entry.pairs.length / 2;
  }

  /** The changes of a row that no newer row has replaced. */
  #current({ seq, pairs }: Entry): [number, Change][] {
    const current: [number, Change][] = [];
    for (let i = 0; i < pairs.length; i += 2) {
      const id = pairs[i] ?? 0;
      const change = this.#changes.get(id);
      if (change?.seq === seq) current.push([id, change]);
    }
    return current;
  }
}

/** A copy, because the bytes of a row may not be aligned. */
function pairsOf(bytes: Uint8Array): Float64Array {
  const whole = bytes.byteLength - (bytes.byteLength % PAIR_BYTES);
  return new Float64Array(new Uint8Array(bytes.subarray(0, whole)).buffer);
}
