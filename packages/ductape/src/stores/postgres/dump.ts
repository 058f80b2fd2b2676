import { randomBytes } from "node:crypto";
import { answerExpiresMs } from "../../decide/answer.js";
import type { Clock } from "../../base/call.js";
import type { KeptDocument, StoreChunk } from "../store.js";
import { CHUNK_ROWS } from "../paging.js";
import { numberArray, textArray } from "./arrays.js";
import { bodyValues } from "./batch.js";
import { holdValues } from "./holds.js";
import type { Connection, Statement } from "./pool.js";
import { begin, COMMIT, loadHoldsStatement, loadStatement, NOW_MS } from "./statements.js";

/**
 * Reads documents and writes everything, for a move to or from another store. The methods work on a
 * given connection and throw what `pg` throws.
 */
export class PostgresDump {
  readonly #schema: string;
  readonly #clock: Clock | undefined;
  readonly #begin: Statement;

  constructor(schema: string, clock: Clock | undefined, timeoutMs: number) {
    this.#schema = schema;
    this.#clock = clock;
    this.#begin = begin(timeoutMs);
  }

  /** Documents under keys later than `after` that have not expired, by key: at most one chunk. */
  async documents(connection: Connection, after: string): Promise<KeptDocument[]> {
    const text = `SELECT key, revision, value, expires_ms, sequence FROM ${this.#schema}.documents
      WHERE key > $1 AND value IS NOT NULL
      AND (expires_ms IS NULL OR expires_ms > coalesce($2::bigint, ${NOW_MS}))
      ORDER BY key LIMIT $3`;
    const values = [after, this.#clock?.() ?? null, CHUNK_ROWS];
    const { rows } = await connection.query({ text, values });
    return rows.map(([key, revision, value, expiresMs, sequence]) => ({
      key: String(key),
      revision: Number(revision),
      value: String(value),
      expiresMs: expiresMs == null ? null : Number(expiresMs),
      isUnwatched: sequence == null,
    }));
  }

  /** Writes the content of another store, in one transaction. */
  async load(connection: Connection, chunk: StoreChunk): Promise<void> {
    await connection.all([this.#begin, ...this.#writes(chunk)]);
    const { command } = await connection.query(COMMIT);
    if (command !== "COMMIT") throw new Error(`COMMIT answered ${command}`);
  }

  #writes({ counters, answers, holds, documents }: StoreChunk): Statement[] {
    const writes: Statement[] = [];
    const version = (randomBytes(8).readBigUInt64BE() >> 2n).toString();
    if (counters.length > 0) {
      const keys = textArray(counters.map(({ space, subject }) => space + subject));
      const used = numberArray(counters.map(({ counter }) => counter.used));
      const seen = numberArray(counters.map(({ counter }) => counter.seenMs));
      const values = [keys, used, seen, version, ...bodyValues(counters)];
      writes.push({ text: loadStatement(this.#schema), values });
    }
    if (answers.length > 0) writes.push(this.#answers(answers));
    if (holds.length > 0) {
      const values = holdValues(holds.map((row) => ({ ...row, isDirty: true })));
      writes.push({ text: loadHoldsStatement(this.#schema), values: [...values, version] });
    }
    if (documents.length > 0) writes.push(...this.#documents(documents));
    return writes;
  }

  #answers(answers: StoreChunk["answers"]): Statement {
    const text = `INSERT INTO ${this.#schema}.answers (key, expires_ms, answer)
      SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[])
      ON CONFLICT (key) DO UPDATE SET expires_ms = excluded.expires_ms, answer = excluded.answer`;
    const keys = textArray(answers.map(({ key }) => key));
    const expires = numberArray(answers.map((each) => answerExpiresMs(each.text)));
    const texts = textArray(answers.map((each) => each.text));
    return { text, values: [keys, expires, texts] };
  }

  #documents(documents: readonly KeptDocument[]): Statement[] {
    const meta = `${this.#schema}.ductape_meta`;
    const text = `INSERT INTO ${this.#schema}.documents
        (key, revision, sequence, expires_ms, value)
      SELECT g.key, g.revision, CASE WHEN g.watched THEN m.sequence END, g.expires_ms, g.value
      FROM ${meta} m, unnest($1::text[], $2::bigint[], $3::boolean[], $4::bigint[], $5::text[])
        AS g (key, revision, watched, expires_ms, value)
      ON CONFLICT (key) DO UPDATE SET revision = excluded.revision, value = excluded.value,
        sequence = excluded.sequence, expires_ms = excluded.expires_ms`;
    const values = [
      textArray(documents.map(({ key }) => key)),
      numberArray(documents.map(({ revision }) => revision)),
      textArray(documents.map(({ isUnwatched }) => (isUnwatched ? "f" : "t"))),
      numberArray(documents.map(({ expiresMs }) => expiresMs)),
      textArray(documents.map(({ value }) => value)),
    ];
    return [{ text: `UPDATE ${meta} SET sequence = sequence + 1` }, { text, values }];
  }
}
