import type { ResultWindow } from "./decision.js";
import { show } from "./errors.js";
import { Fields, Issues } from "./field.js";
import type { Kind, Stamps } from "./kind.js";
import type { Empty } from "./request.js";

/** What `caches.create` takes. */
export interface CacheInput {
  readonly tag: string;
  readonly name?: string | Empty | undefined;
  readonly description?: string | Empty | undefined;
  /** How old an answer may be, in milliseconds: an integer from 1 to 86,400,000, a day. */
  readonly expiry: number;
}

/** How old an answer of a cache may be. */
export interface CachePolicy {
  readonly tag: string;
  /** Milliseconds; an answer is younger than that. */
  readonly expiry: number;
}

/** The parsed part of a cache's definition. */
export interface CacheBody extends CachePolicy {
  readonly name: string;
  readonly description: string;
}

/** A cache as it is defined. */
export interface Cache extends CacheBody, Stamps {}

const FIELDS = ["tag", "name", "description", "expiry"] as const;
const EXPIRY_MS_MAX = 86_400_000;

/** What caches are made of. They own no counters, so they need no identity. */
export const CACHE: Kind<CacheBody, Empty> = {
  name: "cache",
  id: "tag",
  path: "cache",
  missing: "CACHE_NOT_FOUND",
  fields: FIELDS,
  nullable: [],
  parse: parseCache,
  idOf: ({ tag }) => tag,
  merge: (body, fields) => ({ ...body, ...fields }),
  identify: () => ({}),
  readIdentity: () => ({}),
};

function parseCache(input: unknown): CacheBody {
  const issues = new Issues();
  const fields = new Fields(input, "cache", FIELDS, issues, "");
  const tag = fields.tag("tag");
  const name = fields.name("name", tag);
  const description = fields.name("description", "");
  const expiry = parseExpiry(fields);
  issues.throwAny();
  return { tag, name, description, expiry };
}

function parseExpiry(fields: Fields): number {
  const value = fields.get("expiry");
  const isInteger = typeof value === "number" && Number.isInteger(value);
  if (isInteger && value >= 1 && value <= EXPIRY_MS_MAX) return value;
  const wanted = `wants milliseconds, an integer from 1 to ${EXPIRY_MS_MAX}`;
  fields.refuse("expiry", `${wanted}, got ${show(value)}`);
  return 1;
}

/** Which entries `caches.values` lists: those of one cache, or of one quota in it. */
export interface CacheQuery {
  readonly cache_tag: string;
  /** The tag of a quota. */
  readonly component_tag?: string | Empty | undefined;
  readonly component_type?: "quota" | Empty | undefined;
}

/** A counter as a cache has it, in the units of its quota. */
export interface CachedCounter {
  readonly env: string;
  readonly rule: string;
  /** Null for the one of the whole product. */
  readonly subject: string | null;
  readonly used: number;
  /** Null where nothing was ever counted. */
  readonly window: ResultWindow | null;
}

/** A live entry of a cache. */
export interface CacheValue {
  /** Names the entry among all of its product. */
  readonly key: string;
  readonly value: CachedCounter;
  readonly cache_tag: string;
  readonly product_tag: string;
  /** The tag of the quota. */
  readonly component_tag: string;
  readonly component_type: "quota";
  /** When it ends, ISO 8601 in UTC. */
  readonly expiry: string;
}
