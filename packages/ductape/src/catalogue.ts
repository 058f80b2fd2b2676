import {
  compileQuota,
  parseStoredQuota,
  spacesOf,
  type CompiledQuota,
  type StoredQuota,
} from "./definition.js";
import { ConflictError, DuctapeError, NotFoundError, show, ValidationError } from "./errors.js";
import type { Logger } from "./events.js";
import { environmentKey, keyParts, productKey, quotaKey } from "./key.js";
import { isRecord, type Request } from "./request.js";
import type { DocumentChange, Store } from "./store.js";
import { checkText } from "./text.js";

/** What every stored definition has. Instants are ISO 8601 in UTC. */
export interface Stamps {
  /** Counts the changes, from 1. */
  readonly revision: number;
  readonly created_at: string;
  readonly updated_at: string;
}

/** A product. */
export interface Product extends Stamps {
  readonly tag: string;
  readonly name: string;
  readonly description: string;
}

/** An environment of a product. */
export interface Environment extends Stamps {
  readonly env_name: string;
  readonly slug: string;
  readonly description: string;
  /** An inactive environment refuses every action. */
  readonly active: boolean;
}

/** A definition that cannot be read: it stops no other, and every use of it says so. */
export interface Unreadable {
  readonly unreadable: string;
}

/** A definition as it is kept in memory. */
export type Kept<T> = (T & { readonly unreadable?: never }) | Unreadable;
/** An environment with its identity. */
export type StoredEnvironment = Environment & { readonly uid: string };
/** A quota with its identity and stamps. */
export type DefinedQuota = StoredQuota & Stamps;

/** A product with all that is defined in it. */
export interface ProductEntry {
  definition: Kept<Product> | null;
  /** The revision of the stored document; 0: none. */
  revision: number;
  readonly environments: Map<string, { revision: number; value: Kept<StoredEnvironment> }>;
  readonly quotas: Map<string, { revision: number; value: Kept<DefinedQuota> }>;
  /** By environment, then quota; made when first asked for. */
  readonly compiled: Map<string, Map<string, CompiledQuota>>;
}

const POLL_MS = 250;

/** What {@link Catalogue.find} found last. */
interface Found {
  readonly productTag: string;
  readonly env: string;
  readonly quotaTag: string;
  readonly quota: CompiledQuota | null;
}

const NOTHING_FOUND: Found = { productTag: "", env: "", quotaTag: "", quota: null };

/**
 * The definitions of a store, in memory. Changes made by this process are seen at once, those of
 * other processes within a second.
 */
export class Catalogue {
  readonly products = new Map<string, ProductEntry>();
  readonly #store: Store;
  readonly #logger: Logger;
  #sequence = 0;
  /** Calls in a row often ask for the same quota. */
  #lastFound = NOTHING_FOUND;
  #timer: NodeJS.Timeout | undefined;

  constructor(store: Store, logger: Logger) {
    this.#store = store;
    this.#logger = logger;
  }

  /** Reads all definitions and begins to follow their changes. */
  async start(): Promise<void> {
    await this.refresh();
    this.#timer ??= setInterval(() => void this.#poll(), POLL_MS).unref();
  }

  /** Stops following. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Reads what changed since the last time. */
  async refresh(): Promise<void> {
    const { sequence, changes } = await this.#store.documents.changes(this.#sequence);
    this.#sequence = Math.max(this.#sequence, sequence);
    for (const change of changes) this.#take(change);
  }

  /** The quota a request names, or null where it is not known here (yet): then ask {@link locate}. */
  find(request: Request): CompiledQuota | null {
    const { productTag, env, quotaTag } = request;
    const last = this.#lastFound;
    if (last.quotaTag === quotaTag && last.env === env && last.productTag === productTag) {
      return last.quota;
    }
    const quota = this.products.get(productTag)?.compiled.get(env)?.get(quotaTag);
    if (quota === undefined) return null;
    this.#lastFound = { productTag, env, quotaTag, quota };
    return quota;
  }

  /**
   * The quota a request names, also one that another process has just made. Throws `VALIDATION`,
   * `PRODUCT_NOT_FOUND`, `ENVIRONMENT_NOT_FOUND`, `ENVIRONMENT_INACTIVE`, `QUOTA_NOT_FOUND`.
   */
  async locate(request: Request): Promise<CompiledQuota> {
    refuseIllFormed(request);
    const known = this.#compile(request);
    if (!DuctapeError.is(known)) return known;
    await this.refresh();
    const found = this.#compile(request);
    if (DuctapeError.is(found)) throw found;
    return found;
  }

  /** The product of a tag. Throws `PRODUCT_NOT_FOUND`, and `VALIDATION` where it cannot be read. */
  product(tag: string): ProductEntry & { definition: Product } {
    const entry = this.products.get(tag);
    const definition = entry?.definition;
    if (entry === undefined || !definition) throw productNotFound(tag);
    if (definition.unreadable !== undefined) throw cannotRead("product", tag, definition);
    return Object.assign(entry, { definition });
  }

  #compile({ productTag, env, quotaTag }: Request): CompiledQuota | DuctapeError {
    const entry = this.products.get(productTag);
    if (!entry?.definition) return productNotFound(productTag);
    const environment = entry.environments.get(env)?.value;
    if (environment === undefined) return environmentNotFound(productTag, env);
    if (environment.unreadable !== undefined) return cannotRead("env", env, environment);
    if (!environment.active) return inactive(productTag, env);
    const quota = entry.quotas.get(quotaTag)?.value;
    if (quota === undefined) return quotaNotFound(productTag, quotaTag);
    if (quota.unreadable !== undefined) return cannotRead("quota_tag", quotaTag, quota);
    const compiled = compileQuota(quota, productTag, environment);
    const byTag = entry.compiled.get(env);
    if (byTag === undefined) entry.compiled.set(env, new Map([[quotaTag, compiled]]));
    else byTag.set(quotaTag, compiled);
    return compiled;
  }

  async #poll(): Promise<void> {
    try {
      await this.refresh();
    } catch (error) {
      this.#logger.warn("definitions could not be refreshed; trying again", error);
    }
  }

  #take({ key, revision, value }: DocumentChange): void {
    const { kind, product, tag } = keyParts(key);
    const entry = this.#entryOf(product);
    entry.compiled.clear();
    this.#lastFound = NOTHING_FOUND;
    if (kind === "product") {
      entry.definition = value === null ? null : this.#read(key, revision, value, asProduct);
      entry.revision = value === null ? 0 : revision;
    } else if (kind === "environment") {
      if (value === null) entry.environments.delete(tag);
      else {
        const read = this.#read(key, revision, value, asEnvironment);
        entry.environments.set(tag, { revision, value: read });
      }
    } else if (kind === "quota") {
      if (value === null) entry.quotas.delete(tag);
      else entry.quotas.set(tag, { revision, value: this.#read(key, revision, value, asQuota) });
    }
    if (!entry.definition && entry.environments.size + entry.quotas.size === 0) {
      this.products.delete(product);
    }
  }

  #entryOf(product: string): ProductEntry {
    let entry = this.products.get(product);
    if (entry === undefined) {
      entry = {
        definition: null,
        revision: 0,
        environments: new Map(),
        quotas: new Map(),
        compiled: new Map(),
      };
      this.products.set(product, entry);
    }
    return entry;
  }

  /** One definition that cannot be read is named and set aside; it never stops another. */
  #read<T extends object>(
    key: string,
    revision: number,
    text: string,
    parse: (value: Record<string, unknown>, revision: number) => T,
  ): T | Unreadable {
    try {
      const value: unknown = JSON.parse(text);
      if (!isRecord(value)) throw new Error("it is no object");
      return parse(value, revision);
    } catch (error) {
      const unreadable = error instanceof Error ? error.message : String(error);
      this.#logger.warn(`the stored definition ${key} cannot be read and is set aside`, error);
      return { unreadable };
    }
  }
}

const text = (value: unknown): string => (typeof value === "string" ? value : "");

function stamps(value: Record<string, unknown>, revision: number): Stamps {
  return { revision, created_at: text(value["created_at"]), updated_at: text(value["updated_at"]) };
}

function asProduct(value: Record<string, unknown>, revision: number): Product {
  const { tag, name, description } = value;
  if (checkText(tag) !== null) throw new Error(`tag ${String(checkText(tag))}`);
  return {
    tag: text(tag),
    name: text(name),
    description: text(description),
    ...stamps(value, revision),
  };
}

function asEnvironment(value: Record<string, unknown>, revision: number): StoredEnvironment {
  const { env_name, slug, description, active, uid } = value;
  if (checkText(slug) !== null) throw new Error(`slug ${String(checkText(slug))}`);
  if (typeof active !== "boolean") throw new Error("active is no boolean");
  if (typeof uid !== "string") throw new Error("it has no identity");
  return {
    env_name: text(env_name),
    slug: text(slug),
    description: text(description),
    active,
    uid,
    ...stamps(value, revision),
  };
}

function asQuota(value: Record<string, unknown>, revision: number): DefinedQuota {
  return { ...parseStoredQuota(value), ...stamps(value, revision) };
}

/** The spaces of a quota in all environments of its product. */
export function spacesEverywhere(
  product: string,
  entry: ProductEntry,
  quota: StoredQuota,
): string[] {
  return [...entry.environments.values()].flatMap(({ value }) =>
    value.unreadable === undefined ? spacesOf(quota, product, value) : [],
  );
}

/** The documents of a product: keys and revisions of all that is defined in it. */
export function keysOf(product: string, entry: ProductEntry): { key: string; revision: number }[] {
  return [
    { key: productKey(product), revision: entry.revision },
    ...[...entry.environments].map(([slug, { revision }]) => ({
      key: environmentKey(product, slug),
      revision,
    })),
    ...[...entry.quotas].map(([tag, { revision }]) => ({ key: quotaKey(product, tag), revision })),
  ];
}

function refuseIllFormed({ productTag, env, quotaTag }: Request): void {
  const fields = { env, product_tag: productTag, quota_tag: quotaTag };
  const issues = Object.entries(fields).flatMap(([path, value]) => {
    const message = checkText(value);
    return message === null ? [] : [{ path, message }];
  });
  if (issues.length > 0) throw new ValidationError(issues);
}

/** The fault of a product that is not defined. */
export function productNotFound(tag: string): NotFoundError {
  return new NotFoundError("PRODUCT_NOT_FOUND", `product_tag: there is no product ${show(tag)}`);
}

/** The fault of an environment that is not defined. */
export function environmentNotFound(product: string, slug: string): NotFoundError {
  const message = `env: product ${show(product)} has no environment ${show(slug)}`;
  return new NotFoundError("ENVIRONMENT_NOT_FOUND", message);
}

/** The fault of a quota that is not defined. */
export function quotaNotFound(product: string, tag: string): NotFoundError {
  const message = `quota_tag: product ${show(product)} has no quota ${show(tag)}`;
  return new NotFoundError("QUOTA_NOT_FOUND", message);
}

function inactive(product: string, env: string): ConflictError {
  const message = `env: environment ${show(env)} of product ${show(product)} is not active`;
  return new ConflictError("ENVIRONMENT_INACTIVE", message);
}

/** The fault of a definition that was set aside. */
export function cannotRead(path: string, tag: string, { unreadable }: Unreadable): ValidationError {
  const message = `the stored definition of ${show(tag)} cannot be read (${unreadable}); update or delete it`;
  return new ValidationError([{ path, message }]);
}
