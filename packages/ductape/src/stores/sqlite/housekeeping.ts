import { ANSWER_TTL_MS } from "../../decide/action.js";
import { PAST_GRACE_MS, VISITS_PER_INSERT } from "../memory/counters.js";
import { holdKeptMsMax } from "../kept-holds.js";
import type { Sqlite, SqliteStatement } from "./driver.js";

/** The same as `keptUntilMs`. */
const KEPT_MS = "end_ms + CASE WHEN last IS NULL THEN 0 ELSE (end_ms - start_ms) * 9 / 8 END";
const FORGET_ROWS = 200;

/**
 * Drops counters of past windows, expired answers, past holds and forgotten spaces, a few rows at a
 * time.
 */
export class SqliteHousekeeping {
  readonly #walk: SqliteStatement;
  readonly #dropCell: SqliteStatement;
  readonly #dropAnswers: SqliteStatement;
  readonly #dateAnswers: SqliteStatement;
  readonly #walkHolds: SqliteStatement;
  readonly #dropHold: SqliteStatement;
  readonly #dateHold: SqliteStatement;
  readonly #forgotten: SqliteStatement;
  readonly #forgetCells: SqliteStatement;
  readonly #forgetAnswers: SqliteStatement;
  readonly #forgetHolds: SqliteStatement;
  readonly #forgetDone: SqliteStatement;
  #afterId = 0;
  #afterHoldId = 0;
  /** Rows of deleted spaces may still exist. */
  isBehind = true;

  constructor(db: Sqlite) {
    this.#walk = db.prepare(
      `SELECT id, ${KEPT_MS} AS kept_ms FROM cells WHERE id > ? ORDER BY id LIMIT ?`,
    );
    this.#dropCell = db.prepare("DELETE FROM cells WHERE id = ?");
    this.#dropAnswers = db.prepare(
      `DELETE FROM answers WHERE key IN (SELECT key FROM answers WHERE expires_ms <= ? LIMIT ?)`,
    );
    // Answers stored under a fast clock, which expire long after their time.
    this.#dateAnswers = db.prepare(
      `UPDATE answers SET expires_ms = ? WHERE key IN
         (SELECT key FROM answers WHERE expires_ms > ? LIMIT ?)`,
    );
    this.#walkHolds = db.prepare("SELECT id, kept_ms FROM holds WHERE id > ? ORDER BY id LIMIT ?");
    this.#dropHold = db.prepare("DELETE FROM holds WHERE id = ?");
    this.#dateHold = db.prepare("UPDATE holds SET kept_ms = ? WHERE id = ?");
    this.#forgotten = db.prepare("SELECT prefix FROM forgotten LIMIT 1");
    this.#forgetCells = db.prepare(
      `DELETE FROM cells WHERE id IN
         (SELECT id FROM cells WHERE key >= ? AND key < ? LIMIT ${FORGET_ROWS}) RETURNING id`,
    );
    this.#forgetAnswers = db.prepare(
      `DELETE FROM answers WHERE key IN
         (SELECT key FROM answers WHERE key >= ? AND key < ? LIMIT ${FORGET_ROWS})`,
    );
    this.#forgetHolds = db.prepare(
      `DELETE FROM holds WHERE id IN
         (SELECT id FROM holds WHERE space >= ? AND space < ? LIMIT ${FORGET_ROWS})`,
    );
    this.#forgetDone = db.prepare("DELETE FROM forgotten WHERE prefix = ?");
  }

  /**
   * Visits a few rows for each of `inserts`, `holds` of which are holds; returns the ids of the
   * dropped counters.
   */
  step(inserts: number, holds: number, nowMs: number): number[] {
    const dropped = this.#forgetSome();
    if (inserts > holds) this.#dropPast((inserts - holds) * VISITS_PER_INSERT, nowMs, dropped);
    if (holds > 0) this.#dropPastHolds(holds * VISITS_PER_INSERT, nowMs);
    return dropped;
  }

  #dropPastHolds(visits: number, nowMs: number): void {
    // Those opened under a fast clock, which would stay long after their time.
    const latestMs = holdKeptMsMax(nowMs);
    const rows = this.#walkHolds.all(this.#afterHoldId, visits);
    this.#afterHoldId = rows.length < visits ? 0 : Number(rows.at(-1)?.["id"] ?? 0);
    for (const { id, kept_ms } of rows) {
      if (Number(kept_ms) <= nowMs) this.#dropHold.run(Number(id));
      else if (Number(kept_ms) > latestMs) this.#dateHold.run(latestMs, Number(id));
    }
  }

  #dropPast(visits: number, nowMs: number, dropped: number[]): void {
    this.#dropAnswers.run(nowMs, visits);
    const latestMs = nowMs + ANSWER_TTL_MS;
    this.#dateAnswers.run(latestMs, latestMs, visits);
    const rows = this.#walk.all(this.#afterId, visits);
    this.#afterId = rows.length < visits ? 0 : Number(rows.at(-1)?.["id"] ?? 0);
    for (const { id, kept_ms } of rows) {
      if (Number(kept_ms) > nowMs - PAST_GRACE_MS) continue;
      this.#dropCell.run(Number(id));
      dropped.push(Number(id));
    }
  }

  #forgetSome(): number[] {
    const prefix = this.#forgotten.get()?.["prefix"];
    this.isBehind = typeof prefix === "string";
    if (typeof prefix !== "string") return [];
    const end = `${prefix}\u{10FFFF}`;
    const cells = this.#forgetCells.all(prefix, end).map(({ id }) => Number(id));
    const answers = Number(this.#forgetAnswers.run(prefix, end).changes);
    const holds = Number(this.#forgetHolds.run(prefix, end).changes);
    if (cells.length + answers + holds === 0) this.#forgetDone.run(prefix);
    return cells;
  }
}
