import { Socket } from "node:net";
import { StoreError } from "../../base/errors.js";

/** A row; each column is PostgreSQL's text. */
export type Row = readonly (string | null)[];

/** A statement and the values of `$1`, `$2`, ... */
export interface Statement {
  readonly text: string;
  readonly values?: Value[];
}

/** A parameter of a statement. Arrays are given as text: see `arrays.ts`. */
export type Value = string | number | boolean | null;

/** A query for a client of `pg`. */
export interface PostgresQuery extends Statement {
  /** The name under which the connection prepares the statement. */
  readonly name?: string;
  readonly rowMode: "array";
  readonly types: { getTypeParser(): (value: string) => string };
  readonly query_timeout: number;
}

/** The result of a query. */
export interface PostgresResult {
  readonly command: string;
  readonly rows: readonly Row[];
}

/** The part of a client of a `pg` pool that is used. */
export interface PostgresClient {
  query(query: PostgresQuery): Promise<PostgresResult>;
  release(error?: Error | boolean): void;
  on(event: "error", listener: (error: Error) => void): unknown;
  on(event: "notification", listener: () => void): unknown;
  removeListener(event: string, listener: (error: Error) => void): unknown;
  /** True if statements are sent without waiting for earlier answers. */
  readonly pipeline?: boolean;
}

/** The part of a pool of `pg` 8 that is used. */
export interface PostgresPool {
  connect(): Promise<PostgresClient>;
  on(event: "error", listener: (error: Error) => void): unknown;
  on(event: "connect", listener: (client: PostgresClient) => void): unknown;
  removeListener(event: "error", listener: (error: Error) => void): unknown;
  removeListener(event: "connect", listener: (client: PostgresClient) => void): unknown;
  readonly options?: { readonly max?: number };
}

/** A pool that the store ends. */
export interface OwnPool extends PostgresPool {
  end(): Promise<void>;
}

/** Text as sent by the server, whatever types a program has registered with `pg`. */
const TEXT = { getTypeParser: () => (value: string) => value };

/** Connections to one database, each used for one batch at a time. */
export class Connections {
  readonly #pool: PostgresPool;
  readonly #timeoutMs: number;
  readonly #prepares: boolean;
  /** After a failed attempt, the next one, which all wait for. */
  #probe: Promise<unknown> | null = null;
  #isDown = false;

  /**
   * `timeoutMs` bounds the wait for a connection and for each answer. `prepares`: a connection
   * keeps its session on the server, which plans each statement once.
   */
  constructor(pool: PostgresPool, timeoutMs: number, prepares = false) {
    this.#pool = pool;
    this.#timeoutMs = timeoutMs;
    this.#prepares = prepares;
    // Without a listener, an idle connection that breaks would crash the process.
    pool.on("error", ignore);
    // Nor may one that breaks at the moment it is ready, before anybody has it.
    pool.on("connect", ignoreErrors);
  }

  /** True if a connection keeps its session on the server, with the session's start-up settings. */
  get prepares(): boolean {
    return this.#prepares;
  }

  /**
   * A free connection. Throws what `pg` throws, and `STORE_UNAVAILABLE` if none becomes free.
   * While the server does not answer, one call tries and the others wait for it, because a paused
   * server must process every attempt made meanwhile before it answers.
   */
  async acquire(): Promise<Connection> {
    if (this.#probe !== null) await this.#probe;
    if (!this.#isDown) return this.#connect();
    const probe = this.#connect();
    this.#probe = probe;
    try {
      return await probe;
    } finally {
      this.#probe = null;
    }
  }

  async #connect(): Promise<Connection> {
    const timeoutMs = this.#timeoutMs;
    try {
      const client = await within(timeoutMs, this.#pool.connect());
      this.#isDown = false;
      return new Connection(client, timeoutMs, this.#prepares);
    } catch (error) {
      this.#isDown = true;
      throw error;
    }
  }

  /** Runs `work` on a connection, which is discarded if `work` fails. */
  async with<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
    const connection = await this.acquire();
    try {
      const result = await work(connection);
      connection.release();
      return result;
    } catch (error) {
      connection.destroy();
      throw error;
    }
  }

  /** Releases the pool. */
  release(): void {
    this.#pool.removeListener("error", ignore);
    this.#pool.removeListener("connect", ignoreErrors);
  }
}

/** A connection for exclusive use until it is released. */
export class Connection {
  readonly #client: PostgresClient;
  readonly #timeoutMs: number;
  readonly #prepares: boolean;
  #fault: Error | null = null;
  readonly #onError = (error: Error): void => {
    this.#fault ??= error;
  };

  constructor(client: PostgresClient, timeoutMs: number, prepares: boolean) {
    this.#client = client;
    this.#timeoutMs = timeoutMs;
    this.#prepares = prepares;
    client.on("error", this.#onError);
  }

  /** True if several statements can be in flight at once. */
  get isPipelined(): boolean {
    return this.#client.pipeline === true;
  }

  /** Throws what `pg` throws; a connection known to be lost sends nothing. */
  query({ text, values }: Statement): Promise<PostgresResult> {
    if (this.#fault !== null) return Promise.reject(lostBefore(this.#fault));
    const shared = { text, rowMode: "array", types: TEXT, query_timeout: this.#timeoutMs } as const;
    if (values === undefined) return this.#client.query(shared);
    if (!this.#prepares) return this.#client.query({ ...shared, values });
    return this.#client.query({ ...shared, values, name: nameOf(text) });
  }

  /**
   * Runs statements in order, in one round trip if the connection supports it. Throws the first
   * fault after all have ended.
   */
  async all(statements: readonly Statement[]): Promise<PostgresResult[]> {
    if (!this.isPipelined) {
      const results: PostgresResult[] = [];
      for (const statement of statements) results.push(await this.query(statement));
      return results;
    }
    const settled = await Promise.allSettled(statements.map((each) => this.query(each)));
    return settled.map((each) => {
      if (each.status === "rejected") throw each.reason;
      return each.value;
    });
  }

  /** Returns it to the pool. */
  release(): void {
    this.#end(this.#fault ?? undefined);
  }

  /** Closes it, whatever is in progress. */
  destroy(): void {
    this.#end(true);
  }

  #end(fault: Error | true | undefined): void {
    this.#client.release(fault);
    // After the release, which makes the pool listen again.
    this.#client.removeListener("error", this.#onError);
  }
}

/** Names of statements; there are few for each schema. */
const NAMES = new Map<string, string>();

function nameOf(text: string): string {
  const known = NAMES.get(text);
  if (known !== undefined) return known;
  const name = `ductape_${NAMES.size}`;
  NAMES.set(text, name);
  return name;
}

function ignore(): void {}

function ignoreErrors(client: PostgresClient): void {
  client.on("error", ignore);
}

/** A client that arrives too late goes back to its pool. */
function within(timeoutMs: number, connecting: Promise<PostgresClient>): Promise<PostgresClient> {
  return new Promise((resolve, reject) => {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      reject(noConnection(timeoutMs));
    }, timeoutMs);
    const arrive = (client: PostgresClient): void => {
      clearTimeout(timer);
      if (isLate) return client.release();
      resolve(client);
    };
    connecting.then(arrive, (error: unknown) => {
      clearTimeout(timer);
      reject(error);
    });
  });
}

function noConnection(timeoutMs: number): StoreError {
  const message = `no connection became free within ${timeoutMs} ms; nothing was changed`;
  return new StoreError("STORE_UNAVAILABLE", message);
}

function lostBefore(cause: Error): StoreError {
  const message = "the connection was lost before the call was sent; nothing was changed";
  return new StoreError("STORE_UNAVAILABLE", message, { cause });
}

/** Settings of our own pool. */
interface PoolSettings {
  readonly connectionString: string;
  readonly connectionsMax: number;
  /** How long to wait for a new connection, in milliseconds. */
  readonly timeoutMs: number;
  readonly prepares: boolean;
}

/**
 * Prepared plans must suit tables of any size: they find each row by its key, where the planner
 * might scan a table that is still small.
 */
const PLANS = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c jit=off";

/** Loads `pg` and makes a pool. Throws `STORE_UNAVAILABLE` if `pg` is not installed. */
export async function makePool(settings: PoolSettings): Promise<OwnPool> {
  const { Pool } = await loadPg();
  const lockMs = lockMsOf(settings.timeoutMs);
  const pool = new Pool({
    connectionString: settings.connectionString,
    max: settings.connectionsMax,
    connectionTimeoutMillis: settings.timeoutMs,
    application_name: "ductape",
    keepAlive: true,
    pipeline: true,
    // A statement outside a transaction waits for a lock no longer than one inside.
    ...(settings.prepares ? { options: `${PLANS} -c lock_timeout=${lockMs}` } : {}),
    // Lets a program with nothing else to do end.
    allowExitOnIdle: true,
  });
  // Also while it ends: a server that dies then would crash the process.
  pool.on("error", ignore);
  pool.on("connect", ignoreErrors);
  return pool;
}

/** A connection outside of any pool that does not keep the process alive. */
export async function connectAlone(connectionString: string, timeoutMs: number) {
  const { Client } = await loadPg();
  const client = new Client({
    connectionString,
    connectionTimeoutMillis: timeoutMs,
    application_name: "ductape listen",
    keepAlive: true,
    stream: () => new Socket().unref(),
  });
  return client;
}

async function loadPg() {
  try {
    const { default: pg } = await import("pg");
    return pg;
  } catch (cause) {
    const message = 'a postgres: store needs the package "pg"; run: npm install pg';
    throw new StoreError("STORE_UNAVAILABLE", message, { cause, retryable: false });
  }
}

/** How long a call with `timeoutMs` may wait for a lock: batches hold one only briefly. */
export function lockMsOf(timeoutMs: number): number {
  return Math.max(1, Math.min(LOCK_MS_MAX, Math.floor(timeoutMs / 2)));
}

const LOCK_MS_MAX = 500;
