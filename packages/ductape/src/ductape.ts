import { Catalogue } from "./catalogue.js";
import { show, ValidationError } from "./errors.js";
import { Events, type AlertListener, type Logger } from "./events.js";
import { OutageQuota, type OutagePolicy, type QuotaCalls } from "./outage.js";
import { Products } from "./products.js";
import { Quota } from "./quota.js";
import { SessionCalls } from "./sessions/calls.js";
import { Issuers } from "./sessions/issuer.js";
import { Logins } from "./sessions/logins.js";
import { Revocations } from "./sessions/revocations.js";
import { SigningKeys } from "./sessions/signing.js";
import { Verifier } from "./sessions/verifier.js";
import { nearest } from "./text.js";
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
  /**
   * Seals the keys of sessions in the store: a random text of 32 characters or more, the same for
   * all processes. Default `DUCTAPE_SECRET`, else they are stored in clear.
   */
  readonly secret?: string | undefined;
  /** Gets warnings, such as a stored definition that cannot be read. Default `console`. */
  readonly logger?: Logger | undefined;
}

const DEFAULT_STORE = "sqlite:.ductape/ductape.db";
const DEFAULT_TIMEOUT_MS = 5_000;
const OPTIONS = ["store", "clock", "onStoreError", "timeoutMs", "secret", "logger"];

/**
 * Quotas on one store. The store is opened at the first call. `close()`, or `await using`, lets
 * what was accepted finish. The constructor throws `VALIDATION` for an option it cannot take.
 */
export class Ductape {
  /** Definitions: products, their environments and quotas. */
  readonly product: Products;
  /** What the store promises: read differences between stores from here. */
  readonly guarantees: StoreGuarantees;
  /** Decisions, and the sessions of users. */
  readonly processor: { readonly quota: QuotaCalls; readonly sessions: SessionCalls };
  readonly #store: Store;
  readonly #catalogue: Catalogue;
  readonly #events: Events;
  #isReady = false;
  #isClosed = false;
  #opening: Promise<void> | null = null;

  constructor(options: DuctapeOptions = {}) {
    const { store, clock, policy, timeoutMs, secret, logger } = parseOptions(options);
    this.#store = typeof store === "string" ? openStore(store, { clock, timeoutMs }) : store;
    this.guarantees = this.#store.guarantees;
    this.#catalogue = new Catalogue(this.#store, logger);
    this.#events = new Events(logger);
    const ready = () => (this.#isReady ? null : this.#open());
    const catalogue = this.#catalogue;
    const signing = new SigningKeys({ catalogue, clock, secret });
    const shared = { store: this.#store, catalogue, clock, signing, ready };
    const revocations = new Revocations(catalogue, clock);
    const verifier = new Verifier({ ...shared, revocations, issuers: new Issuers(clock) });
    const quota = new Quota({ ...shared, verifier, events: this.#events, timeoutMs });
    this.product = new Products(shared);
    const calls: QuotaCalls = policy === "throw" ? quota : new OutageQuota(quota, policy);
    const logins = new Logins(this.#store);
    this.processor = { quota: calls, sessions: new SessionCalls({ ...shared, verifier, logins }) };
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
    secret: parseSecret(options.secret ?? env["DUCTAPE_SECRET"]),
    logger: options.logger ?? consoleLogger,
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

const SECRET_CHARS_MIN = 32;

/** A short secret could be guessed from what it seals. Its text is told to nobody. */
function parseSecret(value: unknown): string | null {
  if (value === undefined) return null;
  if (typeof value === "string" && value.length >= SECRET_CHARS_MIN) return value;
  const got = typeof value === "string" ? `${value.length}` : typeof value;
  const wanted = `wants a random text of ${SECRET_CHARS_MIN} characters or more`;
  throw invalid("options.secret", `${wanted}, such as "openssl rand -base64 32" gives; got ${got}`);
}

const consoleLogger: Logger = {
  warn(message, error) {
    console.warn(`ductape: ${message}`, ...(error === undefined ? [] : [error]));
  },
};

function invalid(path: string, message: string): ValidationError {
  return new ValidationError([{ path, message }]);
}
