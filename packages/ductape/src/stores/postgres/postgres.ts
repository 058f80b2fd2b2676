import type { Outcome } from "../../decide/outcome.js";
import { postgresFacts } from "./facts.js";
import { show, StoreError, ValidationError } from "../../base/errors.js";
import { splitCounterKey } from "../../base/key.js";
import type { Plan } from "../../decide/plan.js";
import { type CallOptions, type Clock, timedOut } from "../../base/call.js";
import type {
  CounterRow,
  Documents,
  DocumentWrite,
  Records,
  Store,
  StoreContext,
  StoreMaker,
  StoreChunk,
  StoreFact,
} from "../store.js";
import { Batching } from "../batching.js";
import { CHUNK_ROWS, pagesOf, chunksOf } from "../paging.js";
import { rowCounter } from "./batch.js";
import { EngineClock } from "./clock.js";
import { Decider } from "./decider.js";
import { channelOf, PostgresDocuments } from "./documents.js";
import { isBusy, isLost, storeError } from "./errors.js";
import { PostgresHousekeeping } from "./housekeeping.js";
import { Listener } from "./listener.js";
import { PostgresDump } from "./dump.js";
import { PostgresRecords } from "./records.js";
import { Connections, type Connection, type PostgresPool } from "./pool.js";
import { migrate } from "./schema.js";
import { ownServer, type PostgresServer, sharedServer } from "./server.js";
import { counterStatements } from "./statements.js";
import { checkSchema, DEFAULT_SCHEMA, parsePostgresUrl, type PostgresPlace } from "./url.js";

/** Options of {@link postgresStore}. */
export interface PostgresStoreOptions {
  /** Holds the tables, and nothing else: at most 48 of a-z, 0-9 and "_". Default `ductape`. */
  readonly schema?: string | undefined;
  /**
   * Takes one connection out of the pool to learn of changed definitions at once; without it the
   * store polls. Default true; impossible with a pool of one connection or a transaction pooler.
   */
  readonly listen?: boolean | undefined;
}

/**
 * Counters and definitions in PostgreSQL, through a pool of `pg` 8 that the caller makes and ends.
 * With `pipeline: true` the pool needs fewer round trips. Throws `VALIDATION`.
 *
 * new Ductape({ store: postgresStore(new Pool({ pipeline: true })) })
 */
export function postgresStore(pool: PostgresPool, options: PostgresStoreOptions = {}): StoreMaker {
  const { schema = DEFAULT_SCHEMA, listen = true } = options;
  const fault = typeof schema === "string" ? checkSchema(schema) : `got ${show(schema)}`;
  if (fault !== null) throw new ValidationError([{ path: "options.schema", message: fault }]);
  return (context) => new PostgresStore(sharedServer(pool), { schema, listens: listen }, context);
}

/** The store of a `postgres:` URL. Throws `VALIDATION`, which names `option`. */
export function openPostgres(url: string, context: StoreContext, option: string): Store {
  const parsed = parsePostgresUrl(url, option);
  return new PostgresStore(ownServer(parsed, context.timeoutMs), parsed, context);
}

const QUEUE_PLANS_MAX = 65_536;
const BATCH_PLANS_MAX = 2_048;

/**
 * Counters and definitions in PostgreSQL 13 or newer, shared exactly by any number of machines. A
 * call resolves after its batch is committed, so acknowledged changes survive whatever the
 * server's `synchronous_commit` promises. The server's clock decides.
 */
class PostgresStore implements Store {
  readonly guarantees = { name: "postgres", durable: true, shared: "network" } as const;
  readonly documents: Documents;
  readonly records: Records;
  readonly clock: Clock;
  readonly #server: PostgresServer;
  readonly #place: PostgresPlace;
  readonly #context: StoreContext;
  readonly #engineClock = new EngineClock();
  readonly #batching: Batching;
  readonly #housekeeping: PostgresHousekeeping;
  readonly #stored: PostgresDocuments;
  readonly #recorded: PostgresRecords;
  readonly #listener: Listener;
  readonly #dump: PostgresDump;
  #opened: Opened | null = null;
  #opening: Promise<void> | null = null;
  #isClosed = false;

  constructor(server: PostgresServer, place: PostgresPlace, context: StoreContext) {
    this.#server = server;
    this.#place = place;
    this.#context = context;
    const { clock, timeoutMs, logger } = context;
    const { schema } = place;
    this.clock = clock ?? this.#engineClock.now;
    this.#housekeeping = new PostgresHousekeeping(schema);
    this.#stored = new PostgresDocuments(schema, clock, timeoutMs);
    this.#recorded = new PostgresRecords(schema, clock);
    this.#dump = new PostgresDump(schema, clock, timeoutMs);
    this.#listener = new Listener({
      channel: channelOf(schema),
      connect: () => this.#server.connectListener(),
      lost: (error) => {
        const fault = storeError(error, server.shown);
        logger.warn("changes of definitions are seen by polling for now", fault);
      },
    });
    const bounds = { batchPlansMax: BATCH_PLANS_MAX, queuePlansMax: QUEUE_PLANS_MAX, timeoutMs };
    this.#batching = new Batching((plans) => this.#flush(plans), bounds);
    this.documents = this.#makeDocuments();
    const records = this.#recorded;
    this.records = {
      answer: ({ space }, name) => this.#on((on) => records.answer(on, space + name)),
      hold: ({ space }, name) => this.#on((on) => records.hold(on, space, name)),
      openHolds: ({ space }, page) => this.#on((on) => records.openHolds(on, space, page)),
    };
  }

  get isOpen(): boolean {
    return this.#opened !== null;
  }

  open(): Promise<void> {
    if (this.#opened !== null) return Promise.resolve();
    this.#opening ??= this.#openNow().finally(() => {
      this.#opening = null;
    });
    return this.#opening;
  }

  async #openNow(): Promise<void> {
    this.#isClosed = false;
    const { shown } = this.#server;
    const { schema } = this.#place;
    const { clock, timeoutMs } = this.#context;
    let connections: Connections | null = null;
    try {
      const { prepares } = this.#server;
      connections = new Connections(await this.#server.open(), timeoutMs, prepares);
      await connections.with((connection) => migrate(connection, schema, shown));
      const parts = { connections, schema, clock, timeoutMs, shown };
      const shared = { housekeeping: this.#housekeeping, engineClock: this.#engineClock };
      this.#opened = { connections, decider: new Decider({ ...parts, ...shared }) };
    } catch (error) {
      connections?.release();
      await this.#server.close();
      throw storeError(error, shown);
    }
  }

  apply(plan: Plan, options?: CallOptions): Promise<Outcome> {
    if (this.#isClosed) return Promise.reject(this.#notOpen());
    return this.#batching.submit(plan, options);
  }

  async *scan(prefix: string): AsyncIterable<CounterRow> {
    const text = counterStatements(this.#place.schema).scan;
    let after = "";
    for (;;) {
      const values = [prefix, after, `${prefix}\u{10FFFF}`, CHUNK_ROWS];
      const { rows } = await this.#on((connection) => connection.query({ text, values }));
      for (const row of rows)
        yield { ...splitCounterKey(row[0] ?? ""), counter: rowCounter(row, null) };
      const last = rows.at(-1)?.[0];
      if (last == null || rows.length < CHUNK_ROWS) return;
      after = last;
    }
  }

  async *dump(): AsyncIterable<StoreChunk> {
    const nothing = { counters: [], answers: [], holds: [], documents: [] };
    for await (const counters of chunksOf(this.scan(""))) yield { ...nothing, counters };
    const [dump, records] = [this.#dump, this.#recorded];
    const answered = (after: string) => this.#on((on) => records.answersAfter(on, after));
    for await (const answers of pagesOf(answered)) yield { ...nothing, answers };
    const held = (after: string) => this.#on((on) => records.holdsAfter(on, after));
    for await (const holds of pagesOf(held)) yield { ...nothing, holds };
    const kept = (after: string) => this.#on((on) => dump.documents(on, after));
    for await (const documents of pagesOf(kept)) yield { ...nothing, documents };
  }

  async load(chunk: StoreChunk): Promise<void> {
    await this.#on((connection) => this.#dump.load(connection, chunk));
  }

  async close(): Promise<void> {
    // First, so that new calls cannot delay the end for ever.
    this.#isClosed = true;
    await this.#opening?.catch(() => undefined);
    await this.#batching.drain();
    this.#listener.stop();
    this.#lose();
    await this.#server.close();
  }

  async #flush(plans: readonly Plan[]) {
    const opened = this.#open();
    try {
      return await opened.decider.decide(plans);
    } catch (error) {
      throw this.#failed(error);
    }
  }

  #makeDocuments(): Documents {
    const documents = this.#stored;
    const watch = (changed: () => void) => this.#listener.watch(changed);
    return {
      changes: async (sequence) => {
        const changed = await this.#on((connection) => documents.changes(connection, sequence));
        if (changed !== null) return changed;
        this.#lose();
        const why = "the server was set back to an older state; the next call reads it again";
        throw new StoreError("STORE_UNAVAILABLE", `the store ${this.#server.shown}: ${why}`);
      },
      get: (key) => this.#on((connection) => documents.get(connection, key)),
      list: (folder, page) => this.#on((connection) => documents.list(connection, folder, page)),
      write: (writes, forget) => this.#write(writes, forget),
      ...(this.#place.listens && this.#server.canListen ? { watch } : {}),
    };
  }

  async #write(writes: readonly DocumentWrite[], forget: readonly string[]) {
    const deadlineMs = performance.now() + this.#context.timeoutMs;
    for (;;) {
      let isCommitting = false;
      const committing = () => {
        isCommitting = true;
      };
      try {
        const { connections } = this.#open();
        const { stale } = await connections.with((connection) =>
          this.#stored.write(connection, writes, forget, committing),
        );
        if (forget.length > 0 && stale === null) this.#housekeeping.isBehind = true;
        return stale;
      } catch (error) {
        if (!isBusy(error)) throw this.#failed(error, isCommitting);
        if (performance.now() > deadlineMs) throw timedOut(this.#context.timeoutMs);
      }
      await new Promise((resolve) => setTimeout(resolve, 1 + Math.random() * RETRY_MS_MAX));
    }
  }

  facts(): Promise<readonly StoreFact[]> {
    return this.#on((connection) => postgresFacts(connection, this.#place.schema));
  }

  async #on<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
    try {
      return await this.#open().connections.with(work);
    } catch (error) {
      throw this.#failed(error);
    }
  }

  /** The public error. The next call creates missing tables again. */
  #failed(error: unknown, isCommitting = false): unknown {
    const fault = storeError(error, this.#server.shown, isCommitting);
    if (isLost(fault)) this.#lose();
    return fault;
  }

  #lose(): void {
    this.#opened?.connections.release();
    this.#opened = null;
  }

  #open(): Opened {
    if (this.#opened !== null) return this.#opened;
    throw this.#notOpen();
  }

  #notOpen(): StoreError {
    const why = this.#isClosed ? "is closed" : "is not open";
    const message = `the store ${this.#server.shown} ${why}`;
    return new StoreError("STORE_UNAVAILABLE", message, { retryable: !this.#isClosed });
  }
}

const RETRY_MS_MAX = 8;

/** The parts of an open store. */
interface Opened {
  readonly connections: Connections;
  readonly decider: Decider;
}
