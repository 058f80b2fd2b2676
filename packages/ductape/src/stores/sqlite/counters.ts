import { answerExpiresMs, answerKeyOf } from "../../decide/answer.js";
import type { Counter } from "../../decide/counter.js";
import type { Counters } from "../../decide/counters.js";
import type { Hold } from "../../decide/hold.js";
import type { Span } from "../../decide/period.js";
import type { AnswerKey, RuleCheck, RuleTerms } from "../../decide/plan.js";
import type { AnswerRow, StoreChunk } from "../store.js";
import {
  ALL_NUMBERS,
  counterOf,
  LISTS,
  listText,
  onlyCounted,
  writtenOf,
  type Written,
} from "../counter-record.js";
import { COPIES_MAX } from "../heap.js";
import { currentAnswer } from "../older-answers.js";
import type { Sqlite, SqliteRow, SqliteStatement } from "./driver.js";
import { SqliteHolds } from "./holds.js";
import { SqliteHousekeeping } from "./housekeeping.js";
import { REWRITTEN, SqliteLog } from "./log.js";

/** A counter in memory. */
interface Kept {
  /** The counters of its rule, by subject. */
  readonly siblings: Map<string, Kept>;
  readonly space: string;
  readonly subject: string;
  /** The id of its row; 0: none. */
  id: number;
  counter: Counter | undefined;
  /** Its row as last written. */
  written: Written;
  isDirty: boolean;
}

/** The counters of one batch, on top of those kept in memory from earlier ones. */
export class SqliteCounters implements Counters {
  readonly holds: SqliteHolds;
  readonly #log: SqliteLog;
  readonly #kept = new Map<string, Map<string, Kept>>();
  readonly #byId = new Map<number, Kept>();
  /** Counters known to have no row. */
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
  #lastRule: RuleTerms | null = null;
  #lastSpace = new Map<string, Kept>();
  #lastCheck: RuleCheck | null = null;
  #last: Kept | null = null;

  constructor(db: Sqlite) {
    this.holds = new SqliteHolds(db);
    this.#log = new SqliteLog(db);
    this.#select = db.prepare("SELECT * FROM cells WHERE key = ?");
    this.#upsert = db.prepare(upsertText());
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

  find(check: RuleCheck): Counter | undefined {
    return this.#keep(check).counter;
  }

  changed(check: RuleCheck, counter: Counter): void {
    this.put(check, counter);
  }

  put(check: RuleCheck, counter: Counter): void {
    const kept = this.#keep(check);
    kept.counter = counter;
    if (kept.isDirty) return;
    kept.isDirty = true;
    this.#dirty.push(kept);
  }

  findAnswer(of: AnswerKey): string | undefined {
    const key = answerKeyOf(of);
    const fresh = this.#answers.get(key);
    if (fresh !== undefined) return fresh[0];
    const row = this.#selectAnswer.get(key);
    return row === undefined ? undefined : currentAnswer(String(row["answer"]));
  }

  putAnswer(key: AnswerKey, text: string, expiresMs: number): void {
    this.#answers.set(answerKeyOf(key), [text, expiresMs]);
  }

  findHold(key: AnswerKey): Hold | undefined {
    return this.holds.find(key);
  }

  putHold(key: AnswerKey, hold: Hold): void {
    this.holds.put(key, hold);
  }

  /** Reads what other processes changed since the last batch. */
  readOn(): void {
    this.holds.forget();
    const isTrusted = this.#log.readOn((id, used, atMs) => {
      const kept = this.#byId.get(id);
      // An unknown row may be a new one, of a counter that had none when it was read.
      if (kept === undefined) this.#dropAbsent();
      else if (used === REWRITTEN || kept.counter === undefined) this.#drop(kept);
      else {
        kept.counter.used = used;
        kept.counter.seenMs = atMs;
      }
    });
    if (isTrusted) return;
    this.clear();
    this.#log.readOn(() => undefined);
  }

  /**
   * Writes what the batch changed, each counter once, and drops a few rows of long past windows.
   */
  write(nowMs: number): void {
    const changes: number[] = [];
    const holds = this.holds.write(nowMs);
    let inserts = this.#answers.size + holds;
    for (const kept of this.#dirty) {
      kept.isDirty = false;
      const { counter } = kept;
      if (counter === undefined) continue;
      if (kept.id === 0) inserts++;
      if (onlyCounted(kept.written, counter)) changes.push(kept.id, counter.used);
      else changes.push(this.#writeRow(kept, counter), REWRITTEN);
    }
    for (const [key, [text, expiresMs]] of this.#answers) {
      this.#insertAnswer.run(key, expiresMs, text);
    }
    // A batch that only reads has no lock to drop anything.
    if (inserts > 0 || (changes.length > 0 && this.#housekeeping.isBehind)) {
      for (const id of this.#housekeeping.step(inserts, holds, nowMs)) {
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
  scan(prefix: string, after: string, most: number): { key: string; counter: Counter }[] {
    return this.#selectSpace.all(prefix, after, `${prefix}\u{10FFFF}`, most).map((row) => ({
      key: String(row["key"]),
      counter: this.#counterOf(row, null),
    }));
  }

  /** The text of an answer; null if it is missing or has expired. */
  answer(key: string, nowMs: number): string | null {
    const row = this.#selectAnswer.get(key);
    if (row === undefined) return null;
    const text = currentAnswer(String(row["answer"]));
    return answerExpiresMs(text) > nowMs ? text : null;
  }

  /** Answers kept under keys later than `after` that have not expired, by key, at most `most`. */
  answersAfter(after: string, nowMs: number, most: number): AnswerRow[] {
    return this.#selectAnswers
      .all(after, nowMs, most)
      .map((row) => ({ key: String(row["key"]), text: currentAnswer(String(row["answer"])) }));
  }

  /** Writes counters and answers, replacing existing ones, as part of a transaction. */
  load({ counters, answers, holds }: Omit<StoreChunk, "documents">, nowMs: number): void {
    const changes: number[] = [];
    for (const { space, subject, counter } of counters) {
      changes.push(this.#upsertRow(space + subject, counter), REWRITTEN);
    }
    for (const { key, text } of answers) {
      this.#insertAnswer.run(key, answerExpiresMs(text), text);
    }
    this.holds.load(holds);
    if (changes.length > 0) this.#log.append(changes, nowMs);
    this.#forgetKept();
  }

  /** Clears the memory: only the file counts. */
  clear(): void {
    this.#housekeeping.isBehind = true;
    this.#forgetKept();
    this.#log.clear();
    this.holds.forget();
    this.#dirty = [];
    this.#answers.clear();
  }

  #forgetKept(): void {
    this.#kept.clear();
    this.#byId.clear();
    this.#absent.clear();
    this.#keptCount = 0;
    this.#lastRule = null;
    this.#lastCheck = null;
  }

  #drop(kept: Kept): void {
    kept.siblings.delete(kept.subject);
    this.#byId.delete(kept.id);
    this.#keptCount--;
    this.#lastCheck = null;
  }

  #dropAbsent(): void {
    for (const kept of this.#absent) this.#drop(kept);
    this.#absent.clear();
  }

  #keep(check: RuleCheck): Kept {
    if (check === this.#lastCheck && this.#last !== null) return this.#last;
    const siblings = this.#spaceOf(check.rule);
    const kept = siblings.get(check.subject) ?? this.#read(check, siblings);
    this.#lastCheck = check;
    this.#last = kept;
    return kept;
  }

  #spaceOf(rule: RuleTerms): Map<string, Kept> {
    if (rule === this.#lastRule) return this.#lastSpace;
    let space = this.#kept.get(rule.space);
    if (space === undefined) this.#kept.set(rule.space, (space = new Map()));
    this.#lastRule = rule;
    this.#lastSpace = space;
    return space;
  }

  #read({ rule, subject, window }: RuleCheck, siblings: Map<string, Kept>): Kept {
    const { space } = rule;
    const row = this.#select.get(space + subject);
    const kept: Kept = {
      siblings,
      space,
      subject,
      id: 0,
      counter: undefined,
      written: null,
      isDirty: false,
    };
    if (row === undefined) this.#absent.add(kept);
    else {
      kept.id = Number(row["id"]);
      kept.counter = this.#counterOf(row, window);
      kept.written = writtenOf(kept.counter);
      this.#byId.set(kept.id, kept);
    }
    siblings.set(subject, kept);
    this.#keptCount++;
    return kept;
  }

  /** A current row; its window is the object `now` if they are equal. */
  #counterOf(row: SqliteRow, now: Span | null): Counter {
    const counter = counterOf((column) => row[column]);
    const { startMs, endMs } = counter.window;
    if (startMs === now?.startMs && endMs === now.endMs) counter.window = now;
    const change = this.#log.changeOf(Number(row["id"]));
    if (change !== undefined) {
      counter.used = change.used;
      counter.seenMs = change.atMs;
    }
    return counter;
  }

  #writeRow(kept: Kept, counter: Counter): number {
    kept.id = this.#upsertRow(kept.space + kept.subject, counter);
    kept.written = writtenOf(counter);
    this.#byId.set(kept.id, kept);
    this.#absent.delete(kept);
    return kept.id;
  }

  #upsertRow(key: string, counter: Counter): number {
    const numbers = ALL_NUMBERS.map((field) => field.get(counter));
    const lists = LISTS.map((field) => listText(field, counter));
    return Number(this.#upsert.get(key, ...numbers, ...lists)?.["id"]);
  }
}

function upsertText(): string {
  const columns = [...ALL_NUMBERS, ...LISTS].map(({ column }) => column);
  const places = columns.map(() => "?").join(", ");
  const assigned = columns.map((column) => `${column} = excluded.${column}`).join(", ");
  return `INSERT INTO cells (key, ${columns.join(", ")}) VALUES (?, ${places})
    ON CONFLICT (key) DO UPDATE SET ${assigned} RETURNING id`;
}
