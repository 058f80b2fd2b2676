import type { Clock } from "../../base/call.js";
import { rememberedMs, type Hold } from "../../decide/hold.js";
import { splitCounterKey } from "../../base/key.js";
import { readHold } from "../hold-record.js";
import { currentAnswer } from "../older-answers.js";
import { CHUNK_ROWS } from "../paging.js";
import type { AnswerRow, HoldPage, HoldRow } from "../store.js";
import type { Connection, Row } from "./pool.js";
import { NOW_MS } from "./statements.js";

/**
 * Reads answers and holds that have not expired. The methods work on a given connection and throw
 * what `pg` throws.
 */
export class PostgresRecords {
  readonly #answers: string;
  readonly #holds: string;
  readonly #clock: Clock | undefined;

  constructor(schema: string, clock: Clock | undefined) {
    this.#answers = `${schema}.answers`;
    this.#holds = `${schema}.holds`;
    this.#clock = clock;
  }

  /** The answer to a key; null if it is missing. */
  async answer(connection: Connection, key: string): Promise<string | null> {
    const text = `SELECT answer FROM ${this.#answers} WHERE key = $1 AND expires_ms > ${now(2)}`;
    const { rows } = await connection.query({ text, values: [key, this.#now()] });
    const answer = rows[0]?.[0];
    return answer == null ? null : currentAnswer(answer);
  }

  /** A hold; null if it is missing. */
  async hold(connection: Connection, space: string, name: string): Promise<Hold | null> {
    const text = `SELECT space, name, record FROM ${this.#holds}
      WHERE space = $1 AND name = $2 AND kept_ms > ${now(3)}`;
    const { rows } = await connection.query({ text, values: [space, name, this.#now()] });
    return rows[0] === undefined ? null : holdRow(rows[0]).hold;
  }

  /** See `Records.openHolds`. */
  async openHolds(connection: Connection, space: string, page: HoldPage): Promise<HoldRow[]> {
    const [openedMs, name] =
      page.after === null ? [-1, ""] : [page.after.openedMs, page.after.name];
    const text = `SELECT space, name, record FROM ${this.#holds}
      WHERE is_open AND space = $1 AND (opened_ms, name) > ($2, $3)
        AND kept_ms > ${now(4)} + ${REMEMBERED_MS}
      ORDER BY opened_ms, name LIMIT $5`;
    const values = [space, openedMs, name, this.#now(), page.limit];
    const { rows } = await connection.query({ text, values });
    return rows.map(holdRow);
  }

  /** Answers under keys later than `after`, by key: at most one chunk. */
  async answersAfter(connection: Connection, after: string): Promise<AnswerRow[]> {
    const text = `SELECT key, answer FROM ${this.#answers}
      WHERE key > $1 AND expires_ms > ${now(2)} ORDER BY key LIMIT $3`;
    const values = [after, this.#now(), CHUNK_ROWS];
    const { rows } = await connection.query({ text, values });
    return rows.map(([key, answer]) => ({ key: String(key), text: currentAnswer(String(answer)) }));
  }

  /** Holds under keys, which are space and name, later than `after`: at most one chunk. */
  async holdsAfter(connection: Connection, after: string) {
    const text = `SELECT space, name, record FROM ${this.#holds}
      WHERE (space, name) > ($1, $2) AND kept_ms > ${now(3)} ORDER BY space, name LIMIT $4`;
    const { space, subject: name } = splitCounterKey(after);
    const { rows } = await connection.query({
      text,
      values: [space, name, this.#now(), CHUNK_ROWS],
    });
    return rows.map((row) => {
      const each = holdRow(row);
      return { ...each, key: each.space + each.name };
    });
  }

  #now(): number | null {
    return this.#clock?.() ?? null;
  }
}

/** How long an expired hold is remembered. */
const REMEMBERED_MS = rememberedMs({ settledMs: 0, expiresMs: 0 });

/** The given instant at a parameter, or the server's. */
const now = (place: number): string => `coalesce($${place}::bigint, ${NOW_MS})`;

function holdRow([space, name, record]: Row): HoldRow {
  return { space: String(space), name: String(name), hold: readHold(String(record)) };
}
