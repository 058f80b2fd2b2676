import { show, ValidationError } from "../../base/errors.js";

/** Where the tables of a {@link PostgresStore} are and how it reaches them. */
export interface PostgresPlace {
  /** Holds the tables, and nothing else. */
  readonly schema: string;
  /** Whether to listen for changes of definitions on a separate connection. */
  readonly listens: boolean;
}

/** The settings in a URL. */
export interface PostgresUrl extends PostgresPlace {
  /** The URL for `pg`, without our own options. */
  readonly connectionString: string;
  /** The server and database without user and password, for messages. */
  readonly shown: string;
  /** The most connections for calls, without the one that listens. */
  readonly connectionsMax: number;
}

/** The default schema. */
export const DEFAULT_SCHEMA = "ductape";
/** The default number of connections for calls. */
export const DEFAULT_CONNECTIONS = 4;
const CONNECTIONS_MAX = 100;

/**
 * Reads `postgres://user:password@host:port/database?schema=...&pool=...&listen=false`; other
 * options are those of `pg`, such as `sslmode`. `pg` takes what the URL leaves out from its own
 * variables, such as `PGHOST`. Throws `VALIDATION`, which names `option` and never shows the
 * password.
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

/** The most characters of a schema, because the longer name of its channel must also fit. */
const SCHEMA_CHARS_MAX = 48;

/** What is wrong with the name of a schema; null: nothing. */
export function checkSchema(schema: string): string | null {
  const isPlain = /^[a-z_][a-z0-9_]*$/.test(schema) && !schema.startsWith("pg_");
  if (isPlain && schema.length <= SCHEMA_CHARS_MAX) return null;
  const wanted = `expects at most ${SCHEMA_CHARS_MAX} of a-z, 0-9 and "_"`;
  return `${wanted}, not beginning with a digit or "pg_", got ${show(schema)}`;
}
