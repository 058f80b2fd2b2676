import type { RedisOptions } from "ioredis";
import { show, ValidationError } from "../../base/errors.js";
import { isRecord } from "../../base/json.js";

/** What an acknowledged change survives; `durable` expects the server to sync and to replicate. */
export type Durability = "fast" | "durable";

/** Options of a store on Redis. */
export interface RedisStoreOptions {
  /** The prefix of the store's keys: letters, digits and `_-.`. Default `ductape`. */
  readonly prefix?: string | undefined;
  /** Default `fast`: as durable as the server's own persistence. */
  readonly durability?: Durability | undefined;
  /**
   * For `durable`: how many replicas must have each change before it is acknowledged. Default 1
   * for a cluster and behind sentinels, which promote replicas; else 0.
   */
  readonly replicas?: number | undefined;
}

/** The address of a server. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** How to reach the servers, and how to keep counters on them. */
export interface RedisSettings {
  /** The store's name in messages, without user and password. */
  readonly name: string;
  /** The client library's options. */
  readonly options: RedisOptions;
  /** The nodes to ask about a cluster; null: not a cluster. */
  readonly seeds: readonly Address[] | null;
  /** Maps the address that a node of the cluster reports to one reachable from here. */
  readonly natMap: ((address: string) => Address | null) | null;
  readonly prefix: string;
  readonly durability: Durability;
  /** How many replicas must have each change; 0: none. */
  readonly replicas: number;
}

const DEFAULT_PORT = 6379;
const SENTINEL_PORT = 26_379;
const PORT_MAX = 65_535;
const REPLICAS_MAX = 100;
const PREFIX_CHARS_MAX = 64;
const FORMS =
  '"redis://host:port/db", "redis://host:port,host:port" for a cluster, or ' +
  '"redis+sentinel://host:port,host:port/master-name"';

interface Parts {
  readonly isTls: boolean;
  readonly isSentinel: boolean;
  readonly username: string | null;
  readonly password: string | null;
  readonly addresses: readonly Address[];
  readonly path: readonly string[];
  readonly query: URLSearchParams;
}

/** Whether a URL names a Redis server. */
export function isRedisUrl(url: string): boolean {
  return /^rediss?(\+sentinel)?:\/\//i.test(url);
}

/** The settings of a URL. Throws `VALIDATION`, which names `option` and never shows a password. */
export function settingsOfUrl(url: string, option: string): RedisSettings {
  const invalid = (message: string) => new ValidationError([{ path: option, message }]);
  const parts = partsOf(url, invalid);
  const { isSentinel, addresses, path, username, password, isTls } = parts;
  const isCluster = !isSentinel && addresses.length > 1;
  const dbText = path[isSentinel ? 1 : 0] ?? "0";
  const db = Number(dbText);
  if (!/^\d{1,4}$/.test(dbText) || path.length > (isSentinel ? 2 : 1)) {
    throw invalid(`expects the number of a database at the end, such as /0, in ${FORMS}`);
  }
  if (isCluster && db !== 0) throw invalid(`expects database 0 for a cluster, got ${db}`);
  const keep = keepingOf(optionsOf(parts.query, invalid), isCluster || isSentinel, invalid);
  const shared: RedisOptions = {
    db,
    ...(username === null ? {} : { username }),
    ...(password === null ? {} : { password }),
    ...(isTls ? { tls: {} } : {}),
  };
  const hosts = addresses.map(({ host, port }) => `${host}:${port}`).join(",");
  const name = `${/^[^:]+/.exec(url)?.[0]}://${hosts}`;
  if (isSentinel) {
    const master = path[0] ?? "";
    const sentinels = addresses.map((address) => ({ ...address }));
    const options = { ...shared, sentinels, name: master, enableTLSForSentinelMode: isTls };
    return { name: `${name}/${master}`, options, seeds: null, natMap: null, ...keep };
  }
  const seeds = isCluster ? addresses : null;
  const options = isCluster ? shared : { ...shared, ...addresses[0] };
  return { name, options, seeds, natMap: null, ...keep };
}

type Invalid = (message: string) => ValidationError;

function partsOf(url: string, invalid: Invalid): Parts {
  const match = /^(redis|rediss)(\+sentinel)?:\/\/([^/?#]*)([^?#]*)(\?[^#]*)?$/i.exec(url);
  if (match === null) throw invalid(`expects ${FORMS}`);
  const [, scheme = "", sentinel, authority = "", pathText = "", query = ""] = match;
  const at = authority.lastIndexOf("@");
  const isSentinel = sentinel !== undefined;
  const hosts = authority.slice(at + 1).split(",");
  const addresses = hosts.map((host) => addressOf(host, isSentinel, invalid));
  const path = pathText.split("/").filter((part) => part !== "");
  if (isSentinel && path.length === 0) {
    throw invalid("expects the name of the master after the sentinels, such as /mymaster");
  }
  return {
    isTls: scheme.toLowerCase() === "rediss",
    isSentinel,
    ...(at === -1
      ? { username: null, password: null }
      : secretsOf(authority.slice(0, at), invalid)),
    addresses,
    path: path.map((part) => decoded(part, invalid)),
    query: new URLSearchParams(query),
  };
}

function secretsOf(text: string, invalid: Invalid) {
  const colon = text.indexOf(":");
  const user = decoded(colon === -1 ? text : text.slice(0, colon), invalid);
  const password = colon === -1 ? null : decoded(text.slice(colon + 1), invalid);
  return { username: user === "" ? null : user, password };
}

function decoded(text: string, invalid: Invalid): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalid("has a % that encodes no character; write % itself as %25");
  }
}

function addressOf(text: string, isSentinel: boolean, invalid: Invalid): Address {
  const match = /^(?:\[([0-9a-f:.%]+)\]|([^:[\]]+))(?::(\d+))?$/i.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3] ?? (isSentinel ? SENTINEL_PORT : DEFAULT_PORT));
  // The text is not shown, because it is part of the password if that was not encoded.
  if (host === undefined) throw invalid(`expects host:port in ${FORMS}`);
  if (port > 0 && port <= PORT_MAX) return { host, port };
  throw invalid(`expects a port from 1 to ${PORT_MAX} in ${FORMS}`);
}

const OPTIONS = ["prefix", "durability", "replicas"];

function optionsOf(query: URLSearchParams, invalid: Invalid): Record<string, unknown> {
  const options: Record<string, unknown> = {};
  for (const [name, value] of query) {
    if (!OPTIONS.includes(name)) {
      throw invalid(`expects only these options after "?": ${OPTIONS.join(", ")}`);
    }
    options[name] = name === "replicas" && /^\d+$/.test(value) ? Number(value) : value;
  }
  return options;
}

type Keeping = Pick<RedisSettings, "prefix" | "durability" | "replicas">;

function keepingOf(
  options: Readonly<Record<string, unknown>>,
  failsOver: boolean,
  invalid: Invalid,
): Keeping {
  const { prefix = "ductape", durability = "fast", replicas } = options;
  if (typeof prefix !== "string" || !/^[\w.-]+$/.test(prefix) || prefix.length > PREFIX_CHARS_MAX) {
    const wanted = `expects 1 to ${PREFIX_CHARS_MAX} letters, digits, "_", "-" or "."`;
    throw invalid(`prefix ${wanted}, got ${show(prefix)}`);
  }
  if (durability !== "fast" && durability !== "durable") {
    throw invalid(`durability expects fast or durable, got ${show(durability)}`);
  }
  if (replicas !== undefined && durability === "fast") {
    throw invalid("replicas applies only with durability=durable");
  }
  if (replicas === undefined) {
    return { prefix, durability, replicas: durability === "durable" && failsOver ? 1 : 0 };
  }
  if (typeof replicas === "number" && Number.isInteger(replicas)) {
    if (replicas >= 0 && replicas <= REPLICAS_MAX) return { prefix, durability, replicas };
  }
  throw invalid(`replicas expects an integer from 0 to ${REPLICAS_MAX}, got ${show(replicas)}`);
}

/**
 * An ioredis client: a `Redis` or a `Cluster`. The store uses its options but opens its own
 * connections, so that no command is ever sent twice and none waits behind others.
 */
export interface RedisClient {
  readonly options: object;
}

/** The settings of a given client. Throws `VALIDATION`. */
export function settingsOfClient(client: RedisClient, options: RedisStoreOptions): RedisSettings {
  const given: unknown = client;
  const of: unknown = isRecord(given) ? given["options"] : undefined;
  if (!isRecord(given) || !isRecord(of)) {
    const message = `expects an ioredis client, got ${show(given)}`;
    throw new ValidationError([{ path: "client", message }]);
  }
  const invalid = (message: string) => new ValidationError([{ path: "options", message }]);
  for (const name of Object.keys(options)) {
    if (!OPTIONS.includes(name))
      throw invalid(`expects only these options: ${OPTIONS.join(", ")}, got ${show(name)}`);
  }
  const isCluster = given["isCluster"] === true;
  const isSentinel = Array.isArray(of["sentinels"]);
  const keep = keepingOf({ ...options }, isCluster || isSentinel, invalid);
  if (!isCluster) {
    const { host = "localhost", port = DEFAULT_PORT, path } = of;
    const name = typeof path === "string" ? `redis:${path}` : `redis://${host}:${port}`;
    return { name, options: of, seeds: null, natMap: null, ...keep };
  }
  const seeds = seedsOf(given["startupNodes"]);
  const name = `redis://${seeds.map(({ host, port }) => `${host}:${port}`).join(",")}`;
  const redisOptions = isRecord(of["redisOptions"]) ? of["redisOptions"] : {};
  return { name, options: redisOptions, seeds, natMap: natMapOf(of["natMap"]), ...keep };
}

function seedsOf(nodes: unknown): Address[] {
  return (Array.isArray(nodes) ? nodes : []).map((node: unknown) => {
    if (typeof node === "number") return { host: "127.0.0.1", port: node };
    if (typeof node === "string") {
      const { hostname, port } = new URL(node.includes("://") ? node : `redis://${node}`);
      return { host: hostname, port: Number(port === "" ? DEFAULT_PORT : port) };
    }
    const { host = "127.0.0.1", port = DEFAULT_PORT } = isRecord(node) ? node : {};
    return { host: String(host), port: Number(port) };
  });
}

function natMapOf(natMap: unknown): RedisSettings["natMap"] {
  return (address) => {
    const mapped: unknown =
      typeof natMap === "function" ? natMap(address) : isRecord(natMap) ? natMap[address] : null;
    if (!isRecord(mapped)) return null;
    return { host: String(mapped["host"]), port: Number(mapped["port"]) };
  };
}
