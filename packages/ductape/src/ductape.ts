import { Catalogue } from "./catalogue.js";
import { show, ValidationError } from "./errors.js";
import { Events, type AlertListener, type Logger } from "./events.js";
import { OutageQuota, type OutagePolicy, type QuotaCalls } from "./outage.js";
import { Products } from "./products.js";
import { Quota } from "./quota.js";
import { nearest } from "./text.js";
import { Usage } from "./usage.js";
import type { Clock, Store, StoreGuarantees } from "./store.js";
import { openStore } from "./stores/url.js";

/** How a {@link Ductape} is made. Every option but the functions has a `DUCTAPE_*` variable. */
export interface DuctapeOptions {
  /**
   * A URL (`memory:`, `sqlite:path`) or a store. Default `DUCTAPE_STORE`, else
   * `sqlite:.ductape/ductape.db`.
   */
  readonly store?: string | Store | undefined;
  /**
   * Epoch milliseconds, for tests and replays: no part reads another clock then. It is read when a
   * call is decided, so await a call before you move the clock.
   */
  readonly clock?: Clock | undefined;
  /** What to answer while the store cannot. Default `DUCTAPE_ON_STORE_ERROR`, else `"throw"`. */
  readonly onStoreError?: OutagePolicy | undefined;
  /** How long a call waits, in milliseconds. Default `DUCTAPE_TIMEOUT_MS`, else 5000. */
  readonly timeoutMs?: number | undefined;
  /** Gets warnings, such as a stored definition that cannot be read. Default `console`. */
  readonly logger?: Logger | undefined;
}

const DEFAULT_STORE = "sqlite:.ductape/ductape.db";
const DEFAULT_TIMEOUT_MS = 5_000;
const OPTIONS = ["store", "clock", "onStoreError", "timeoutMs", "logger"];

/**
 * Quotas on one store. The store is opened at the first call. `close()`, or `await using`, lets
 * what was accepted finish. The constructor throws `VALIDATION` for an option it cannot take.
 */
export class Ductape {
  /** Definitions: products, their environments and quotas. */
  readonly product: Products;
  /** What the store promises: read differences between stores from here. */
  readonly guarantees: StoreGuarantees;
  /** Decisions. */
  readonly processor: { readonly quota: QuotaCalls };
  /** Who has used how much. */
  readonly usage: Usage;
  readonly #store: Store;
  readonly #catalogue: Catalogue;
  readonly #events: Events;
  #isReady = false;
  #isClosed = false;
  #opening: Promise<void> | null = null;

  constructor(options: DuctapeOptions = {}) {
    const { store, clock, policy, timeoutMs, logger } = parseOptions(options);
    this.#store = typeof store === "string" ? openStore(store, { clock, timeoutMs }) : store;
    this.guarantees = this.#store.guarantees;
    this.#catalogue = new Catalogue(this.#store, logger);
    this.#events = new Events(logger);
    const ready = () => (this.#isReady ? null : this.#open());
    const shared = { store: this.#store, catalogue: this.#catalogue, clock, ready };
    const quota = new Quota({ ...shared, events: this.#events, timeoutMs });
    this.product = new Products(shared);
    this.usage = new Usage(shared);
    const calls: QuotaCalls = policy === "throw" ? quota : new OutageQuota(quota, policy);
    this.processor = { quota: calls };
  }

  /**
   * Calls `listener` with every alert that a decision of this instance reports. Returns how to
   * stop.
   */
  onAlert(listener: AlertListener): () => void {
    return this.#events.onAlert(listener);
  }

  /** Finishes the calls under way and releases the store. Later calls throw `STORE_UNAVAILABLE`. */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#opening !== null) await this.#opening.catch(() => undefined);
    this.#catalogue.stop();
    await this.#store.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Opens once; a failure is told to all who wait, and the next call tries again. */
  #open(): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    this.#opening ??= this.#openNow().finally(() => {
      this.#opening = null;
    });
    return this.#opening;
  }

  async #openNow(): Promise<void> {
    await this.#store.open();
    await this.#catalogue.start();
    this.#isReady = true;
  }
}

function parseOptions(options: DuctapeOptions) {
  if (typeof options !== "object" || options === null) {
    throw invalid("options", `wants an object, got ${show(options)}`);
  }
  for (const name of Object.keys(options)) {
    if (OPTIONS.includes(name)) continue;
    const near = nearest(name, OPTIONS) ?? OPTIONS.join(", ");
    throw invalid(`options.${name}`, `is not a known option; did you mean ${near}?`);
  }
  const { env } = process;
  return {
    store: parseStore(options.store ?? env["DUCTAPE_STORE"] ?? DEFAULT_STORE),
    clock: parseClock(options.clock),
    policy: parsePolicy(options.onStoreError ?? env["DUCTAPE_ON_STORE_ERROR"] ?? "throw"),
    timeoutMs: parseTimeout(options.timeoutMs ?? env["DUCTAPE_TIMEOUT_MS"] ?? DEFAULT_TIMEOUT_MS),
    logger: parseLogger(options.logger ?? consoleLogger),
  };
}

function parseStore(store: string | Store): string | Store {
  if (typeof store === "string") return store;
  if (typeof store === "object" && store !== null && typeof store.apply === "function")
    return store;
  throw invalid("options.store", `wants a URL or a store, got ${show(store)}`);
}

/** A clock given by a user is checked at every reading; the system's needs none. */
function parseClock(clock: Clock | undefined): Clock {
  if (clock === undefined) return Date.now;
  if (typeof clock !== "function")
    throw invalid("options.clock", `wants a function, got ${show(clock)}`);
  return () => {
    const nowMs = clock();
    if (Number.isSafeInteger(nowMs)) return nowMs;
    throw invalid(
      "options.clock",
      `must give epoch milliseconds as an integer, gave ${show(nowMs)}`,
    );
  };
}

function parsePolicy(value: unknown): OutagePolicy {
  if (value === "throw" || value === "allow" || value === "deny") return value;
  throw invalid("options.onStoreError", `wants throw, allow or deny, got ${show(value)}`);
}

function parseTimeout(value: number | string): number {
  const timeoutMs = Number(value);
  if (timeoutMs > 0 && timeoutMs < 2 ** 31) return timeoutMs;
  throw invalid("options.timeoutMs", `wants milliseconds above 0, got ${show(value)}`);
}

/** A logger that fails must not fail what it tells of. */
function parseLogger(logger: Logger): Logger {
  if (typeof logger !== "object" || logger === null || typeof logger.warn !== "function") {
    throw invalid("options.logger", `wants an object with warn, got ${show(logger)}`);
  }
  return {
    warn(message, error) {
      try {
        logger.warn(message, error);
      } catch {
        // There is nobody left to tell.
      }
    },
  };
}

const consoleLogger: Logger = {
  warn(message, error) {
    console.warn(`ductape: ${message}`, ...(error === undefined ? [] : [error]));
  },
};

function invalid(path: string, message: string): ValidationError {
  return new ValidationError([{ path, message }]);
}
