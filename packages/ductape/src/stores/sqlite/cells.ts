import { answerKeyOf, readAnswer, type AnswerKey } from "../../decide/answer.js";
import { lastText, readLast, type Cell, type Cells } from "../../decide/cell.js";
import type { Span } from "../../decide/period.js";
import type { Leg, LegRule } from "../../decide/leg.js";
import type { AnswerRow, StorePiece } from "../store.js";
import { COPIES_MAX } from "../heap.js";
import { currentAnswer } from "../old-answers.js";
import type { Sqlite, SqliteRow, SqliteStatement } from "./driver.js";
import { SqliteHousekeeping } from "./housekeeping.js";
import { REWRITTEN, SqliteLog } from "./log.js";

/**
 * A counter in memory. `saved` is the form in which its row was written last; null: it has no row.
 */
interface Kept {
  readonly home: Map<string, Kept>;
  readonly space: string;
  readonly subject: string;
  /** Of its row; 0: none. */
  id: number;
  cell: Cell | undefined;
  saved: Pick<Cell, "shape" | "window" | "granted" | "alerted" | "plannedLimit" | "last"> | null;
  isDirty: boolean;
}

/** The counters of one batch, over those kept in memory from earlier ones. */
export class SqliteCells implements Cells {
  readonly #log: SqliteLog;
  readonly #kept = new Map<string, Map<string, Kept>>();
  readonly #byId = new Map<number, Kept>();
  /** Counters that were looked for and have no row. */
  readonly #absent = new Set<Kept>();
  /** New answers by key: text and expiry. */
  readonly #answers = new Map<string, readonly [text: string, expiresMs: number]>();
  readonly #select: SqliteStatement;
  readonly #upsert: SqliteStatement;
  readonly #selectAnswer: SqliteStatement;
  readonly #insertAnswer: SqliteStatement;
  readonly #selectAnswers: SqliteStatement;
  readonly #selectSpace: SqliteStatement;
  readonly #housekeeping: SqliteHousekeeping;
  #dirty: Kept[] = [];
  #keptCount = 0;
  #lastRule: LegRule | null = null;
  #lastSpace = new Map<string, Kept>();
  #lastLeg: Leg | null = null;
  #last: Kept | null = null;

  constructor(db: Sqlite) {
    this.#log = new SqliteLog(db);
    this.#select = db.prepare("SELECT * FROM cells WHERE key = ?");
    this.#upsert = db.prepare(
      `INSERT INTO cells (key, shape, start_ms, end_ms, used, granted, alerted, entries,
         seen_ms, planned_limit, last)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (key) DO UPDATE SET shape = excluded.shape,
         start_ms = excluded.start_ms, end_ms = excluded.end_ms, used = excluded.used,
         granted = excluded.granted, alerted = excluded.alerted, entries = excluded.entries,
         seen_ms = excluded.seen_ms, planned_limit = excluded.planned_limit,
         last = excluded.last
       RETURNING id`,
    );
    this.#selectAnswer = db.prepare("SELECT answer FROM answers WHERE key = ?");
    this.#insertAnswer = db.prepare(
      "INSERT OR REPLACE INTO answers (key, expires_ms, answer) VALUES (?, ?, ?)",
    );
    this.#selectAnswers = db.prepare(
      "SELECT key, answer FROM answers WHERE key > ? AND expires_ms > ? ORDER BY key LIMIT ?",
    );
    this.#selectSpace = db.prepare(
      "SELECT * FROM cells WHERE key >= ? AND key > ? AND key < ? ORDER BY key LIMIT ?",
    );
    this.#housekeeping = new SqliteHousekeeping(db);
  }

  get(leg: Leg): Cell | undefined {
    return this.#keep(leg).cell;
  }

  put(leg: Leg, cell: Cell): void {
    const kept = this.#keep(leg);
    kept.cell = cell;
    if (kept.isDirty) return;
    kept.isDirty = true;
    this.#dirty.push(kept);
  }

  getAnswer(of: AnswerKey): string | undefined {
    const key = answerKeyOf(of);
    const fresh = this.#answers.get(key);
    if (fresh !== undefined) return fresh[0];
    const row = this.#selectAnswer.get(key);
    return row === undefined ? undefined : currentAnswer(String(row["answer"]));
  }

  putAnswer(key: AnswerKey, text: string, expiresMs: number): void {
    this.#answers.set(answerKeyOf(key), [text, expiresMs]);
  }

  /** Learns what other processes changed since the last batch. */
  readOn(): void {
    const isTrusted = this.#log.readOn((id, used, atMs) => {
      const kept = this.#byId.get(id);
      // A row that is not kept may be a new one, of a counter that had none when it was looked for.
      if (kept === undefined) this.#dropAbsent();
      else if (used === REWRITTEN || kept.cell === undefined) this.#drop(kept);
      else {
        kept.cell.used = used;
        kept.cell.seenMs = atMs;
      }
    });
    if (isTrusted) return;
    this.clear();
    this.#log.readOn(() => undefined);
  }

  /** Writes what the batch changed, each counter once, and drops a few rows that are long past. */
  write(nowMs: number): void {
    const changes: number[] = [];
    let inserts = this.#answers.size;
    for (const kept of this.#dirty) {
      kept.isDirty = false;
      const { cell } = kept;
      if (cell === undefined) continue;
      if (kept.id === 0) inserts++;
      if (onlyCounted(kept, cell)) changes.push(kept.id, cell.used);
      else changes.push(this.#writeRow(kept, cell), REWRITTEN);
    }
    for (const [key, [text, expiresMs]] of this.#answers) {
      this.#insertAnswer.run(key, expiresMs, text);
    }
    // A batch that only reads has no lock to drop anything.
    if (inserts > 0 || (changes.length > 0 && this.#housekeeping.isBehind)) {
      for (const id of this.#housekeeping.step(inserts, nowMs)) {
        changes.push(id, REWRITTEN);
        const kept = this.#byId.get(id);
        if (kept !== undefined) this.#drop(kept);
      }
    }
    if (changes.length > 0) this.#log.append(changes, nowMs);
    this.#dirty = [];
    this.#answers.clear();
    if (this.#keptCount > COPIES_MAX) this.#forgetKept();
  }

  /** Up to `most` counters whose key starts with `prefix`, by key, later than `after`. */
  scan(prefix: string, after: string, most: number): { key: string; cell: Cell }[] {
    return this.#selectSpace.all(prefix, after, `${prefix}\u{10FFFF}`, most).map((row) => ({
      key: String(row["key"]),
      cell: this.#cellOf(row, null),
    }));
  }

  /** Answers kept under keys later than `after` that have not expired, by key, at most `most`. */
  answersAfter(after: string, nowMs: number, most: number): AnswerRow[] {
    return this.#selectAnswers
      .all(after, nowMs, most)
      .map((row) => ({ key: String(row["key"]), text: currentAnswer(String(row["answer"])) }));
  }

  /** Writes counters and answers over those that stand there, as part of a transaction. */
  load({ counters, answers }: Omit<StorePiece, "documents">, nowMs: number): void {
    const changes: number[] = [];
    for (const { space, subject, cell } of counters) {
      changes.push(this.#upsertCell(space + subject, cell), REWRITTEN);
    }
    for (const { key, text } of answers) {
      this.#insertAnswer.run(key, readAnswer(text).expiresMs, text);
    }
    if (changes.length > 0) this.#log.append(changes, nowMs);
    this.#forgetKept();
  }

  /** Forgets what is in memory: the file is right. */
  clear(): void {
    this.#housekeeping.isBehind = true;
    this.#forgetKept();
    this.#log.clear();
    this.#dirty = [];
    this.#answers.clear();
  }

  #forgetKept(): void {
    this.#kept.clear();
    this.#byId.clear();
    this.#absent.clear();
    this.#keptCount = 0;
    this.#lastRule = null;
    this.#lastLeg = null;
  }

  #drop(kept: Kept): void {
    kept.home.delete(kept.subject);
    this.#byId.delete(kept.id);
    this.#keptCount--;
    this.#lastLeg = null;
  }

  #dropAbsent(): void {
    for (const kept of this.#absent) this.#drop(kept);
    this.#absent.clear();
  }

  #keep(leg: Leg): Kept {
    if (leg === this.#lastLeg && this.#last !== null) return this.#last;
    const home = this.#spaceOf(leg.rule);
    const kept = home.get(leg.subject) ?? this.#read(leg, home);
    this.#lastLeg = leg;
    this.#last = kept;
    return kept;
  }

  #spaceOf(rule: LegRule): Map<string, Kept> {
    if (rule === this.#lastRule) return this.#lastSpace;
    let space = this.#kept.get(rule.space);
    if (space === undefined) this.#kept.set(rule.space, (space = new Map()));
    this.#lastRule = rule;
    this.#lastSpace = space;
    return space;
  }

  #read(leg: Leg, home: Map<string, Kept>): Kept {
    const { subject } = leg;
    const { space } = leg.rule;
    const row = this.#select.get(space + subject);
    const kept: Kept = {
      home,
      space,
      subject,
      id: 0,
      cell: undefined,
      saved: null,
      isDirty: false,
    };
    if (row === undefined) this.#absent.add(kept);
    else {
      kept.id = Number(row["id"]);
      kept.cell = this.#cellOf(row, leg.window);
      kept.saved = formOf(kept.cell);
      this.#byId.set(kept.id, kept);
    }
    home.set(subject, kept);
    this.#keptCount++;
    return kept;
  }

  /** A row as it is now; its window is `now` itself where they are the same. */
  #cellOf(row: SqliteRow, now: Span | null): Cell {
    const change = this.#log.changeOf(Number(row["id"]));
    const window = { startMs: Number(row["start_ms"]), endMs: Number(row["end_ms"]) };
    const isNow = window.startMs === now?.startMs && window.endMs === now.endMs;
    const { entries, planned_limit, last } = row;
    return {
      shape: Number(row["shape"]),
      window: isNow ? now : window,
      used: change?.used ?? Number(row["used"]),
      granted: Number(row["granted"]),
      alerted: Number(row["alerted"]),
      entries: typeof entries === "string" ? entriesOf(entries) : null,
      seenMs: change?.atMs ?? Number(row["seen_ms"]),
      plannedLimit: planned_limit === null ? null : Number(planned_limit),
      last: typeof last === "string" ? readLast(last) : null,
    };
  }

  #writeRow(kept: Kept, cell: Cell): number {
    kept.id = this.#upsertCell(kept.space + kept.subject, cell);
    kept.saved = formOf(cell);
    this.#byId.set(kept.id, kept);
    this.#absent.delete(kept);
    return kept.id;
  }

  #upsertCell(key: string, cell: Cell): number {
    const { shape, window, used, granted, alerted, entries, seenMs, plannedLimit, last } = cell;
    const row = this.#upsert.get(
      key,
      shape,
      window.startMs,
      window.endMs,
      used,
      granted,
      alerted,
      entries === null ? null : JSON.stringify(entries),
      seenMs,
      plannedLimit,
      lastText(last),
    );
    return Number(row?.["id"]);
  }
}

const formOf = ({ shape, window, granted, alerted, plannedLimit, last }: Cell) => ({
  shape,
  window,
  granted,
  alerted,
  plannedLimit,
  last,
});

/** True where nothing but the count differs from the row. */
function onlyCounted({ saved }: Kept, cell: Cell): boolean {
  return (
    saved !== null &&
    cell.entries === null &&
    saved.window === cell.window &&
    saved.shape === cell.shape &&
    saved.granted === cell.granted &&
    saved.alerted === cell.alerted &&
    saved.plannedLimit === cell.plannedLimit &&
    saved.last === cell.last
  );
}

function entriesOf(text: string): number[] {
  const entries: number[] = JSON.parse(text);
  return entries;
}
