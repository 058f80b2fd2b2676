import { CACHE } from "./cache.js";
import { QUOTA, type CompiledQuota } from "./quota.js";
import { FEATURE } from "./feature.js";
import { ENVIRONMENT, type EnvironmentIdentity } from "./environment.js";
import { spacesOf, type QuotaIdentity } from "./identity.js";
import { definitionKey } from "../base/key.js";
import {
  cannotRead,
  notFound,
  readDefinition,
  type Definition,
  type Kept,
  type Kind,
  type KindName,
} from "./kind.js";
import { PRODUCT } from "./product.js";
import { SESSION } from "./session.js";

/** A definition's name within its kind, and the identity of its counters. */
type Identified<Identity> = readonly [id: string, identity: Identity];

/** The key and the revision of a stored definition. */
export interface StoredAt {
  readonly key: string;
  readonly revision: number;
}

/** The definitions of one kind in one product, by name. */
export class DefinitionSet<Body extends object, Identity> {
  readonly kind: Kind<Body, Identity>;
  readonly #kept = new Map<string, Kept<Body, Identity>>();

  constructor(kind: Kind<Body, Identity>) {
    this.kind = kind;
  }

  get size(): number {
    return this.#kept.size;
  }

  /** Applies a change of the store. Returns why the definition cannot be read, or null. */
  take(id: string, revision: number, value: string | null): string | null {
    if (value === null) {
      this.#kept.delete(id);
      return null;
    }
    const kept = readDefinition(this.kind, id, revision, value);
    this.#kept.set(id, kept);
    return kept.unreadable;
  }

  get(id: string): Kept<Body, Identity> | undefined {
    return this.#kept.get(id);
  }

  /** The definition of `id`, readable or not. Throws `*_NOT_FOUND`. */
  find(product: string, id: string): Kept<Body, Identity> {
    const kept = this.#kept.get(id);
    if (kept === undefined) throw notFound(this.kind, product, id);
    return kept;
  }

  /** The definition of `id`. Throws `*_NOT_FOUND`, and `VALIDATION` if it cannot be read. */
  read(product: string, id: string): Definition<Body, Identity> {
    const kept = this.find(product, id);
    if (kept.unreadable !== null) throw cannotRead(this.kind.path, id, kept.unreadable);
    return kept;
  }

  /** All readable definitions. */
  readable(): Definition<Body, Identity>[] {
    return [...this.#kept.values()].filter((kept) => kept.unreadable === null);
  }

  /** The identities of all, even of those that otherwise cannot be read. */
  identities(): Identified<Identity>[] {
    const all: Identified<Identity>[] = [];
    for (const [id, { identity }] of this.#kept) if (identity !== null) all.push([id, identity]);
    return all;
  }

  /** The stored documents of all. */
  documents(product: string): StoredAt[] {
    const { name } = this.kind;
    return [...this.#kept].map(([id, { revision }]) => ({
      key: definitionKey(name, product, id),
      revision,
    }));
  }
}

/** A product with all that is defined in it: a set for each kind. */
export class ProductEntry {
  /** The product itself, or empty. */
  readonly product = new DefinitionSet(PRODUCT);
  readonly environments = new DefinitionSet(ENVIRONMENT);
  readonly quotas = new DefinitionSet(QUOTA);
  readonly caches = new DefinitionSet(CACHE);
  readonly sessions = new DefinitionSet(SESSION);
  readonly features = new DefinitionSet(FEATURE);
  readonly sets = {
    product: this.product,
    environment: this.environments,
    quota: this.quotas,
    cache: this.caches,
    session: this.sessions,
    feature: this.features,
  } satisfies Record<KindName, unknown>;
  /** By environment, then quota; compiled at first use. */
  readonly compiled = new Map<string, Map<string, CompiledQuota>>();

  /** The stored documents of the product and everything defined in it. */
  documents(product: string): StoredAt[] {
    return Object.values(this.sets).flatMap((set) => set.documents(product));
  }

  /**
   * The spaces of counters and answers: of all quotas in all environments, unless some are given.
   */
  spaces(
    product: string,
    {
      environments = this.environments.identities(),
      quotas = this.quotas.identities(),
    }: {
      environments?: readonly Identified<EnvironmentIdentity>[];
      quotas?: readonly Identified<QuotaIdentity>[];
    } = {},
  ): string[] {
    return environments.flatMap(([slug, { uid }]) =>
      quotas.flatMap(([tag, identity]) => {
        const { rules, ledgers, answers } = spacesOf(identity, product, { slug, uid }, tag);
        return [...rules, ...ledgers.filter((ledger) => ledger !== null), answers];
      }),
    );
  }
}
