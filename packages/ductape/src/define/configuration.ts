import type { CacheInput } from "./cache.js";
import type { QuotaDefinition } from "./quota.js";
import type { EnvironmentInput } from "./environment.js";
import type { FeatureInput } from "./feature.js";
import { show } from "../base/errors.js";
import { Fields, type Issues, type Empty } from "../base/field.js";
import { isRecord } from "../base/json.js";
import { PRODUCT, type ProductInput } from "./product.js";
import type { KindName } from "./kind.js";
import type { SessionDefinition } from "./session.js";

/** A product with its definitions. Leaving a list out means the same as an empty list. */
export interface ProductConfiguration extends ProductInput {
  readonly environments?: readonly EnvironmentInput[] | Empty | undefined;
  readonly quotas?: readonly QuotaDefinition[] | Empty | undefined;
  readonly sessions?: readonly SessionDefinition[] | Empty | undefined;
  readonly caches?: readonly CacheInput[] | Empty | undefined;
  readonly features?: readonly FeatureInput[] | Empty | undefined;
}

/** The input of `product.apply`: definitions as written in a file. */
export interface Configuration {
  readonly products: readonly ProductConfiguration[];
}

/** Options of `product.apply`. */
export interface ApplyOptions {
  /** Reports what would change, and changes nothing. */
  readonly dry_run?: boolean | Empty | undefined;
}

/** One changed field of a definition; null if it does not exist before or after. */
export interface FieldChange {
  /** Such as `limit`, or `rules[user].limit` for the rule of that name. */
  readonly field: string;
  readonly from: unknown;
  readonly to: unknown;
}

/** What is done with one definition of a configuration. */
export interface DefinitionChange {
  readonly kind: KindName;
  readonly product_tag: string;
  /** The tag, or the slug of an environment. */
  readonly id: string;
  readonly action: "create" | "update" | "keep";
  /** The fields that differ, if it is updated. */
  readonly fields: readonly FieldChange[];
}

/** The result of `product.apply`, in the order of the configuration. */
export interface AppliedConfiguration {
  readonly changes: readonly DefinitionChange[];
  /** False for a dry run, and if nothing differs. */
  readonly applied: boolean;
}

/** One definition of a configuration, not parsed yet. */
export interface WantedDefinition {
  /** Its path: `products[0].quotas[1]`. */
  readonly path: string;
  readonly kind: KindName;
  readonly input: unknown;
}

/** A product of a configuration and its definitions. */
export interface WantedProduct {
  readonly tag: string;
  readonly product: WantedDefinition;
  readonly parts: readonly WantedDefinition[];
}

const LISTS = {
  environments: { kind: "environment", id: "slug" },
  quotas: { kind: "quota", id: "tag" },
  sessions: { kind: "session", id: "tag" },
  caches: { kind: "cache", id: "tag" },
  features: { kind: "feature", id: "tag" },
} as const satisfies Record<string, { kind: KindName; id: string }>;

const FIELDS = [...PRODUCT.fields, ...Object.keys(LISTS)];

/** The definitions of a configuration. Problems with its form go to `issues`. */
export function parseConfiguration(input: unknown, issues: Issues): WantedProduct[] {
  const fields = new Fields(input, "configuration", ["products"], issues, "");
  const products = fields.get("products");
  if (!Array.isArray(products)) {
    if (isRecord(input)) fields.refuse("products", `expects a list, got ${show(products)}`);
    return [];
  }
  const tags = new Set<unknown>();
  return products.flatMap((product: unknown, i) => {
    const path = `products[${i}]`;
    const own = new Fields(product, path, FIELDS, issues);
    if (!isRecord(product)) return [];
    refuseTwice(tags, own, "tag");
    const body = Object.fromEntries(PRODUCT.fields.map((field) => [field, own.get(field)]));
    const tag = own.get("tag");
    return {
      tag: typeof tag === "string" ? tag : "",
      product: { path, kind: PRODUCT.name, input: body },
      parts: Object.entries(LISTS).flatMap(([name, list]) => parseList(own, name, list)),
    };
  });
}

function parseList(
  product: Fields,
  name: string,
  { kind, id }: { readonly kind: KindName; readonly id: string },
): WantedDefinition[] {
  const list = product.get(name);
  if (list === undefined) return [];
  if (!Array.isArray(list)) {
    product.refuse(name, `expects a list, got ${show(list)}`);
    return [];
  }
  const ids = new Set<unknown>();
  return list.flatMap((input: unknown, i) => {
    const path = `${product.at(name)}[${i}]`;
    const own = new Fields(input, path, isRecord(input) ? Object.keys(input) : [], product.issues);
    if (!isRecord(input)) return [];
    refuseTwice(ids, own, id);
    return { path, kind, input };
  });
}

/** Two of the same name in one list, so it is unclear which one is meant. */
function refuseTwice(known: Set<unknown>, fields: Fields, id: string): void {
  const value = fields.get(id);
  if (value === undefined) return;
  if (known.has(value)) fields.refuse(id, `appears twice in this list: ${show(value)}`);
  known.add(value);
}
