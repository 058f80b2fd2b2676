import { DuctapeError, NotFoundError, show } from "ductape";
import { VERBS, type Verb } from "ductape/calls";
import { SERVER_CALLS, type ServerCallName } from "./calls.js";

/** A scope of a row of the tables of calls. */
type RowScope =
  | NonNullable<(typeof SERVER_CALLS)[ServerCallName]["scopes"]>[number]
  | (typeof VERBS)[Verb]["scopes"][number];

/** Scopes that include every scope with a prefix. */
const WIDE = [
  ["*", ""],
  ["quota:admin", "quota:"],
  ["catalogue:*", "catalogue:"],
  ["sessions:*", "sessions:"],
  ["features:*", "features:"],
] as const;

/** A scope as keys name it. */
export type Scope = RowScope | (typeof WIDE)[number][0];

const ROW_SCOPES: readonly RowScope[] = [
  ...SERVER_CALLS["quota.run"].scopes,
  ...Object.values(VERBS).flatMap(({ scopes }): readonly RowScope[] => scopes),
  ...Object.values(SERVER_CALLS).flatMap(({ scopes }): readonly RowScope[] => scopes ?? []),
];

/** Everything a key can allow: the scopes of all calls, each after those that include it. */
export const SCOPES: readonly ["*", ...Scope[]] = [
  "*",
  ...new Set(ROW_SCOPES.flatMap((scope) => [...widerThan(scope).slice(1), scope])),
];

/** What a key allows: only what is named. `"*"` among tags means all. */
export interface Grant {
  readonly scopes: readonly Scope[];
  /** Tags of products. */
  readonly products: readonly string[];
  /** Slugs of environments in each of those products. */
  readonly environments: readonly string[];
}

/** The caller: the id of a key. */
export interface Actor {
  readonly id: string;
  readonly name: string;
}

/** What everybody may do if no key is required. */
export const ALL: Grant = { scopes: ["*"], products: ["*"], environments: ["*"] };

/**
 * What a caller may do. A missing scope is `FORBIDDEN`, which reveals nothing about what is
 * stored. A product or an environment outside the key's reach is answered like one that does not
 * exist, in the library's words.
 */
export class Access {
  readonly actor: Actor;
  readonly grant: Grant;
  readonly #scopes: ReadonlySet<Scope>;
  /** Null: all. */
  readonly #products: ReadonlySet<string> | null;
  readonly #environments: ReadonlySet<string> | null;

  constructor(actor: Actor, grant: Grant) {
    this.actor = actor;
    this.grant = grant;
    this.#scopes = new Set(grant.scopes.flatMap(singleScopes));
    this.#products = grant.products.includes("*") ? null : new Set(grant.products);
    this.#environments = grant.environments.includes("*") ? null : new Set(grant.environments);
  }

  /** True if the scope is allowed. */
  has(scope: Scope): boolean {
    return singleScopes(scope).every((single) => this.#scopes.has(single));
  }

  /** Throws `FORBIDDEN`, which names the scope, unless it is allowed. */
  require(scope: Scope): void {
    if (!this.#scopes.has(scope)) throw lacking(`scope ${scope}`);
  }

  /** True if the key covers the product. */
  hasProduct(tag: string): boolean {
    return this.#products === null || this.#products.has(tag);
  }

  /** True if the key covers the environment. */
  hasEnvironment(slug: string): boolean {
    return this.#environments === null || this.#environments.has(slug);
  }

  /** Throws `PRODUCT_NOT_FOUND` unless the key covers the product. */
  requireProduct(tag: string): void {
    if (this.hasProduct(tag)) return;
    const message = `product_tag: there is no product ${show(tag)}`;
    throw new NotFoundError("PRODUCT_NOT_FOUND", message);
  }

  /** Throws `PRODUCT_NOT_FOUND` or `ENVIRONMENT_NOT_FOUND` unless the key covers both. */
  requireEnvironment(product: string, slug: string): void {
    this.requireProduct(product);
    if (this.hasEnvironment(slug)) return;
    const message = `env: product ${show(product)} has no environment ${show(slug)}`;
    throw new NotFoundError("ENVIRONMENT_NOT_FOUND", message);
  }

  /**
   * Throws `FORBIDDEN` unless the key covers a product with this tag, even if it does not exist.
   */
  requireOwnProduct(tag: string): void {
    if (!this.hasProduct(tag)) throw lacking(`product ${show(tag)}`);
  }

  /** Throws `FORBIDDEN` unless the key covers an environment with this slug. */
  requireOwnEnvironment(slug: string): void {
    if (!this.hasEnvironment(slug)) throw lacking(`environment ${show(slug)}`);
  }

  /**
   * Throws `FORBIDDEN` unless the key covers all environments, because definitions beside them in
   * a product, such as quotas, apply to all of them.
   */
  requireAllEnvironments(): void {
    if (this.#environments !== null) throw lacking("all environments, which this change affects");
  }

  /** True if everything that `grant` allows is allowed here too. */
  covers({ scopes, products, environments }: Grant): boolean {
    return (
      scopes.every((scope) => this.has(scope)) &&
      products.every((tag) => (tag === "*" ? this.#products === null : this.hasProduct(tag))) &&
      environments.every((slug) =>
        slug === "*" ? this.#environments === null : this.hasEnvironment(slug),
      )
    );
  }
}

/** The basic scopes that a scope includes. */
function singleScopes(scope: Scope): readonly Scope[] {
  const singles = SINGLES.get(scope);
  if (singles === undefined) throw new Error(`no such scope: ${scope}`);
  return singles;
}

const SINGLES: ReadonlyMap<Scope, readonly Scope[]> = new Map(
  SCOPES.map((scope) => [
    scope,
    ROW_SCOPES.filter((single) => single === scope || widerThan(single).includes(scope)),
  ]),
);

/** The scopes that include this one, from the widest. */
function widerThan(single: RowScope): readonly Scope[] {
  return WIDE.flatMap(([scope, prefix]) => (single.startsWith(prefix) ? [scope] : []));
}

function lacking(what: string): DuctapeError {
  return new DuctapeError("FORBIDDEN", `key: it lacks ${what}; use another key`);
}
