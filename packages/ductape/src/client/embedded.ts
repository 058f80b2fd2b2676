import { aheadFact, AheadWarnings } from "../quota/clock-ahead.js";
import { within, type CallOptions, type Clock } from "../base/call.js";
import { Catalogue } from "../define/catalogue.js";
import type { Client, FeaturesCalls, ProcessorCalls, ProductCalls, UsageCalls } from "./client.js";
import {
  type OutagePolicy,
  invalid,
  parseLogger,
  parsePolicy,
  parseTimeout,
  settingOf,
  type Setting,
} from "../base/settings.js";
import { show } from "../base/errors.js";
import { timedUuid } from "../base/id.js";
import { Events, type AlertListener } from "../quota/events.js";
import { type Logger } from "../base/logger.js";
import { underPolicy } from "./outage.js";
import { Outgoing, parseNetworks, type Networks } from "../base/outgoing.js";
import { Products } from "../product/products.js";
import { Quota } from "../quota/quota.js";
import { probeStore, StoredRecords, type Records } from "../define/records.js";
import { Features } from "../feature/features.js";
import { Handlers } from "../feature/handlers.js";
import { HttpHandlers } from "../feature/http-handler.js";
import { parseSecrets } from "../feature/signature.js";
import { UserSessions } from "../sessions/user-sessions.js";
import { Issuers } from "../sessions/issuer.js";
import { Logins } from "../sessions/logins.js";
import { Revocations } from "../sessions/revocations.js";
import { SigningKeys } from "../sessions/signing.js";
import { Verifier } from "../sessions/verifier.js";
import { isLeftOut, isRecord } from "../base/json.js";
import { unknownField } from "../base/field.js";
import { boundOn, type BoundQuota } from "../quota/bound.js";
import { OpenHolds } from "../quota/hold-calls.js";
import type { QuotaTarget } from "../quota/target.js";
import type { QuotaResult } from "../quota/decision.js";
import { parsePlace, type Request } from "../quota/request.js";
import type { Store, StoreGuarantees, StoreMaker, StoreFact, StoreRoom } from "../stores/store.js";
import { CachedStore } from "../stores/cached.js";
import { openStore } from "../stores/url.js";
import { InnerGate, StoreGate } from "../base/gate.js";
import { Usage } from "../usage/usage.js";

/**
 * Options of an {@link EmbeddedDuctape}. Every option but the functions has a `DUCTAPE_*`
 * variable. `Policy` is the type of `onStoreError`.
 */
export interface EmbeddedOptions<Policy extends OutagePolicy = OutagePolicy> {
  /**
   * A URL (`memory:`, `sqlite:path`), a store, or a function that returns one. Default
   * `DUCTAPE_STORE`, else `sqlite:.ductape/ductape.db`.
   */
  readonly store?: string | Store | StoreMaker | undefined;
  /**
   * Returns epoch milliseconds from 1970 to 9999, an integer, for tests and replays; no part then
   * reads another clock. It is read when a call is decided, so await a call before you move the
   * clock.
   */
  readonly clock?: Clock | undefined;
  /**
   * What to answer while the store cannot. Default `DUCTAPE_ON_STORE_ERROR`, else `"throw"`. Even
   * `"allow"` throws for a session whose token this client has not verified before. The option's
   * type decides whether results may be {@link Degraded}. No type can see the variable, so a
   * program that runs with it should also pass the option.
   */
  readonly onStoreError?: Policy | undefined;
  /** How long a call waits, in milliseconds. Default `DUCTAPE_TIMEOUT_MS`, else 5000. */
  readonly timeoutMs?: number | undefined;
  /**
   * Encrypts the keys of sessions in the store: a random text of 32 characters or more, the same
   * for all processes. Default `DUCTAPE_SECRET`, else the keys are stored unencrypted.
   */
  readonly secret?: string | undefined;
  /**
   * Where requests caused by a definition may go, such as those for the keys at a `jwks` URL:
   * `"any"`, `"public"`, or an array of addresses and ranges allowed besides public ones. Default
   * `DUCTAPE_OUTGOING`, else `"any"`.
   */
  readonly outgoing?: Networks | undefined;
  /**
   * Signs the requests to handlers of features at a URL: `whsec_` and the base64 of 24 to 64 random
   * bytes, or two of these, separated by a space, while one replaces the other. Default
   * `DUCTAPE_HANDLER_SECRET`, else no handler is called over HTTP.
   */
  readonly handlerSecret?: string | undefined;
  /**
   * Receives warnings, such as one about a stored definition that cannot be read. Default
   * `console`.
   */
  readonly logger?: Logger | undefined;
}

const DEFAULT_STORE = "sqlite:.ductape/ductape.db";
const OPTIONS = [
  "store",
  "clock",
  "onStoreError",
  "timeoutMs",
  "secret",
  "outgoing",
  "handlerSecret",
  "logger",
];

/**
 * Quotas on one store, which opens at the first call. `close()`, or `await using`, waits for
 * accepted calls to finish. The constructor throws `VALIDATION` for an invalid option.
 */
export class EmbeddedDuctape<
  const Policy extends OutagePolicy = "throw",
> implements Client<Policy> {
  /** Definitions: products, their environments and quotas. */
  readonly product: ProductCalls;
  /** What the store promises: read differences between stores from here. */
  readonly guarantees: StoreGuarantees;
  /** Decisions, features, and the sessions of users. */
  readonly processor: ProcessorCalls<Policy>;
  /** The handlers of features in this process, and what plans include. */
  readonly features: FeaturesCalls;
  /** Who has used how much. */
  readonly usage: UsageCalls;
  /**
   * Data that a program keeps in the store beside the definitions, such as the keys of a server.
   */
  readonly records: Records;
  readonly #bind: (target: QuotaTarget) => BoundQuota<QuotaResult<Policy>>;
  readonly #store: CachedStore;
  readonly #catalogue: Catalogue;
  readonly #events: Events;
  readonly #clock: Clock;
  readonly #gate: StoreGate;
  readonly #holds: OpenHolds;
  readonly #handlers = new Handlers();
  #closing: Promise<void> | null = null;

  constructor(options: EmbeddedOptions<Policy> = {}) {
    const parsed = parseOptions(options);
    const { store, policy, timeoutMs, secret, logger } = parsed;
    this.#store = new CachedStore(
      typeof store === "function" ? store({ clock: parsed.clock, timeoutMs, logger }) : store,
    );
    const clock = parsed.clock ?? this.#store.clock ?? Date.now;
    this.#clock = clock;
    this.guarantees = this.#store.guarantees;
    this.#catalogue = new Catalogue(this.#store, logger);
    this.#events = new Events(logger);
    const catalogue = this.#catalogue;
    const gate = new StoreGate(this.#store, () => this.#open());
    this.#gate = gate;
    const signing = new SigningKeys({ catalogue, clock, secret });
    const outgoing = new Outgoing(parsed.networks);
    const issuers = new Issuers(clock, outgoing);
    const shared = { store: this.#store, catalogue, clock, signing, issuers, outgoing, gate };
    const revocations = new Revocations(catalogue, clock);
    const verifier = new Verifier({ ...shared, revocations });
    const ahead = new AheadWarnings(logger);
    const holds = new OpenHolds(logger, timeoutMs);
    this.#holds = holds;
    // The runtime draws the randomness of many ids at once.
    const newId = () => timedUuid(crypto.randomUUID(), clock());
    const events = this.#events;
    const parts = { ...shared, verifier, events, ahead, timeoutMs, newId, holds };
    const quota = new Quota(parts);
    this.product = new Products(shared);
    this.usage = new Usage(shared);
    this.records = new StoredRecords(shared);
    const calls = underPolicy<Policy, Request>(quota, policy, logger, holds);
    this.#bind = (target) => {
      const place = parsePlace(target);
      return policy === "throw" ? quota.bind(place) : boundOn(calls, target);
    };
    const logins = new Logins(this.#store);
    const settling = new Quota({ ...parts, gate: new InnerGate(gate) });
    const reserving = underPolicy<Policy, Request>(settling, policy, logger, holds);
    const handlers = this.#handlers;
    const http = new HttpHandlers({ outgoing, secrets: parsed.secrets, clock });
    const feature = new Features<Policy>({ ...parts, handlers, http, reserving, settling, logger });
    const sessions = new UserSessions({ ...shared, verifier, logins });
    this.processor = { quota: calls, feature, sessions };
    this.features = {
      handle: (product, tag, handler) => handlers.handle(product, tag, handler),
      isEnabled: (input, call) => feature.isEnabled(input, call),
    };
  }

  /** As {@link Client.quota}. */
  quota(target: QuotaTarget): BoundQuota<QuotaResult<Policy>> {
    return this.#bind(target);
  }

  /**
   * Reads and writes the store once and resolves; nothing remains of that after a minute. Throws
   * the faults of the store, `TIMEOUT` and `ABORTED`.
   */
  probe(call: CallOptions = {}): Promise<void> {
    const parts = { catalogue: this.#catalogue, clock: this.#clock };
    return within(
      this.#gate.pass(() => probeStore(parts)),
      call,
    );
  }

  /** How much the store keeps, and may keep; null if memory does not bound it. */
  get room(): StoreRoom | null {
    return this.#store.room ?? null;
  }

  /**
   * Facts about the store's engine: versions, settings that decide what survives a crash, and how
   * far its clock is from this machine's. Also whether any counter is in a future window, for
   * which it reads all counters. Throws the faults of the store.
   */
  facts(): Promise<readonly StoreFact[]> {
    const parts = { store: this.#store, catalogue: this.#catalogue, clock: this.#clock };
    return this.#gate.pass(async () => [...(await parts.store.facts()), await aheadFact(parts)]);
  }

  /**
   * Calls `listener` with every alert that a decision of this instance reports. Returns a function
   * that stops this.
   */
  onAlert(listener: AlertListener): () => void {
    return this.#events.onAlert(listener);
  }

  /** Waits for calls in progress and releases the store. Later calls throw `STORE_UNAVAILABLE`. */
  close(): Promise<void> {
    this.#closing ??= this.#closeNow();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #closeNow(): Promise<void> {
    this.#handlers.abort();
    const settling = this.#holds.close();
    if (settling !== null) await settling;
    await this.#gate.close();
    this.#catalogue.stop();
    await this.#store.close();
  }

  /** Opens the store at the first call, and again after it was lost. */
  async #open(): Promise<void> {
    await this.#store.open();
    await this.#catalogue.start();
  }
}

function parseOptions(options: EmbeddedOptions) {
  const given: unknown = options;
  if (!isRecord(given)) throw invalid("options", `expects an object, got ${show(given)}`);
  for (const name of Object.keys(given)) {
    if (OPTIONS.includes(name) || isLeftOut(given[name])) continue;
    throw invalid(`options.${name}`, unknownField(name, OPTIONS));
  }
  const { store, onStoreError, timeoutMs, clock, secret, outgoing, handlerSecret, logger } =
    options;
  return {
    store: parseStore(settingOf("store", store, "DUCTAPE_STORE")),
    policy: parsePolicy(onStoreError),
    timeoutMs: parseTimeout(timeoutMs),
    clock: parseClock(clock),
    secret: parseSecret(settingOf("secret", secret, "DUCTAPE_SECRET")),
    networks: parseNetworks(settingOf("outgoing", outgoing, "DUCTAPE_OUTGOING")),
    secrets: parseSecrets(settingOf("handlerSecret", handlerSecret, "DUCTAPE_HANDLER_SECRET")),
    logger: parseLogger(logger),
  };
}

function parseStore({ path, value = DEFAULT_STORE }: Setting): Store | StoreMaker {
  if (isStore(value) || isStoreMaker(value)) return value;
  if (typeof value === "string") return (context) => openStore(value, context, path);
  throw invalid(path, `expects a URL or a store, got ${show(value)}`);
}

function isStore(value: unknown): value is Store {
  return isRecord(value) && typeof value["apply"] === "function";
}

function isStoreMaker(value: unknown): value is StoreMaker {
  return typeof value === "function";
}

/** The last instant of the year 9999. */
const CLOCK_MS_MAX = Date.UTC(10_000, 0) - 1;

/** A user's clock is checked at every reading; the system's needs no check. */
function parseClock(clock: Clock | undefined): Clock | undefined {
  if (isLeftOut(clock)) return undefined;
  if (typeof clock !== "function")
    throw invalid("options.clock", `expects a function, got ${show(clock)}`);
  return () => {
    const nowMs = clock();
    if (Number.isInteger(nowMs) && nowMs >= 0 && nowMs <= CLOCK_MS_MAX) return nowMs;
    const wanted = "must give epoch milliseconds as an integer, from 1970 to 9999";
    throw invalid("options.clock", `${wanted}, gave ${show(nowMs)}`);
  };
}

const SECRET_CHARS_MIN = 32;

/** A short secret could be guessed from what it encrypts. No message shows its text. */
function parseSecret({ path, value }: Setting): string | null {
  if (value === undefined) return null;
  if (typeof value === "string" && value.length >= SECRET_CHARS_MIN) return value;
  const got = typeof value === "string" ? `${value.length}` : typeof value;
  const wanted = `expects a random text of ${SECRET_CHARS_MIN} characters or more`;
  throw invalid(path, `${wanted}, such as "openssl rand -base64 32" gives; got ${got}`);
}
