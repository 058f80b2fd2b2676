import { DuctapeError, EmbeddedDuctape, ValidationError } from "ductape";
import type { EmbeddedOptions, Networks, OutagePolicy } from "ductape";
import { createApp } from "./app.js";
import { Audit } from "./audit.js";
import { isLoopback, PORT_DEFAULT, urlHostOf } from "./host.js";
import { Keys } from "./keys.js";
import { flushLog, openLog, type LogTarget } from "./log.js";
import { Metrics } from "./metrics.js";
import { sayWarning } from "./print.js";
import { Partitions } from "./partition.js";
import type { Service } from "./service.js";
import { StoreNews } from "./store-news.js";
import { EventLoop } from "./event-loop.js";
import { VERSION } from "./version.js";

/** Options of a server. `Policy` is the type of `onStoreError`. */
export interface ServerOptions<Policy extends OutagePolicy = OutagePolicy> extends Pick<
  EmbeddedOptions<Policy>,
  "store" | "clock" | "onStoreError" | "timeoutMs" | "secret" | "handlerSecret"
> {
  /**
   * Where requests caused by a definition may go, such as those for the keys at a `jwks` URL.
   * Default `"public"`: permission to write definitions is not permission to use the server's
   * network.
   */
  readonly outgoing?: Networks | undefined;
  /** Default 127.0.0.1. */
  readonly host?: string | undefined;
  /** 0: any free port. Default 3828. */
  readonly port?: number | undefined;
  /** A key with every permission, from `rootKeyOf`; default null: the first start creates one. */
  readonly rootKey?: string | null | undefined;
  /** Whether to create a key if the store has none at all. Default true. */
  readonly makesFirstKey?: boolean | undefined;
  /** False: answers everybody without a key, only on an address of this machine. Default true. */
  readonly asksForKey?: boolean | undefined;
  /** One line for each request. Default off. */
  readonly accessLog?: LogTarget | undefined;
  /** One line for each change by people, written before the change is answered. Default off. */
  readonly auditLog?: LogTarget | undefined;
  /** Receives warnings and faults of the server. Default: prints to standard error. */
  readonly warn?: ((message: string, error?: unknown) => void) | undefined;
  /** From 0 up to 1, for the jitter of waits. Default `Math.random`. */
  readonly random?: (() => number) | undefined;
}

/** A listening server; its client has that `onStoreError`. */
export interface RunningServer<Policy extends OutagePolicy = OutagePolicy> {
  /** Without a trailing slash. */
  readonly url: string;
  readonly port: number;
  readonly ductape: EmbeddedDuctape<Policy>;
  readonly keys: Keys;
  /**
   * The key created because the store had none; null if there was one, or if none is needed. Waits
   * for a store that is down.
   */
  readonly firstKey: Promise<string | null>;
  /**
   * Accepts no new connections, finishes accepted calls within 30 s, and releases the store.
   * Meanwhile `/readyz` answers 503.
   */
  close(): Promise<void>;
}

const DRAIN_MS_MAX = 30_000;
const RETRY_MS = 1_000;

/**
 * Starts a server. If its store is down, the server listens all the same, warns at once and at
 * each change, and reports it at `/readyz`. Throws `VALIDATION` for an invalid option,
 * `STORE_UNAVAILABLE` for a fault of the store that does not pass with time, such as a file that
 * is not a database, and an `Error` of the system if it cannot listen.
 */
export async function startServer<const Policy extends OutagePolicy = "throw">(
  options: ServerOptions<Policy>,
): Promise<RunningServer<Policy>> {
  const { host = "127.0.0.1", port = PORT_DEFAULT, rootKey = null, asksForKey = true } = options;
  if (!asksForKey && !isLoopback(host)) throw notLoopback(host);
  const warn = options.warn ?? sayWarning;
  const { store, clock, onStoreError, timeoutMs, secret, handlerSecret } = options;
  const { outgoing = "public" } = options;
  const metrics = new Metrics();
  const news = new StoreNews(metrics, warn);
  const settings = { store, clock, onStoreError, timeoutMs, secret, handlerSecret, outgoing };
  const parts = { ...settings, logger: news };
  const ductape = new EmbeddedDuctape<Policy>(parts);
  const audit = openLog("audit", options.auditLog ?? "off", "now");
  const access = openLog("access", options.accessLog ?? "off", "soon");
  const now = clock ?? Date.now;
  const prober = news.follow(ductape);
  const service: Service = {
    ductape,
    keys: new Keys({ records: ductape.records, rootKey, clock: now, warn }),
    audit: new Audit(audit),
    metrics,
    prober,
    eventLoop: new EventLoop(),
    partitions: new Partitions(ductape.records, warn),
    clock: now,
    random: options.random ?? Math.random,
    isDraining: false,
  };
  const app = createApp({ service, logs: { access, warn }, version: VERSION, asksForKey });
  const address = await listen().catch(async (error: unknown) => {
    prober.stop();
    await ductape.close();
    throw error;
  });
  const actualPort = Number(new URL(address).port);
  const hasFirst = asksForKey && rootKey === null && options.makesFirstKey !== false;
  let closing: Promise<void> | null = null;
  return {
    url: `http://${urlHostOf(host)}:${actualPort}`,
    port: actualPort,
    ductape,
    keys: service.keys,
    firstKey: hasFirst ? firstKeyOf(service, warn) : Promise.resolve(null),
    close() {
      closing ??= drain();
      return closing;
    },
  };

  async function listen(): Promise<string> {
    await news.begin();
    return await app.listen({ host, port });
  }

  async function drain(): Promise<void> {
    service.isDraining = true;
    prober.stop();
    const force = setTimeout(() => app.server.closeAllConnections(), DRAIN_MS_MAX);
    await app.close();
    clearTimeout(force);
    await ductape.close();
    await Promise.all([flushLog(access), flushLog(audit)]);
  }
}

/** Tries again while the store is down: somebody may fix it while the server runs. */
async function firstKeyOf(
  service: Service,
  warn: (message: string, error?: unknown) => void,
): Promise<string | null> {
  let hasWarned = false;
  while (!service.isDraining) {
    try {
      return await service.keys.createFirst();
    } catch (error) {
      if (!DuctapeError.is(error)) throw error;
      if (!hasWarned) warn("the first key will be created and printed once the store can be used");
      hasWarned = true;
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS).unref());
  }
  return null;
}

function notLoopback(host: string): ValidationError {
  const wanted = "without keys it must be an address of this machine, such as 127.0.0.1";
  const message = `${wanted}; got ${host}`;
  return new ValidationError([{ path: "host", message }]);
}
