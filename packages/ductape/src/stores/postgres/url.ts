import { show, ValidationError } from "../../base/errors.js";

/** Where the tables of a {@link PostgresStore} are and how it reaches them. */
export interface PostgresPlace {
  /** Holds the tables, and nothing else. */
  readonly schema: string;
  /** Listens for changes of definitions on a connection of its own. */
  readonly listens: boolean;
}

/** What a URL says. */
export interface PostgresUrl extends PostgresPlace {
  /** Without the options that are ours: what `pg` connects to. */
  readonly connectionString: string;
  /** The server and database, without user and password: to show. */
  readonly shown: string;
  /** Most connections to calls; the one that listens is not among them. */
  readonly connectionsMax: number;
}

/** The schema unless another one is named. */
export const DEFAULT_SCHEMA = "ductape";
/** Connections of calls unless the URL says otherwise. */
export const DEFAULT_CONNECTIONS = 4;
const CONNECTIONS_MAX = 100;

/**
 * Reads `postgres://user:password@host:port/database?schema=...&pool=...&listen=false`; other
 * options are those of `pg`, such as `sslmode`. What the URL leaves out comes from the variables of
 * `pg`, such as `PGHOST`. Throws `VALIDATION` that names `option`, and never
 * tells the password.
 */
export function parsePostgresUrl(url: string, option: string): PostgresUrl {
  const invalid = (message: string) => new ValidationError([{ path: option, message }]);
  const [base = "", ...rest] = url.split("?");
  const query = new URLSearchParams(rest.join("?"));
  const isUrl = /^postgres(ql)?:\/\//.test(base) && URL.canParse(base);
  const server = isUrl ? new URL(base) : null;
  if (server === null || server.hash !== "") {
    const wanted = "expects postgres://user:password@host:port/database";
    throw invalid(`${wanted}, with special characters of the password escaped as in %23`);
  }
  const take = (name: string): string | null => {
    const value = query.get(name);
    query.delete(name);
    return value;
  };
  const schema = take("schema") ?? DEFAULT_SCHEMA;
  const schemaFault = checkSchema(schema);
  if (schemaFault !== null) throw invalid(`schema: ${schemaFault}`);
  const pool = take("pool") ?? String(DEFAULT_CONNECTIONS);
  const connectionsMax = /^\d{1,3}$/.test(pool) ? Number(pool) : 0;
  if (connectionsMax < 1 || connectionsMax > CONNECTIONS_MAX) {
    throw invalid(`pool: expects a number of connections from 1 to 100, got ${show(pool)}`);
  }
  const listen = take("listen") ?? "true";
  if (listen !== "true" && listen !== "false") {
    throw invalid(`listen: expects true or false, got ${show(listen)}`);
  }
  const options = query.size === 0 ? "" : `?${query.toString()}`;
  return {
    connectionString: `${base}${options}`,
    shown: `postgres://${server.host}${server.pathname}`,
    schema,
    connectionsMax,
    listens: listen === "true",
  };
}

/** Characters of a schema: the name of its channel, which is longer, has to fit as well. */
const SCHEMA_CHARS_MAX = 48;

/** What is wrong with the name of a schema; null: nothing. */
export function checkSchema(schema: string): string | null {
  const isPlain = /^[a-z_][a-z0-9_]*$/.test(schema) && !schema.startsWith("pg_");
  if (isPlain && schema.length <= SCHEMA_CHARS_MAX) return null;
  const wanted = `expects at most ${SCHEMA_CHARS_MAX} of a-z, 0-9 and "_"`;
  return `${wanted}, not beginning with a digit or "pg_", got ${show(schema)}`;
}
