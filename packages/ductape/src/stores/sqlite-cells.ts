import type { Answer, Cell, Cells, StepOutcome } from "../apply.js";
import type { Span } from "../period.js";
import type { Leg } from "../plan.js";
import { PAST_GRACE_MS } from "./memory.js";
import type { Sqlite, SqliteRow, SqliteStatement } from "./sqlite-driver.js";

/** Most counters kept in memory; more, and the memory is emptied and fills again. */
const CACHED_MAX = 200_000;
/** Rows looked at for each new counter: more than one keeps ahead of the growth. */
const VISITS_PER_INSERT = 2;
const FORGET_ROWS = 200;

/** The counters of one batch, over those kept in memory from earlier ones. */
export class SqliteCells implements Cells {
  readonly #cached = new Map<string, Map<string, Cell | null>>();
  readonly #dirty = new Map<Cell, string>();
  readonly #answers = new Map<string, Answer>();
  readonly #select: SqliteStatement;
  readonly #upsert: SqliteStatement;
  readonly #selectAnswer: SqliteStatement;
  readonly #insertAnswer: SqliteStatement;
  readonly #housekeeping: Housekeeping;
  #cachedCount = 0;
  #insertCount = 0;
  #lastLeg: Leg | null = null;
  #lastCell: Cell | undefined;

  constructor(db: Sqlite) {
    this.#select = db.prepare(
      "SELECT shape, start_ms, end_ms, used, granted, alerted_ppm, entries FROM cells WHERE key = ?",
    );
    this.#upsert = db.prepare(
      `INSERT INTO cells (key, shape, start_ms, end_ms, used, granted, alerted_ppm, entries)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (key) DO UPDATE SET shape = excluded.shape, start_ms = excluded.start_ms,
         end_ms = excluded.end_ms, used = excluded.used, granted = excluded.granted,
         alerted_ppm = excluded.alerted_ppm, entries = excluded.entries`,
    );
    this.#selectAnswer = db.prepare(
      "SELECT expires_ms, fingerprint, facts, outcome FROM answers WHERE key = ?",
    );
    this.#insertAnswer = db.prepare(
      "INSERT OR REPLACE INTO answers (key, expires_ms, fingerprint, facts, outcome) VALUES (?, ?, ?, ?, ?)",
    );
    this.#housekeeping = new Housekeeping(db);
  }

  get(leg: Leg): Cell | undefined {
    if (leg === this.#lastLeg) return this.#lastCell;
    const cell = this.#find(leg) ?? undefined;
    this.#lastLeg = leg;
    this.#lastCell = cell;
    return cell;
  }

  put(leg: Leg, cell: Cell): void {
    const space = this.#spaceOf(leg);
    const before = space.get(leg.subject);
    if (before === null || before === undefined) this.#insertCount++;
    else if (before !== cell) this.#dirty.delete(before);
    space.set(leg.subject, cell);
    this.#dirty.set(cell, leg.rule.space + leg.subject);
    this.#lastLeg = null;
  }

  getAnswer(key: string): Answer | undefined {
    const fresh = this.#answers.get(key);
    if (fresh !== undefined) return fresh;
    const row = this.#selectAnswer.get(key);
    return row === undefined ? undefined : answerOf(row);
  }

  putAnswer(key: string, answer: Answer): void {
    this.#answers.set(key, answer);
    this.#insertCount++;
  }

  /** Writes what the batch changed, each counter once, and drops a few rows that are long past. */
  write(nowMs: number): void {
    for (const [cell, key] of this.#dirty) {
      const entries = cell.entries === null ? null : JSON.stringify(cell.entries);
      const { shape, window, used, granted, alertedPpm } = cell;
      this.#upsert.run(
        key,
        shape,
        window.startMs,
        window.endMs,
        used,
        granted,
        alertedPpm,
        entries,
      );
    }
    for (const [key, { expiresMs, fingerprint, facts, outcome }] of this.#answers) {
      this.#insertAnswer.run(key, expiresMs, fingerprint, facts, JSON.stringify(outcome));
    }
    if (this.#insertCount > 0) {
      const dropped = this.#housekeeping.step(this.#insertCount * VISITS_PER_INSERT, nowMs);
      if (dropped > 0) this.#forgetCached();
    }
    this.#dirty.clear();
    this.#answers.clear();
    this.#insertCount = 0;
    if (this.#cachedCount > CACHED_MAX) this.#forgetCached();
  }

  /** Forgets what is in memory: the file is right. */
  clear(): void {
    this.#forgetCached();
    this.#dirty.clear();
    this.#answers.clear();
    this.#insertCount = 0;
  }

  #forgetCached(): void {
    this.#cached.clear();
    this.#cachedCount = 0;
    this.#lastLeg = null;
  }

  #spaceOf(leg: Leg): Map<string, Cell | null> {
    let space = this.#cached.get(leg.rule.space);
    if (space === undefined) this.#cached.set(leg.rule.space, (space = new Map()));
    return space;
  }

  #find(leg: Leg): Cell | null {
    const space = this.#spaceOf(leg);
    const cached = space.get(leg.subject);
    if (cached !== undefined) return cached;
    const row = this.#select.get(leg.rule.space + leg.subject);
    const cell = row === undefined ? null : cellOf(row, leg.window);
    space.set(leg.subject, cell);
    this.#cachedCount++;
    return cell;
  }
}

/** Drops counters of past windows, expired answers and forgotten spaces, a few rows at a time. */
class Housekeeping {
  readonly #walk: SqliteStatement;
  readonly #dropCell: SqliteStatement;
  readonly #dropAnswers: SqliteStatement;
  readonly #forgotten: SqliteStatement;
  readonly #forgetCells: SqliteStatement;
  readonly #forgetAnswers: SqliteStatement;
  readonly #forgetDone: SqliteStatement;
  #after = "";

  constructor(db: Sqlite) {
    this.#walk = db.prepare("SELECT key, end_ms FROM cells WHERE key > ? ORDER BY key LIMIT ?");
    this.#dropCell = db.prepare("DELETE FROM cells WHERE key = ?");
    this.#dropAnswers = db.prepare(
      `DELETE FROM answers WHERE key IN (SELECT key FROM answers WHERE expires_ms <= ? LIMIT ?)`,
    );
    this.#forgotten = db.prepare("SELECT prefix FROM forgotten LIMIT 1");
    this.#forgetCells = db.prepare(forgetFrom("cells"));
    this.#forgetAnswers = db.prepare(forgetFrom("answers"));
    this.#forgetDone = db.prepare("DELETE FROM forgotten WHERE prefix = ?");
  }

  /** Looks at `visits` rows; returns how many it dropped. */
  step(visits: number, nowMs: number): number {
    this.#dropAnswers.run(nowMs, visits);
    const rows = this.#walk.all(this.#after, visits);
    this.#after = rows.length < visits ? "" : String(rows.at(-1)?.["key"] ?? "");
    let dropped = this.#forgetSome();
    for (const { key, end_ms } of rows) {
      if (Number(end_ms) > nowMs - PAST_GRACE_MS) continue;
      this.#dropCell.run(String(key));
      dropped++;
    }
    return dropped;
  }

  #forgetSome(): number {
    const prefix = this.#forgotten.get()?.["prefix"];
    if (typeof prefix !== "string") return 0;
    const end = `${prefix}\u{10FFFF}`;
    const cells = Number(this.#forgetCells.run(prefix, end).changes);
    const answers = Number(this.#forgetAnswers.run(prefix, end).changes);
    if (cells + answers === 0) this.#forgetDone.run(prefix);
    return cells + answers;
  }
}

const forgetFrom = (table: string): string =>
  `DELETE FROM ${table} WHERE key IN
     (SELECT key FROM ${table} WHERE key >= ? AND key < ? LIMIT ${FORGET_ROWS})`;

function cellOf(row: SqliteRow, now: Span): Cell {
  const { shape, start_ms, end_ms, used, granted, alerted_ppm, entries } = row;
  const window = { startMs: Number(start_ms), endMs: Number(end_ms) };
  return {
    shape: Number(shape),
    window: window.startMs === now.startMs && window.endMs === now.endMs ? now : window,
    used: Number(used),
    granted: Number(granted),
    alertedPpm: Number(alerted_ppm),
    entries: typeof entries === "string" ? entriesOf(entries) : null,
  };
}

function entriesOf(text: string): number[] {
  const entries: number[] = JSON.parse(text);
  return entries;
}

function answerOf(row: SqliteRow): Answer {
  const outcome: StepOutcome = JSON.parse(String(row["outcome"]));
  return {
    expiresMs: Number(row["expires_ms"]),
    fingerprint: String(row["fingerprint"]),
    facts: String(row["facts"]),
    outcome,
  };
}
