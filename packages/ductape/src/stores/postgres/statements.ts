import { ALL_NUMBERS, LISTS, NUMBERS } from "../counter-record.js";
import { lockMsOf, type Statement } from "./pool.js";

/** The server's clock in epoch milliseconds. */
export const NOW_MS = "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/** Columns of a counter, in the order in which they are read. */
const COLUMNS = ["key", "version", ...[...ALL_NUMBERS, ...LISTS].map(({ column }) => column)].join(
  ", ",
);

/** Texts of the statements on counters and answers. Every one names the schema. */
export interface CounterStatements {
  /** $1 keys. A row with the server's clock, then the counters, in one snapshot. */
  readonly read: string;
  /** $1 keys, sorted: rows are locked in this order. */
  readonly lock: string;
  /** $1 keys of answers, $2 keys of counters: the clock, how many counters there are, answers. */
  readonly tell: string;
  /** $1 key, $2 version, $3 used, $4 instant, $5 new version, $6 {@link GUARD_BEHIND_MS}. */
  readonly countOne: string;
  /** $1 keys. Returns those that somebody else has locked. */
  readonly held: string;
  /** Like `countOne`, $1 to $3 arrays; used is null for a counter that must only be unchanged. */
  readonly countAll: string;
  /** Like `countAll`, and $7 to $15 the other columns. */
  readonly guardAll: string;
  /**
   * Like `guardAll`, and $16 versions of holds, null for one that must have no row, $17 to $22
   * their columns; the record is null for one that must only be unchanged.
   */
  readonly guardHolds: string;
  /** $1 spaces, $2 names, sorted: rows are locked in this order. */
  readonly lockHolds: string;
  /** $1 to $6 the columns of holds, $7 new version. */
  readonly updateHolds: string;
  /** Like `updateHolds`. Fails if a hold exists. */
  readonly insertHolds: string;
  /** $1 keys, $2 used, $3 instant, $4 new version, $5 to $13 the other columns. */
  readonly update: string;
  /** Like `update`. Fails if a counter exists. */
  readonly insert: string;
  /** $1 keys, $2 instant. */
  readonly dropExpired: string;
  /** $1 keys, $2 instants of expiry, $3 answers. Fails if an answer exists. */
  readonly insertAnswers: string;
  /** $1 prefix, $2 after, $3 before, $4 most. */
  readonly scan: string;
}

/** A decision made on a clock further behind than this is not written. */
export const GUARD_BEHIND_MS = 500;

const BODY = [...NUMBERS, ...LISTS].map(({ column }) => column).join(", ");
/** The columns of a hold but the version. */
const HOLD_COLUMNS = "space, name, opened_ms, kept_ms, is_open, record";
const HOLD_TYPES = ["text[]", "text[]", "bigint[]", "bigint[]", "boolean[]", "text[]"];
const HOLD_ASSIGNED = assignedFrom("opened_ms, kept_ms, is_open, record", "g");
const ARRAY_TYPES = { integer: "int[]", bigint: "bigint[]", real: "float8[]" } as const;
const BODY_TYPES = [...NUMBERS.map(({ type }) => ARRAY_TYPES[type]), ...LISTS.map(() => "text[]")];

/** The texts for the tables of one schema, whose name needs no quotes. */
export function counterStatements(schema: string): CounterStatements {
  const cells = `${schema}.cells`;
  const answers = `${schema}.answers`;
  const holds = `${schema}.holds`;
  const each = (keys: string) => `unnest(${keys}::text[]) AS g (key)`;
  return {
    read: `SELECT n.ms, c.* FROM (SELECT ${NOW_MS} AS ms) n LEFT JOIN ${each("$1")}
      CROSS JOIN LATERAL (SELECT ${COLUMNS} FROM ${cells} k WHERE k.key = g.key OFFSET 0) c
      ON true`,
    lock: `SELECT c.* FROM ${each("$1")}
      CROSS JOIN LATERAL (SELECT ${COLUMNS} FROM ${cells} k WHERE k.key = g.key FOR UPDATE) c`,
    tell: `SELECT n.ms, n.found, a.key, a.answer FROM (SELECT ${NOW_MS} AS ms,
        (SELECT count(*) FROM ${cells} WHERE key = ANY ($2::text[])) AS found) n
      LEFT JOIN ${answers} a ON a.key = ANY ($1::text[])`,
    held: `WITH free AS MATERIALIZED (
        SELECT key FROM ${cells} WHERE key = ANY ($1::text[]) FOR UPDATE SKIP LOCKED)
      SELECT key FROM ${cells} WHERE key = ANY ($1::text[]) EXCEPT SELECT key FROM free`,
    countOne: `UPDATE ${cells} SET used = $3, seen_ms = $4, version = $5
      WHERE key = $1 AND version = $2 AND ${isTimely("$4", "$6")} RETURNING ${NOW_MS}`,
    countAll: guarded(cells, "", []),
    guardAll: guarded(cells, `, ${BODY}`, BODY_TYPES),
    guardHolds: guarded(cells, `, ${BODY}`, BODY_TYPES, holds),
    lockHolds: `SELECT k.* FROM unnest($1::text[], $2::text[]) AS g (space, name)
      CROSS JOIN LATERAL (SELECT space, name, version, record FROM ${holds} k
        WHERE k.space = g.space AND k.name = g.name FOR UPDATE) k`,
    updateHolds: `UPDATE ${holds} k SET version = $7, ${HOLD_ASSIGNED} FROM ${holdRows(1)}
      WHERE k.space = g.space AND k.name = g.name`,
    insertHolds: `INSERT INTO ${holds} (${HOLD_COLUMNS}, version)
      SELECT ${HOLD_COLUMNS}, $7::bigint FROM ${holdRows(1)}`,
    update: `UPDATE ${cells} c SET used = g.used, seen_ms = $3, version = $4,
      ${assigned("g")} FROM ${written(5)} WHERE c.key = g.key`,
    insert: `INSERT INTO ${cells} (key, used, seen_ms, version, ${BODY})
      SELECT g.key, g.used, $3::bigint, $4::bigint, ${BODY} FROM ${written(5)}`,
    dropExpired: `DELETE FROM ${answers} WHERE key = ANY ($1::text[]) AND expires_ms <= $2`,
    insertAnswers: `INSERT INTO ${answers} (key, expires_ms, answer)
      SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[])`,
    scan: `SELECT ${COLUMNS} FROM ${cells} WHERE key >= $1 AND key > $2 AND key < $3
      ORDER BY key LIMIT $4`,
  };
}

/**
 * Writes holds, replacing existing ones. $1 to $6 their columns, $7 new version.
 */
export function loadHoldsStatement(schema: string): string {
  const assigned = assignedFrom("opened_ms, kept_ms, is_open, record, version", "excluded");
  return `INSERT INTO ${schema}.holds (${HOLD_COLUMNS}, version)
    SELECT ${HOLD_COLUMNS}, $7::bigint FROM ${holdRows(1)}
    ON CONFLICT (space, name) DO UPDATE SET ${assigned}`;
}

/**
 * Writes counters, replacing existing ones. $1 keys, $2 used, $3 instants, $4 new version, $5 to
 * $13 the other columns.
 */
export function loadStatement(schema: string): string {
  const body = BODY_TYPES.map((type, i) => `$${5 + i}::${type}`).join(", ");
  return `INSERT INTO ${schema}.cells (key, used, seen_ms, version, ${BODY})
    SELECT g.key, g.used, g.seen_ms, $4::bigint, ${BODY}
    FROM unnest($1::text[], $2::bigint[], $3::bigint[], ${body})
      AS g (key, used, seen_ms, ${BODY})
    ON CONFLICT (key) DO UPDATE SET used = excluded.used, seen_ms = excluded.seen_ms,
      version = excluded.version, ${assigned("excluded")}`;
}

/** Counters to write, as rows `g`; the columns of the body begin at the parameter `from`. */
function written(from: number): string {
  const body = BODY_TYPES.map((type, i) => `$${from + i}::${type}`).join(", ");
  return `unnest($1::text[], $2::bigint[], ${body}) AS g (key, used, ${BODY})`;
}

/** Holds to write, as rows `g`; their columns begin at the parameter `from`. */
function holdRows(from: number): string {
  const values = HOLD_TYPES.map((type, i) => `$${from + i}::${type}`).join(", ");
  return `unnest(${values}) AS g (${HOLD_COLUMNS})`;
}

const assigned = (row: string): string => assignedFrom(BODY, row);

function assignedFrom(columns: string, row: string): string {
  return columns
    .split(", ")
    .map((column) => `${column} = ${row}.${column}`)
    .join(", ");
}

/** Null for the second: the server does not check the instant. */
function isTimely(instant: string, behind: string): string {
  const late = `${instant} > ${NOW_MS} - ${behind}`;
  return `(${behind}::bigint IS NULL OR (${instant} <= ${NOW_MS} AND ${late}))`;
}

/**
 * Writes all or none: only if every counter and hold has its expected version, nobody has locked
 * one, and the instant is right. The locks come first, without waiting for any.
 */
function guarded(
  cells: string,
  body: string,
  types: readonly string[],
  holds: string | null = null,
): string {
  const values = types.map((type, i) => `, $${7 + i}::${type}`).join("");
  const set = body === "" ? "" : `, ${assigned("l")}`;
  const [held, areHeld, writeHolds] = holds === null ? ["", "", ""] : guardedHolds(holds);
  return `WITH given AS (
      SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[]${values})
        AS g (key, version, used${body})),
    locked AS MATERIALIZED (SELECT g.* FROM given g CROSS JOIN LATERAL (
      SELECT FROM ${cells} k WHERE k.key = g.key AND k.version = g.version
      FOR UPDATE SKIP LOCKED) c),${held}
    clock AS MATERIALIZED (SELECT ${NOW_MS} AS ms, count(*) AS found FROM locked),
    result AS MATERIALIZED (SELECT ms, found = cardinality($1::text[])${areHeld}
      AND ($6::bigint IS NULL OR ($4::bigint <= ms AND $4::bigint > ms - $6::bigint)) AS isDone
      FROM clock),${writeHolds}
    written AS (UPDATE ${cells} c SET used = l.used, seen_ms = $4, version = $5${set}
      FROM locked l WHERE c.key = l.key AND l.used IS NOT NULL AND (SELECT isDone FROM result))
    SELECT ms, isDone FROM result`;
}

/** The parts of a guarded statement for holds: their locks, the condition, and what it writes. */
function guardedHolds(holds: string): [held: string, areHeld: string, writeHolds: string] {
  const from = 7 + BODY_TYPES.length;
  const values = HOLD_TYPES.map((type, i) => `$${from + 1 + i}::${type}`).join(", ");
  const isOf = `k.space = g.space AND k.name = g.name`;
  return [
    `
    due AS MATERIALIZED (SELECT * FROM unnest($${from}::bigint[], ${values})
        AS g (version, ${HOLD_COLUMNS})),
    held AS MATERIALIZED (SELECT g.*, c.place FROM due g CROSS JOIN LATERAL (
      SELECT k.ctid AS place FROM ${holds} k WHERE ${isOf} AND k.version = g.version
      FOR UPDATE SKIP LOCKED) c WHERE g.version IS NOT NULL),`,
    `
      AND (SELECT count(*) FROM held) = (SELECT count(version) FROM due)
      AND NOT EXISTS (SELECT FROM due g JOIN ${holds} k ON ${isOf}
        WHERE g.version IS NULL AND g.record IS NULL)`,
    `
    renewed AS (UPDATE ${holds} k SET version = $5, ${HOLD_ASSIGNED} FROM held g
      WHERE k.ctid = g.place AND g.record IS NOT NULL AND (SELECT isDone FROM result)),
    opened AS (INSERT INTO ${holds} (${HOLD_COLUMNS}, version)
      SELECT ${HOLD_COLUMNS}, $5::bigint FROM due g
      WHERE g.version IS NULL AND g.record IS NOT NULL AND (SELECT isDone FROM result)),`,
  ];
}

/** Begins a transaction whose waits are bounded, in milliseconds. */
export function begin(timeoutMs: number): Statement {
  const statementMs = Math.max(1, Math.floor(timeoutMs));
  return {
    text: `BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = ${lockMsOf(timeoutMs)};
      SET LOCAL statement_timeout = ${statementMs};
      SET LOCAL idle_in_transaction_session_timeout = ${IDLE_MS_MAX}`,
  };
}

/** How long a hanging process may block others from its counters. */
const IDLE_MS_MAX = 2_000;

/** Ends a transaction. */
export const COMMIT: Statement = { text: "COMMIT" };
/** Ends a transaction and undoes it. */
export const ROLLBACK: Statement = { text: "ROLLBACK" };
