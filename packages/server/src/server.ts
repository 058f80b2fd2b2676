import { DuctapeError, EmbeddedDuctape, ValidationError } from "ductape";
import type { EmbeddedOptions, Networks, OutagePolicy } from "ductape";
import { createApp } from "./app.js";
import { Audit } from "./audit.js";
import { isLoopback, urlHostOf } from "./host.js";
import { Keys } from "./keys.js";
import { flushLog, openLog, type LogTarget } from "./log.js";
import { Metrics } from "./metrics.js";
import { sayWarning } from "./print.js";
import { Partitions } from "./partition.js";
import type { Service } from "./service.js";
import { StoreNews } from "./store-news.js";
import { Turns } from "./turns.js";
import { VERSION } from "./version.js";

/** How a server is started. `Policy` is the type of `onStoreError`. */
export interface ServerOptions<Policy extends OutagePolicy = OutagePolicy> extends Pick<
  EmbeddedOptions<Policy>,
  "store" | "clock" | "onStoreError" | "timeoutMs" | "secret"
> {
  /**
   * Where requests that a definition causes may go, such as those for the keys at a `jwks` URL.
   * Default `"public"`: those who may write definitions are not those who may use the network of
   * the server.
   */
  readonly outgoing?: Networks | undefined;
  /** Default 127.0.0.1. */
  readonly host?: string | undefined;
  /** 0: any that is free. Default 3828. */
  readonly port?: number | undefined;
  /** A key that may do all, from `rootKeyOf`; default null: the first start makes one. */
  readonly rootKey?: string | null | undefined;
  /** Whether a key is made where there is none at all. Default true. */
  readonly makesFirstKey?: boolean | undefined;
  /** False answers everybody, and only on an address of this machine. Default true. */
  readonly asksForKey?: boolean | undefined;
  /** One line for each request. Default off. */
  readonly accessLog?: LogTarget | undefined;
  /** One line for each change by people, written before it is answered. Default off. */
  readonly auditLog?: LogTarget | undefined;
  /** Faults of the server, and warnings. Default standard error. */
  readonly warn?: ((message: string, error?: unknown) => void) | undefined;
  /** From 0 up to 1, for the jitter of waits. Default `Math.random`. */
  readonly random?: (() => number) | undefined;
}

/** A server that listens, on a client of that `onStoreError`. */
export interface RunningServer<Policy extends OutagePolicy = OutagePolicy> {
  /** Without a slash at the end. */
  readonly url: string;
  readonly port: number;
  readonly ductape: EmbeddedDuctape<Policy>;
  readonly keys: Keys;
  /**
   * The key that was made as there was none; null where there was one, or none is asked for. It
   * waits for a store that is down.
   */
  readonly firstKey: Promise<string | null>;
  /**
   * Takes no new connections, finishes what was accepted, 30 s at most, and releases the store.
   * `/readyz` tells it meanwhile.
   */
  close(): Promise<void>;
}

/** The port of a server that is told none. */
export const PORT_DEFAULT = 3_828;
const DRAIN_MS_MAX = 30_000;
const RETRY_MS = 1_000;

/**
 * Starts a server. Where its store is down it listens all the same, warns of it, now and at each
 * change, and says so at `/readyz`. Throws `VALIDATION` for an option it cannot take,
 * `STORE_UNAVAILABLE` for a store that no waiting mends, such as a file that is no database, and an
 * `Error` of the system where it cannot listen.
 */
export async function startServer<const Policy extends OutagePolicy = "throw">(
  options: ServerOptions<Policy>,
): Promise<RunningServer<Policy>> {
  const { host = "127.0.0.1", port = PORT_DEFAULT, rootKey = null, asksForKey = true } = options;
  if (!asksForKey && !isLoopback(host)) throw notLoopback(host);
  const warn = options.warn ?? sayWarning;
  const { store, clock, onStoreError, timeoutMs, secret, outgoing = "public" } = options;
  const metrics = new Metrics();
  const news = new StoreNews(metrics, warn);
  const parts = { store, clock, onStoreError, timeoutMs, secret, outgoing, logger: news };
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
    turns: new Turns(),
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

/** Tries again while the store is down: somebody may mend it while the server lives. */
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
      if (!hasWarned) warn("the first key is made, and told, once the store can be used");
      hasWarned = true;
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS).unref());
  }
  return null;
}

function notLoopback(host: string): ValidationError {
  const message = `without keys wants an address of this machine, such as 127.0.0.1, got ${host}`;
  return new ValidationError([{ path: "host", message }]);
}
