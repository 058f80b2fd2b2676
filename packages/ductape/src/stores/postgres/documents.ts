import type { Clock } from "../../base/call.js";
import type { DocumentChange, DocumentPage, DocumentWrite, StoredDocument } from "../store.js";
import { numberArray, textArray } from "./arrays.js";
import type { Connection, Row, Statement, Value } from "./pool.js";
import { begin, COMMIT, NOW_MS, ROLLBACK } from "./statements.js";

/** Expired documents dropped for each written one. */
const DROPS_PER_WRITE = 2;
/** Later than every character of a key. */
const END = "\u{10FFFF}";

/** The channel that announces changes of watched documents. */
export const channelOf = (schema: string): string => `ductape_${schema}`;

/** The result of `changes`; null: the tables have lost changes that were read before. */
type Told = { sequence: number; changes: DocumentChange[] } | null;

/** The outcome of a write. */
interface Written {
  /** The key of a write whose revision no longer matches; null: everything was written. */
  readonly stale: string | null;
}

/**
 * Documents in PostgreSQL. Every change of a watched one takes the next sequence number under a
 * lock that is held until it is committed, so whoever sees a number has seen all before it. The
 * methods are those of `Documents` on a given connection, and throw what `pg` throws.
 */
export class PostgresDocuments {
  readonly #schema: string;
  readonly #clock: Clock | undefined;
  readonly #begin: Statement;

  constructor(schema: string, clock: Clock | undefined, timeoutMs: number) {
    this.#schema = schema;
    this.#clock = clock;
    this.#begin = begin(timeoutMs);
  }

  /** Like `Documents.changes`. */
  async changes(connection: Connection, after: number): Promise<Told> {
    const text = `SELECT m.sequence, d.key, d.revision, d.sequence, d.value
      FROM ${this.#schema}.ductape_meta m
      LEFT JOIN ${this.#schema}.documents d ON d.sequence > $1 AND ${isLive("d", "$2")}
      ORDER BY d.sequence`;
    const { rows } = await connection.query({ text, values: [after, this.#nowMs()] });
    // A server that was set back, for instance by a failover, counts from an earlier number.
    if (Number(rows[0]?.[0]) < after) return null;
    const changes = rows.flatMap(([, key, revision, , value]) =>
      key == null ? [] : [{ key, revision: Number(revision), value: value ?? null }],
    );
    return { sequence: Number(rows.at(-1)?.[3] ?? after), changes };
  }

  /** Like `Documents.get`. */
  async get(connection: Connection, key: string): Promise<StoredDocument | null> {
    const text = `SELECT key, revision, value FROM ${this.#schema}.documents d
      WHERE key = $1 AND value IS NOT NULL AND ${isLive("d", "$2")}`;
    const { rows } = await connection.query({ text, values: [key, this.#nowMs()] });
    return rows[0] === undefined ? null : documentOf(rows[0]);
  }

  /** Like `Documents.list`. */
  async list(
    connection: Connection,
    folder: string,
    { after, limit }: DocumentPage,
  ): Promise<StoredDocument[]> {
    const text = `SELECT key, revision, value FROM ${this.#schema}.documents d
      WHERE key > $1 AND key < $2 AND value IS NOT NULL AND sequence IS NULL
      AND ${isLive("d", "$3")} ORDER BY key LIMIT $4`;
    const from = after === "" ? folder : after;
    const values = [from, `${folder}${END}`, this.#nowMs(), limit];
    const { rows } = await connection.query({ text, values });
    return rows.map(documentOf);
  }

  /**
   * Like `Documents.write`; calls `committing` before the commit is sent. If others write the same
   * documents at once, throws what `pg` throws and changes nothing.
   */
  async write(
    connection: Connection,
    writes: readonly DocumentWrite[],
    forget: readonly string[],
    committing: () => void,
  ): Promise<Written> {
    // Not for unwatched documents, which many processes write.
    const isWatched = writes.some(({ unwatched = false }) => !unwatched);
    const [, , locked] = await connection.all([
      this.#begin,
      isWatched ? this.#takeSequence() : NOTHING,
      this.#lock(writes),
    ]);
    const rows = new Map(locked?.rows.map(([key, revision, live]) => [key, { revision, live }]));
    const stale = writes.find(({ key, ifRevision }) => {
      const row = rows.get(key);
      return (row?.live === "t" ? Number(row.revision) : 0) !== ifRevision;
    });
    if (stale !== undefined) {
      await connection.query(ROLLBACK);
      return { stale: stale.key };
    }
    const work = [...this.#puts(writes, rows), ...this.#chores(writes.length, forget)];
    await connection.all(isWatched ? [...work, this.#notify()] : work);
    committing();
    const { command } = await connection.query(COMMIT);
    if (command !== "COMMIT") throw new Error(`COMMIT answered ${command}`);
    return { stale: null };
  }

  /** The lock for writing watched documents. */
  #takeSequence(): Statement {
    return { text: `SELECT FROM ${this.#schema}.ductape_meta FOR UPDATE` };
  }

  #lock(writes: readonly DocumentWrite[]): Statement {
    // Sorted, so that all processes lock in the same order.
    const keys = textArray([...new Set(writes.map(({ key }) => key))].sort());
    const text = `SELECT d.* FROM unnest($1::text[]) AS g (key) CROSS JOIN LATERAL (
      SELECT key, revision, value IS NOT NULL AND ${isLive("k", "$2")}
      FROM ${this.#schema}.documents k WHERE k.key = g.key FOR UPDATE) d`;
    return { text, values: [keys, this.#nowMs()] };
  }

  /**
   * Existing rows are locked; a row that another process inserts meanwhile makes the insert fail.
   */
  #puts(writes: readonly DocumentWrite[], rows: ReadonlyMap<unknown, unknown>): Statement[] {
    const documents = `${this.#schema}.documents`;
    const last = lastOf(writes);
    const deletes = last.filter(({ value, unwatched }) => value === null && unwatched);
    const puts = last.filter((put) => !deletes.includes(put));
    const watched = puts.filter(({ unwatched = false }) => !unwatched);
    const statements: Statement[] = [];
    if (deletes.length > 0) {
      const text = `DELETE FROM ${documents} WHERE key = ANY ($1::text[])`;
      statements.push({ text, values: [textArray(deletes.map(({ key }) => key))] });
    }
    if (watched.length > 0) {
      const text = `UPDATE ${this.#schema}.ductape_meta SET sequence = sequence + $1`;
      statements.push({ text, values: [watched.length] });
    }
    const numbers = new Map(watched.map(({ key }, i) => [key, watched.length - 1 - i]));
    const base = `(SELECT sequence FROM ${this.#schema}.ductape_meta) - g.number`;
    const columns = "key, times, number, expires_ms, value";
    const given = `unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[])
      AS g (${columns})`;
    const old = puts.filter(({ key }) => rows.has(key));
    const update = `UPDATE ${documents} d SET revision = d.revision + g.times, sequence = ${base},
      expires_ms = g.expires_ms, value = g.value FROM ${given} WHERE d.key = g.key`;
    if (old.length > 0) statements.push({ text: update, values: valuesOf(old, numbers) });
    const fresh = puts.filter(({ key }) => !rows.has(key));
    const insert = `INSERT INTO ${documents} (key, revision, sequence, expires_ms, value)
      SELECT g.key, g.times, ${base}, g.expires_ms, g.value FROM ${given}`;
    if (fresh.length > 0) statements.push({ text: insert, values: valuesOf(fresh, numbers) });
    return statements;
  }

  #chores(writes: number, forget: readonly string[]): Statement[] {
    const documents = `${this.#schema}.documents`;
    const drop = `DELETE FROM ${documents} WHERE key IN (SELECT key FROM ${documents}
      WHERE expires_ms <= coalesce($1::bigint, ${NOW_MS}) LIMIT $2 FOR UPDATE SKIP LOCKED)`;
    const statements = [{ text: drop, values: [this.#nowMs(), writes * DROPS_PER_WRITE] }];
    if (forget.length === 0) return statements;
    const text = `INSERT INTO ${this.#schema}.forgotten SELECT * FROM unnest($1::text[])
      ON CONFLICT DO NOTHING`;
    return [...statements, { text, values: [textArray([...forget].sort())] }];
  }

  #notify(): Statement {
    return { text: "SELECT pg_notify($1, '')", values: [channelOf(this.#schema)] };
  }

  /** Null: the server's clock determines when documents expire. */
  #nowMs(): number | null {
    return this.#clock?.() ?? null;
  }
}

const NOTHING: Statement = { text: "SELECT" };

/** The last write of a key, and the number of its writes. */
interface Put extends DocumentWrite {
  readonly times: number;
}

/** The writes of each key, in the order of keys, in which all processes insert. */
function lastOf(writes: readonly DocumentWrite[]): Put[] {
  const last = new Map<string, Put>();
  for (const write of writes) {
    if (write.value === undefined) continue;
    last.set(write.key, { ...write, times: (last.get(write.key)?.times ?? 0) + 1 });
  }
  return [...last.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
}

function valuesOf(puts: readonly Put[], numbers: ReadonlyMap<string, number>): Value[] {
  return [
    textArray(puts.map(({ key }) => key)),
    numberArray(puts.map(({ times }) => times)),
    numberArray(puts.map(({ key }) => numbers.get(key) ?? null)),
    numberArray(puts.map(({ expiresMs }) => expiresMs ?? null)),
    textArray(puts.map(({ value }) => value ?? null)),
  ];
}

function isLive(row: string, now: string): string {
  return `(${row}.expires_ms IS NULL OR ${row}.expires_ms > coalesce(${now}::bigint, ${NOW_MS}))`;
}

function documentOf([key, revision, value]: Row): StoredDocument {
  return { key: String(key), revision: Number(revision), value: String(value) };
}
