import { compileQuota, type CompiledQuota } from "./quota.js";
import { ConflictError, DuctapeError, show, StoreError, ValidationError } from "../base/errors.js";
import type { Logger } from "../base/logger.js";
import type { FeatureBody } from "./feature.js";
import { keyParts, type SessionPlace } from "../base/key.js";
import { notFound } from "./kind.js";
import { PRODUCT } from "./product.js";
import type { SessionBody } from "./session.js";
import { ProductEntry } from "./definition-set.js";
import type { DocumentChange, DocumentWrite, Store } from "../stores/store.js";
import { checkText } from "../base/text.js";

/** Definitions to write, all or none, and the spaces of counters to delete in the same step. */
export interface Change {
  readonly writes: readonly DocumentWrite[];
  readonly forget?: readonly string[];
}

/** Keeps the content of watched documents of one kind. */
export interface Follower {
  /** Applies a change. */
  take(change: DocumentChange): void;
  /** Clears everything: the changes that follow may come from another store. */
  clear(): void;
}

/** A session definition in an active environment. */
export interface PlacedSession extends SessionPlace {
  readonly definition: SessionBody;
}

const POLL_MS = 250;
/** The interval of reads in a store that announces changes, for any it misses. */
const POLL_WATCHED_MS = 750;
const ATTEMPTS_MAX = 60;

/** What names a quota, and the cache before it. */
interface Named {
  readonly productTag: string;
  readonly env: string;
  readonly quotaTag: string;
  readonly cache: string | null;
}

/** The last result of {@link Catalogue.find}. */
interface Found {
  readonly productTag: string;
  readonly env: string;
  readonly quotaTag: string;
  readonly quota: CompiledQuota | null;
}

const NOTHING_FOUND: Found = { productTag: "", env: "", quotaTag: "", quota: null };

/**
 * The definitions of a store, in memory. Changes by this process are seen at once, those by others
 * within a second.
 */
export class Catalogue {
  products = new Map<string, ProductEntry>();
  /** Counts the applied changes of definitions, and the stores opened. */
  edition = 0;
  readonly #store: Store;
  readonly #logger: Logger;
  readonly #placed = new WeakMap<SessionBody, Map<string, PlacedSession>>();
  readonly #followers = new Map<string, Follower>();
  #sequence = 0;
  #changing: Promise<unknown> = Promise.resolve();
  /** Consecutive calls often use the same quota. */
  #lastFound = NOTHING_FOUND;
  #timer: NodeJS.Timeout | undefined;
  #unwatch: (() => void) | undefined;
  #isFollowing = true;

  constructor(store: Store, logger: Logger) {
    this.#store = store;
    this.#logger = logger;
  }

  /** Passes `follower` every change of the documents of a kind that is not a definition. */
  follow(kind: string, follower: Follower): void {
    this.#followers.set(kind, follower);
  }

  /** Reads all definitions, replacing any known before, and begins to follow their changes. */
  async start(): Promise<void> {
    const { sequence, changes } = await this.#store.documents.changes(0);
    // A new map, because the file may be another one: answers to earlier reads must not reach it.
    this.products = new Map();
    for (const follower of this.#followers.values()) follower.clear();
    this.edition++;
    this.#lastFound = NOTHING_FOUND;
    this.#sequence = sequence;
    for (const change of changes) this.#take(change);
    const { documents } = this.#store;
    this.#unwatch ??= documents.watch?.(() => void this.#poll());
    const pollMs = this.#unwatch === undefined ? POLL_MS : POLL_WATCHED_MS;
    this.#timer ??= setInterval(() => void this.#poll(), pollMs).unref();
  }

  /** Stops following. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#unwatch?.();
    this.#unwatch = undefined;
  }

  /** Reads what changed since the last time. */
  async refresh(): Promise<void> {
    const { products } = this;
    const { sequence, changes } = await this.#store.documents.changes(this.#sequence);
    // Answers may arrive out of order: a later one includes all of an earlier one.
    if (sequence <= this.#sequence || products !== this.products) return;
    this.#sequence = sequence;
    for (const change of changes) this.#take(change);
  }

  /**
   * Writes what `prepare` returns for the current definitions, with a new attempt if another
   * process was quicker; changes of this process wait for each other. If `prepare` throws, its
   * error is thrown and nothing is changed.
   */
  change(prepare: () => Promise<Change> | Change): Promise<void> {
    const changed = this.#changing.then(() => this.#changeNow(prepare));
    this.#changing = changed.catch(() => undefined);
    return changed;
  }

  async #changeNow(prepare: () => Promise<Change> | Change): Promise<void> {
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      await this.refresh();
      const { writes, forget = [] } = await prepare();
      const stale = await this.#store.documents.write(writes, forget);
      await this.refresh();
      if (stale === null) return;
      // Processes that collided would otherwise collide again.
      await new Promise((resolve) => setTimeout(resolve, Math.random() * attempt));
    }
    throw new StoreError("STORE_UNAVAILABLE", "the definition kept changing; try again");
  }

  /**
   * The quota that a request names, or null if it is not known here yet: then call {@link locate}.
   */
  find(request: Named): CompiledQuota | null {
    const quota = this.#find(request);
    const { cache } = request;
    // Read at each call: a cache may be deleted while its quota stays.
    return cache === null || quota?.caches.get(cache)?.body ? quota : null;
  }

  #find({ productTag, env, quotaTag }: Named): CompiledQuota | null {
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
   * The quota that a request names, even one that another process has just created. Throws
   * `VALIDATION`, `PRODUCT_NOT_FOUND`, `ENVIRONMENT_NOT_FOUND`, `ENVIRONMENT_INACTIVE`,
   * `QUOTA_NOT_FOUND`, `CACHE_NOT_FOUND`.
   */
  async locate(request: Named): Promise<CompiledQuota> {
    refuseIllFormed(request);
    try {
      return this.#compile(request);
    } catch (error) {
      if (!DuctapeError.is(error)) throw error;
    }
    await this.refresh();
    return this.#compile(request);
  }

  /**
   * The session definition with a tag in an environment, as known here. Throws like {@link
   * locateSession}.
   */
  findSession(product: string, env: string, tag: string): PlacedSession {
    const entry = this.entry(product);
    const { uid } = activeEnvironment(entry, product, env);
    const { body, identity } = entry.sessions.read(product, tag);
    // One object for all tokens of the session, so that it stays in the processor's caches.
    const known = this.#placed.get(body)?.get(env);
    if (known?.uid === uid) return known;
    const session = { product, env, uid, tag, sessionUid: identity.uid, definition: body };
    this.#placed.set(body, (this.#placed.get(body) ?? new Map()).set(env, session));
    return session;
  }

  /**
   * The session definition with a tag in an environment, even one that another process has just
   * created. Throws `VALIDATION`, `PRODUCT_NOT_FOUND`, `ENVIRONMENT_NOT_FOUND`,
   * `ENVIRONMENT_INACTIVE`, `SESSION_NOT_FOUND`.
   */
  async locateSession(product: string, env: string, tag: string): Promise<PlacedSession> {
    try {
      return this.findSession(product, env, tag);
    } catch (error) {
      if (!DuctapeError.is(error)) throw error;
    }
    await this.refresh();
    return this.findSession(product, env, tag);
  }

  /**
   * The feature with a tag, even one that another process has just created. Throws `VALIDATION`,
   * `PRODUCT_NOT_FOUND`, `ENVIRONMENT_NOT_FOUND`, `ENVIRONMENT_INACTIVE`, `FEATURE_NOT_FOUND`.
   */
  async locateFeature(product: string, env: string, tag: string): Promise<FeatureBody> {
    await this.refresh();
    const entry = this.entry(product);
    activeEnvironment(entry, product, env);
    return entry.features.read(product, tag).body;
  }

  /** The feature with a tag; null if it is not known here yet: then call {@link locateFeature}. */
  findFeature(product: string, env: string, tag: string): FeatureBody | null {
    const entry = this.products.get(product);
    if (entry?.environments.get(env)?.body?.active !== true) return null;
    return entry.features.get(tag)?.body ?? null;
  }

  /** The definitions in a product, even in one that cannot be read. Throws `PRODUCT_NOT_FOUND`. */
  entry(product: string): ProductEntry {
    const entry = this.products.get(product);
    if (entry === undefined || entry.product.size === 0) throw notFound(PRODUCT, product, product);
    return entry;
  }

  #compile({ productTag, env, quotaTag, cache }: Named): CompiledQuota {
    const entry = this.entry(productTag);
    const { uid } = activeEnvironment(entry, productTag, env);
    const quota = entry.quotas.read(productTag, quotaTag);
    if (cache !== null) entry.caches.read(productTag, cache);
    const compiled = compileQuota(quota, productTag, { slug: env, uid }, entry.caches);
    const byTag = entry.compiled.get(env);
    if (byTag === undefined) entry.compiled.set(env, new Map([[quotaTag, compiled]]));
    else byTag.set(quotaTag, compiled);
    return compiled;
  }

  async #poll(): Promise<void> {
    try {
      await this.refresh();
      this.#isFollowing = true;
    } catch (error) {
      // It was stopped meanwhile, so the store is closed.
      if (this.#timer === undefined) return;
      // Once for each outage, not four times a second.
      if (this.#isFollowing) {
        this.#logger.warn("definitions could not be refreshed; trying again", error);
      }
      this.#isFollowing = false;
    }
  }

  #take(change: DocumentChange): void {
    const { key, revision, value } = change;
    const { kind, product, id } = keyParts(key);
    const follower = this.#followers.get(kind);
    if (follower !== undefined) return follower.take(change);
    this.edition++;
    const entry = this.products.get(product) ?? new ProductEntry();
    this.products.set(product, entry);
    entry.compiled.clear();
    this.#lastFound = NOTHING_FOUND;
    // A newer version of this package may store kinds that this one does not know.
    const set = Object.entries(entry.sets).find(([name]) => name === kind)?.[1];
    const unreadable = set?.take(id, revision, value) ?? null;
    if (unreadable !== null) {
      this.#logger.warn(`the stored definition ${key} is set aside: ${unreadable}`);
    }
    if (Object.values(entry.sets).every(({ size }) => size === 0)) this.products.delete(product);
  }
}

function activeEnvironment(entry: ProductEntry, product: string, env: string) {
  const { body, identity } = entry.environments.read(product, env);
  if (!body.active) throw inactive(product, env);
  return identity;
}

function refuseIllFormed({ productTag, env, quotaTag }: Named): void {
  const fields = { env, product_tag: productTag, quota_tag: quotaTag };
  const issues = Object.entries(fields).flatMap(([path, value]) => {
    const message = checkText(value);
    return message === null ? [] : [{ path, message }];
  });
  if (issues.length > 0) throw new ValidationError(issues);
}

function inactive(product: string, env: string): ConflictError {
  const message = `env: environment ${show(env)} of product ${show(product)} is not active`;
  return new ConflictError("ENVIRONMENT_INACTIVE", message);
}
