import { Socket } from "node:net";
import { StoreError } from "../../base/errors.js";
import { lockMsOf } from "./statements.js";

/** A row; each column is the text that PostgreSQL writes. */
export type Row = readonly (string | null)[];

/** A statement and the values of `$1`, `$2`, ... */
export interface Statement {
  readonly text: string;
  readonly values?: Value[];
}

/** What a statement takes. Arrays are given as text: see `arrays.ts`. */
export type Value = string | number | boolean | null;

/** What is asked of a client of `pg`. */
export interface PostgresQuery extends Statement {
  /** Under which the connection keeps the plan. */
  readonly name?: string;
  readonly rowMode: "array";
  readonly types: { getTypeParser(): (value: string) => string };
  readonly query_timeout: number;
}

/** What it answers. */
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
  /** True where statements are sent without waiting for the answers to those before. */
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

/** A pool that is ours to end. */
export interface OwnPool extends PostgresPool {
  end(): Promise<void>;
}

/** Text as the server sends it: types that a program registers with `pg` have no say here. */
const TEXT = { getTypeParser: () => (value: string) => value };

/** Connections to one database, each for the time of one batch. */
export class Connections {
  readonly #pool: PostgresPool;
  readonly #timeoutMs: number;
  readonly #prepares: boolean;
  /** The attempt that all wait for, after one that failed. */
  #probe: Promise<unknown> | null = null;
  #isDown = false;

  /**
   * `timeoutMs` bounds the wait for a connection, and for each answer. `prepares`: a connection
   * stays with its session of the server, which plans each statement once.
   */
  constructor(pool: PostgresPool, timeoutMs: number, prepares = false) {
    this.#pool = pool;
    this.#timeoutMs = timeoutMs;
    this.#prepares = prepares;
    // Without a listener, an idle connection that breaks would end the process.
    pool.on("error", ignore);
    // Nor may one that breaks in the moment that it is ready, before anybody has it.
    pool.on("connect", ignoreErrors);
  }

  /** A connection stays with its session of the server, and has what that was started with. */
  get prepares(): boolean {
    return this.#prepares;
  }

  /**
   * A free connection. Throws what `pg` throws, and `STORE_UNAVAILABLE` where none gets free. While
   * the server does not answer, one tries and the others wait for it: a server that was paused has
   * to go through every attempt made meanwhile before it answers.
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

  /** Runs `work` on a connection, which is thrown away where `work` fails. */
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

  /** Lets go of the pool. */
  release(): void {
    this.#pool.removeListener("error", ignore);
    this.#pool.removeListener("connect", ignoreErrors);
  }
}

/** A connection that is ours until it is released. */
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

  /** Several statements can be on their way at once. */
  get isPipelined(): boolean {
    return this.#client.pipeline === true;
  }

  /** Throws what `pg` throws; a connection that is known to be lost sends nothing. */
  query({ text, values }: Statement): Promise<PostgresResult> {
    if (this.#fault !== null) return Promise.reject(lostBefore(this.#fault));
    const shared = { text, rowMode: "array", types: TEXT, query_timeout: this.#timeoutMs } as const;
    if (values === undefined) return this.#client.query(shared);
    if (!this.#prepares) return this.#client.query({ ...shared, values });
    return this.#client.query({ ...shared, values, name: nameOf(text) });
  }

  /**
   * Runs statements in order, in one round trip where the connection can. Throws the first fault,
   * when all have ended.
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

  /** Gives it back for others. */
  release(): void {
    this.#end(this.#fault ?? undefined);
  }

  /** Closes it, whatever goes on. */
  destroy(): void {
    this.#end(true);
  }

  #end(fault: Error | true | undefined): void {
    this.#client.release(fault);
    // After the release, by which the pool listens again.
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

/** A client that comes too late goes back to its pool. */
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
  const message = `no connection got free within ${timeoutMs} ms; nothing is changed`;
  return new StoreError("STORE_UNAVAILABLE", message);
}

function lostBefore(cause: Error): StoreError {
  const message = "the connection was lost before the call was sent; nothing is changed";
  return new StoreError("STORE_UNAVAILABLE", message, { cause });
}

/** How a pool of our own is made. */
export interface PoolSettings {
  readonly connectionString: string;
  readonly connectionsMax: number;
  /** How long to wait for a new connection, in milliseconds. */
  readonly timeoutMs: number;
  readonly prepares: boolean;
}

/**
 * A plan that is kept is one for any size of the tables: each row is found by its key, where the
 * planner might read the whole of a table that is small yet.
 */
const PLANS = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c jit=off";

/** Loads `pg` and makes a pool. Throws `STORE_UNAVAILABLE` where `pg` is not installed. */
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
    // A statement outside of a transaction waits for a lock no longer than one in it.
    ...(settings.prepares ? { options: `${PLANS} -c lock_timeout=${lockMs}` } : {}),
    // A program that has nothing else to do may end.
    allowExitOnIdle: true,
  });
  // Also while it ends: a server that dies then would end the process.
  pool.on("error", ignore);
  pool.on("connect", ignoreErrors);
  return pool;
}

/** A connection outside of any pool, which does not keep the process alive. */
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
