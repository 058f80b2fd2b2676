import type {
  Client,
  FeaturesCalls,
  ProcessorCalls,
  ProductCalls,
  UsageCalls,
} from "../client/client.js";
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
import { Events, type AlertListener } from "../quota/events.js";
import { type Logger } from "../base/logger.js";
import { isLeftOut, isRecord } from "../base/json.js";
import { within, type CallOptions } from "../base/call.js";
import { underPolicy } from "../client/outage.js";
import { boundOn, type BoundQuota } from "../quota/bound.js";
import { OpenHolds } from "../quota/hold-calls.js";
import type { QuotaTarget } from "../quota/target.js";
import type { QuotaResult } from "../quota/decision.js";
import type { StoreGuarantees } from "../stores/store.js";
import { productCalls } from "./definitions.js";
import { Handlers } from "../feature/handlers.js";
import { encode } from "./encode.js";
import { RemoteFeatures } from "./features.js";
import { Http } from "./http.js";
import { RemoteQuota, type RemoteAsked } from "./quota.js";
import { ask } from "./send.js";
import { sessionCalls } from "./sessions.js";

/**
 * Options of a {@link RemoteDuctape}. Every option but the logger has a `DUCTAPE_*` variable.
 * `Policy` is the type of `onStoreError`.
 */
export interface RemoteOptions<Policy extends OutagePolicy = OutagePolicy> {
  /** The URL of the server: `http://127.0.0.1:4141`. Default `DUCTAPE_URL`. */
  readonly url?: string | undefined;
  /** A key of the server. Default `DUCTAPE_API_KEY`, else none is sent. */
  readonly apiKey?: string | undefined;
  /**
   * How long a call waits, including its retries, in milliseconds. Default `DUCTAPE_TIMEOUT_MS`,
   * else 5000.
   */
  readonly timeoutMs?: number | undefined;
  /**
   * How often a call that counted nothing or can be repeated is tried again: 0..10. Default
   * `DUCTAPE_RETRIES`, else 2. To make calls that count repeatable, the client gives each its own
   * idempotency key, whose answer the server keeps for `timeoutMs` plus 10 seconds; with 0 retries
   * it gives none.
   */
  readonly retries?: number | undefined;
  /**
   * What to answer while the server or its store cannot. Default `DUCTAPE_ON_STORE_ERROR`, else
   * `"throw"`, which throws even if the server answers under an `onStoreError` of its own; the
   * others pass that answer on. `"allow"` throws for every session, because only the server can
   * verify its token. The option's type decides whether results may be {@link Degraded}.
   */
  readonly onStoreError?: Policy | undefined;
  /** Receives warnings. Default `console`. */
  readonly logger?: Logger | undefined;
}

const OPTIONS: readonly string[] = [
  "url",
  "apiKey",
  "timeoutMs",
  "retries",
  "onStoreError",
  "logger",
];
const RETRIES_MAX = 10;
const RETRIES_DEFAULT = 2;

/**
 * Quotas through a server, with the same calls and results as on a store. The constructor throws
 * `VALIDATION` for an invalid option, and sends nothing to the server.
 */
export class RemoteDuctape<const Policy extends OutagePolicy = "throw"> implements Client<Policy> {
  readonly product: ProductCalls;
  /** Acknowledged changes are on the server, which this process cannot crash. */
  readonly guarantees: StoreGuarantees = { name: "server", durable: true, shared: "network" };
  readonly processor: ProcessorCalls<Policy>;
  readonly features: FeaturesCalls;
  readonly usage: UsageCalls;
  readonly #quota: RemoteQuota;
  readonly #http: Http;
  readonly #events: Events;
  readonly #holds: OpenHolds;
  readonly #handlers = new Handlers();
  #closing: Promise<void> | null = null;

  constructor(options: RemoteOptions<Policy> = {}) {
    const { url, apiKey, timeoutMs, retries, policy, logger } = parseOptions(options);
    const http = new Http({ url, apiKey, retries, timeoutMs });
    const events = new Events(logger);
    const holds = new OpenHolds(logger, timeoutMs);
    this.#holds = holds;
    this.#http = http;
    this.#events = events;
    const quota = new RemoteQuota({ http, events, timeoutMs, makesKeys: retries > 0, holds });
    this.#quota = quota;
    const calls = underPolicy<Policy, RemoteAsked>(quota, policy, logger, holds);
    const handlers = this.#handlers;
    const sessions = sessionCalls(http);
    const parts = { http, handlers, sessions, logger, timeoutMs };
    const feature = new RemoteFeatures<Policy>(parts);
    this.processor = { quota: calls, feature, sessions };
    this.features = {
      handle: (product, tag, handler) => handlers.handle(product, tag, handler),
      isEnabled: (input, call) => feature.isEnabled(input, call),
    };
    this.product = productCalls(http);
    this.usage = {
      subjects: (input) => ask(http, "GET /v1/usage/subjects", "safe", input),
      history: async (input) => ask(http, "GET /v1/usage/history", "safe", withText(input)),
      counters: (input) => ask(http, "GET /v1/usage/counters", "safe", input),
    };
  }

  quota(target: QuotaTarget): BoundQuota<QuotaResult<Policy>> {
    return boundOn(this.processor.quota, target);
  }

  async probe(call: CallOptions = {}): Promise<void> {
    await within(this.#look(), call);
  }

  onAlert(listener: AlertListener): () => void {
    return this.#events.onAlert(listener);
  }

  close(): Promise<void> {
    this.#closing ??= this.#closeNow();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #look(): Promise<void> {
    await ask(this.#http, "GET /readyz", "safe", {});
  }

  async #closeNow(): Promise<void> {
    this.#handlers.abort();
    const settling = this.#holds.close();
    if (settling !== null) await settling;
    await this.#http.gate.close();
    // Requests of calls that were given up meanwhile.
    await this.#quota.drain();
  }
}

/** A subject in a query: JSON, unless it is a text that cannot be mistaken for JSON. */
function withText(input: unknown): unknown {
  if (!isRecord(input)) return input;
  const { subject } = input;
  if (isLeftOut(subject) || subject === null) return input;
  if (typeof subject === "string" && !/^[{"]/.test(subject)) return input;
  if (typeof subject === "string" || isRecord(subject)) {
    return { ...input, subject: encode(subject, "subject") };
  }
  throw invalid("subject", `expects a string or an object, got ${show(subject)}`);
}

function parseOptions(options: RemoteOptions) {
  const given: unknown = options;
  if (!isRecord(given)) throw invalid("options", `expects an object, got ${show(given)}`);
  for (const name of Object.keys(given)) {
    if (OPTIONS.includes(name) || isLeftOut(given[name])) continue;
    const known = OPTIONS.join(", ");
    throw invalid(`options.${name}`, `is not known to a client of a server; known are ${known}`);
  }
  return {
    url: parseUrl(settingOf("url", options.url, "DUCTAPE_URL")),
    apiKey: parseKey(settingOf("apiKey", options.apiKey, "DUCTAPE_API_KEY")),
    timeoutMs: parseTimeout(options.timeoutMs),
    retries: parseRetries(settingOf("retries", options.retries, "DUCTAPE_RETRIES")),
    policy: parsePolicy(options.onStoreError),
    logger: parseLogger(options.logger),
  };
}

/** A base of paths, without a trailing slash. No message shows a password in it. */
function parseUrl({ path, value }: Setting): string {
  const wanted = "expects the URL of a server, such as http://127.0.0.1:4141";
  if (typeof value !== "string") throw invalid(path, `${wanted}, got ${show(value)}`);
  const url = URL.canParse(value) ? new URL(value) : null;
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw invalid(path, `${wanted}, got ${show(url === null ? value : url.protocol)}`);
  }
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    throw invalid(path, `${wanted}, without a user, query or fragment; a key goes to apiKey`);
  }
  return url.href.replace(/\/+$/, "");
}

/** No message shows the key. */
function parseKey({ path, value }: Setting): string | null {
  if (value === undefined) return null;
  if (typeof value === "string" && /^[\x21-\x7e]+$/.test(value)) return value;
  throw invalid(path, "expects a key as the server printed it: ASCII without spaces");
}

function parseRetries({ path, value = RETRIES_DEFAULT }: Setting): number {
  const retries = typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value;
  const isCount = typeof retries === "number" && Number.isInteger(retries) && retries >= 0;
  if (isCount && retries <= RETRIES_MAX) return retries;
  throw invalid(path, `expects an integer from 0 to ${RETRIES_MAX}, got ${show(value)}`);
}
