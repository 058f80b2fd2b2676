import type { CachePolicy } from "../decide/plan.js";
import { show } from "../base/errors.js";
import { Fields, Issues, type Empty } from "../base/field.js";
import type { Kind, Stamps } from "./kind.js";

/** The input of `caches.create`. */
export interface CacheInput {
  readonly tag: string;
  readonly name?: string | Empty | undefined;
  readonly description?: string | Empty | undefined;
  /** The greatest age of an answer in milliseconds: an integer from 1 to 86,400,000, a day. */
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

/** The kind of caches. They own no counters, so they need no identity. */
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
  const wanted = `expects milliseconds, an integer from 1 to ${EXPIRY_MS_MAX}`;
  fields.refuse("expiry", `${wanted}, got ${show(value)}`);
  return 1;
}
