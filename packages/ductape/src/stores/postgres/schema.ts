import { StoreError } from "../../base/errors.js";
import type { Connection, Row } from "./pool.js";

/** Numbered changes of the schema, each run once; never edited after a release. */
const MIGRATIONS: readonly ((schema: string) => string)[] = [
  (schema) => `
  CREATE TABLE ${schema}.ductape_meta (
    id smallint PRIMARY KEY CHECK (id = 1),
    version integer NOT NULL,
    sequence bigint NOT NULL
  );
  INSERT INTO ${schema}.ductape_meta (id, version, sequence) VALUES (1, 0, 0);
  CREATE TABLE ${schema}.cells (
    key text COLLATE "C" PRIMARY KEY,
    shape integer NOT NULL,
    start_ms bigint NOT NULL,
    end_ms bigint NOT NULL,
    used bigint NOT NULL CHECK (used BETWEEN 0 AND 9007199254740991),
    granted bigint NOT NULL CHECK (granted BETWEEN 0 AND 9007199254740991),
    alerted double precision NOT NULL,
    entries text,
    seen_ms bigint NOT NULL,
    planned_limit bigint,
    version bigint NOT NULL
  ) WITH (fillfactor = 70);
  CREATE TABLE ${schema}.answers (
    key text COLLATE "C" PRIMARY KEY,
    expires_ms bigint NOT NULL,
    answer text NOT NULL
  );
  CREATE INDEX answers_by_expiry ON ${schema}.answers (expires_ms);
  CREATE TABLE ${schema}.documents (
    key text COLLATE "C" PRIMARY KEY,
    revision bigint NOT NULL,
    sequence bigint,
    expires_ms bigint,
    value text
  );
  CREATE INDEX documents_by_sequence ON ${schema}.documents (sequence)
    WHERE sequence IS NOT NULL;
  CREATE INDEX documents_by_expiry ON ${schema}.documents (expires_ms)
    WHERE expires_ms IS NOT NULL;
  CREATE TABLE ${schema}.forgotten (prefix text COLLATE "C" PRIMARY KEY);
  `,
  // Null: it remembers no window before.
  (schema) => `ALTER TABLE ${schema}.cells ADD COLUMN last text`,
  (schema) => `
  ALTER TABLE ${schema}.cells ADD COLUMN holds text;
  CREATE TABLE ${schema}.holds (
    space text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    opened_ms bigint NOT NULL,
    kept_ms bigint NOT NULL,
    is_open boolean NOT NULL,
    record text NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (space, name)
  ) WITH (fillfactor = 70);
  CREATE INDEX holds_open ON ${schema}.holds (space, opened_ms, name) WHERE is_open;
  CREATE INDEX holds_by_expiry ON ${schema}.holds (kept_ms);
  `,
];

/** PostgreSQL 13, in the form of `server_version_num`. */
const SERVER_MIN = 130_000;

/** "duct" in ASCII: the first key of this program's locks. */
const LOCK_CLASS = 0x64756374;

/**
 * Brings the schema to this version's tables, under a lock of its transaction. Throws
 * `STORE_UNAVAILABLE` and changes nothing for a server that is too old, a replica or not encoded
 * in UTF-8, and for a schema that is newer or belongs to another program.
 */
export async function migrate(
  connection: Connection,
  schema: string,
  shown: string,
): Promise<void> {
  const refuse = (why: string) =>
    new StoreError("STORE_UNAVAILABLE", `the store ${shown}: ${why}`, { retryable: false });
  await checkServer(connection, refuse);
  if ((await versionOf(connection, schema, refuse)) === MIGRATIONS.length) return;
  // A migration may take longer than a batch waits for a lock.
  const text = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = 0";
  await connection.query({ text });
  const lock = "SELECT pg_advisory_xact_lock($1, hashtext($2))";
  await connection.query({ text: lock, values: [LOCK_CLASS, schema] });
  const version = await versionOf(connection, schema, refuse);
  if (version === NO_SCHEMA) await connection.query({ text: `CREATE SCHEMA ${schema}` });
  for (const sql of MIGRATIONS.slice(Math.max(0, version))) {
    await connection.query({ text: sql(schema) });
  }
  const update = `UPDATE ${schema}.ductape_meta SET version = $1`;
  await connection.query({ text: update, values: [MIGRATIONS.length] });
  await connection.query({ text: "COMMIT" });
}

const SERVER = `SELECT current_setting('server_version_num'), current_setting('server_version'),
  pg_is_in_recovery(), current_setting('transaction_read_only'),
  current_setting('server_encoding')`;

async function checkServer(
  connection: Connection,
  refuse: (why: string) => StoreError,
): Promise<void> {
  const { rows } = await connection.query({ text: SERVER });
  const [number, version, isReplica, isReadOnly, encoding] = rows[0] ?? [];
  if (!(Number(number) >= SERVER_MIN)) {
    throw refuse(`expects PostgreSQL 13 or newer, got ${version}`);
  }
  if (isReplica === "t") throw refuse("it is a replica; name the primary server");
  if (isReadOnly === "on") {
    throw refuse("it is read-only for this user; turn default_transaction_read_only off");
  }
  if (encoding !== "UTF8") {
    throw refuse(`expects a database with the encoding UTF8, got ${encoding}; create one`);
  }
}

const NO_SCHEMA = -1;

/** The version of the schema; 0 if it is empty, -1 if it does not exist. */
async function versionOf(
  connection: Connection,
  schema: string,
  refuse: (why: string) => StoreError,
): Promise<number> {
  const [exists, isOurs, relations] = await first(connection, CATALOG, [schema]);
  if (exists === "f") return NO_SCHEMA;
  if (isOurs === "f") {
    if (relations === "0") return 0;
    const what = `schema ${schema} has tables of another program`;
    throw refuse(`${what}; name another one with ?schema=, it was not changed`);
  }
  const [found] = await first(connection, `SELECT version FROM ${schema}.ductape_meta`);
  const version = Number(found);
  if (version <= MIGRATIONS.length) return version;
  const known = `schema ${schema} has version ${version}, and this program knows`;
  throw refuse(`${known} ${MIGRATIONS.length}; update ductape, it was not changed`);
}

const CATALOG = `SELECT n.oid IS NOT NULL,
  EXISTS (SELECT FROM pg_class WHERE relnamespace = n.oid AND relname = 'ductape_meta'),
  (SELECT count(*) FROM pg_class WHERE relnamespace = n.oid)
  FROM (SELECT) one LEFT JOIN pg_namespace n ON n.nspname = $1`;

async function first(connection: Connection, text: string, values?: string[]): Promise<Row> {
  const { rows } = await connection.query(values === undefined ? { text } : { text, values });
  return rows[0] ?? [];
}
