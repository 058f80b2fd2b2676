import { ANSWER_TTL_MS } from "../../decide/action.js";
import { holdKeptMsMax } from "../kept-holds.js";
import { PAST_GRACE_MS, VISITS_PER_INSERT } from "../memory/counters.js";
import type { PostgresResult, Statement } from "./pool.js";

/** The same as `keptUntilMs`. */
const KEPT_MS = "end_ms + CASE WHEN last IS NULL THEN 0 ELSE (end_ms - start_ms) * 9 / 8 END";
const FORGET_ROWS = 200;
const VISITS_MAX = 2_000;
const OWED_HOLDS_MAX = 200;
/** Later than every character of a key. */
const END = "\u{10FFFF}";

/**
 * Drops counters of past windows, expired answers, past holds and forgotten spaces, a few rows at a
 * time, as part of a batch's transaction. It skips rows that another transaction has locked.
 */
export class PostgresHousekeeping {
  readonly #walk: string;
  readonly #dropAnswers: string;
  readonly #dropHolds: string;
  readonly #forget: string;
  #afterKey = "";
  /** Rows to visit for the counters created since the last walk. */
  #owedVisits = 0;
  /** New holds since past ones were dropped. */
  #owedHolds = 0;
  /** Only one of several concurrent batches walks, or both would visit the same rows. */
  #walking: readonly Statement[] | null = null;
  /** Rows of deleted spaces may still exist. */
  isBehind = true;

  constructor(schema: string) {
    const cells = `${schema}.cells`;
    const answers = `${schema}.answers`;
    const holds = `${schema}.holds`;
    const forgotten = `${schema}.forgotten`;
    const piece = (which: string) =>
      `(SELECT key, ${KEPT_MS} AS kept_ms FROM ${cells} WHERE ${which} ORDER BY key LIMIT $2)`;
    // Round and round, in the order of keys.
    this.#walk = `WITH walk AS MATERIALIZED (SELECT key, kept_ms, row_number() OVER () AS nr FROM (
        ${piece("key > $1")} UNION ALL ${piece("key <= $1")}) c LIMIT $2),
      past AS MATERIALIZED (SELECT c.key FROM walk w CROSS JOIN LATERAL (
        SELECT k.key FROM ${cells} k WHERE k.key = w.key AND ${KEPT_MS} <= $3
        FOR UPDATE SKIP LOCKED) c WHERE w.kept_ms <= $3),
      gone AS (DELETE FROM ${cells} WHERE key IN (SELECT key FROM past) RETURNING key)
      SELECT NULL, (SELECT key FROM walk ORDER BY nr DESC LIMIT 1),
        (SELECT json_agg(key) FROM gone)`;
    const someOf = (which: string) =>
      `(SELECT key FROM ${answers} WHERE ${which} LIMIT $2 FOR UPDATE SKIP LOCKED)`;
    // Answers stored under a fast clock, which expire long after their time, get a new expiry.
    this.#dropAnswers = `WITH dated AS (UPDATE ${answers} SET expires_ms = $3
        WHERE key IN ${someOf("expires_ms > $3")})
      DELETE FROM ${answers} WHERE key IN ${someOf("expires_ms <= $1")}`;
    const someHolds = (which: string) =>
      `(SELECT space, name FROM ${holds} WHERE ${which} LIMIT $2 FOR UPDATE SKIP LOCKED)`;
    this.#dropHolds = `WITH dated AS (UPDATE ${holds} SET kept_ms = $3
        WHERE (space, name) IN ${someHolds("kept_ms > $3")})
      DELETE FROM ${holds} WHERE (space, name) IN ${someHolds("kept_ms <= $1")}`;
    const some = (table: string) => `SELECT r.key FROM one o CROSS JOIN LATERAL (
        SELECT key FROM ${table} WHERE key >= o.prefix AND key < o.prefix || $1
        LIMIT ${FORGET_ROWS} FOR UPDATE SKIP LOCKED) r`;
    const ofPrefix = "space >= o.prefix AND space < o.prefix || $1";
    const none = (table: string) =>
      `NOT EXISTS (SELECT FROM ${table} WHERE key >= o.prefix AND key < o.prefix || $1)`;
    this.#forget = `WITH one AS MATERIALIZED (
        SELECT prefix FROM ${forgotten} LIMIT 1 FOR UPDATE SKIP LOCKED),
      cells_gone AS (DELETE FROM ${cells} WHERE key IN (${some(cells)}) RETURNING key),
      answers_gone AS (DELETE FROM ${answers} WHERE key IN (${some(answers)})),
      holds_gone AS (DELETE FROM ${holds} WHERE (space, name) IN (
        SELECT r.space, r.name FROM one o CROSS JOIN LATERAL (
          SELECT space, name FROM ${holds} WHERE ${ofPrefix}
          LIMIT ${FORGET_ROWS} FOR UPDATE SKIP LOCKED) r)),
      done AS (DELETE FROM ${forgotten} WHERE prefix IN (
        SELECT o.prefix FROM one o WHERE ${none(cells)} AND ${none(answers)}
          AND NOT EXISTS (SELECT FROM ${holds} WHERE ${ofPrefix})))
      SELECT (SELECT count(*) FROM one), NULL, (SELECT json_agg(key) FROM cells_gone)`;
  }

  /** True if statements must run before more rows are added without them. */
  get isDue(): boolean {
    return this.isBehind || this.#owedHolds >= OWED_HOLDS_MAX;
  }

  /** So many new holds were written without {@link statements}. */
  oweHolds(count: number): void {
    this.#owedHolds += count;
  }

  /**
   * The statements to run at the end of a transaction for so many new counters and answers, and for
   * so many new holds, in order.
   */
  statements(inserts: number, holds: number, nowMs: number): Statement[] {
    const statements: Statement[] = [];
    if (this.isBehind) statements.push({ text: this.#forget, values: [END] });
    this.oweHolds(holds);
    if (this.#owedHolds > 0) {
      const visits = Math.min(this.#owedHolds * VISITS_PER_INSERT, VISITS_MAX);
      this.#owedHolds = 0;
      statements.push({ text: this.#dropHolds, values: [nowMs, visits, holdKeptMsMax(nowMs)] });
    }
    this.#owedVisits = Math.min(this.#owedVisits + inserts * VISITS_PER_INSERT, VISITS_MAX);
    if (this.#owedVisits === 0 || this.#walking !== null) return statements;
    const visits = this.#owedVisits;
    this.#owedVisits = 0;
    this.#walking = statements;
    const walk = [this.#afterKey, visits, nowMs - PAST_GRACE_MS];
    statements.push({ text: this.#walk, values: walk });
    statements.push({ text: this.#dropAnswers, values: [nowMs, visits, nowMs + ANSWER_TTL_MS] });
    return statements;
  }

  /** The transaction of these {@link statements} has ended, successfully or not. */
  end(statements: readonly Statement[]): void {
    if (this.#walking === statements) this.#walking = null;
  }

  /** Processes the results of {@link statements}; returns the keys of deleted counters. */
  learn(statements: readonly Statement[], results: readonly PostgresResult[]): string[] {
    const gone: string[] = [];
    for (const [i, { text }] of statements.entries()) {
      if (text === this.#dropAnswers || text === this.#dropHolds) continue;
      const [count, last, keys] = results[i]?.rows[0] ?? [];
      if (text === this.#forget) this.isBehind = count !== "0";
      else this.#afterKey = last ?? "";
      const dropped: string[] = keys == null ? [] : JSON.parse(keys);
      gone.push(...dropped);
    }
    return gone;
  }
}
