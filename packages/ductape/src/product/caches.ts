import { CACHE, type CacheBody, type CacheInput } from "../define/cache.js";
import { usedAt, type Counter } from "../decide/counter.js";
import { heldAt } from "../decide/holds.js";
import type { QuotaBody } from "../define/quota.js";
import { windowText, type ResultWindow } from "../quota/window-text.js";
import { Fields, Issues, type Empty } from "../base/field.js";
import { spaceParts } from "../base/key.js";
import type { Span } from "../decide/period.js";
import type { DeleteOptions } from "../define/patch.js";
import { ProductResource, type ResourceParts } from "./resource.js";
import type { ProductEntry } from "../define/definition-set.js";
import type { CachedStore, Copy } from "../stores/cached.js";

/** Selects the entries that `caches.values` lists: those of one cache, or of one quota in it. */
export interface CacheQuery {
  readonly cache_tag: string;
  /** The tag of a quota. */
  readonly component_tag?: string | Empty | undefined;
  readonly component_type?: "quota" | Empty | undefined;
}

/** A cached counter, in the units of its quota. */
export interface CachedCounter {
  readonly env: string;
  readonly rule: string;
  /** Null for the whole product. */
  readonly subject: string | null;
  readonly used: number;
  /** Reserved, not yet used; for a concurrency limit, how many holds are open. */
  readonly held: number;
  /** Null if nothing was ever counted, and for a concurrency limit. */
  readonly window: ResultWindow | null;
}

/** An entry in use of a cache. */
export interface CacheValue {
  /** Identifies the entry within its product. */
  readonly key: string;
  readonly value: CachedCounter;
  readonly cache_tag: string;
  readonly product_tag: string;
  /** The tag of the quota. */
  readonly component_tag: string;
  readonly component_type: "quota";
  /** When it expires, ISO 8601 in UTC. */
  readonly expiry: string;
}

/** What {@link Caches} depends on. */
export interface CachesParts extends ResourceParts {
  readonly store: CachedStore;
}

/** Caches of a product: `ductape.product.caches`. */
export class Caches extends ProductResource<CacheInput, CacheBody, Empty> {
  readonly #store: CachedStore;

  constructor(parts: CachesParts) {
    super(CACHE, parts);
    this.#store = parts.store;
  }

  protected setIn(entry: ProductEntry) {
    return entry.caches;
  }

  protected spaces(): string[] {
    return [];
  }

  /**
   * Deletes a cache; no counter changes. Throws `VALIDATION`, `PRODUCT_NOT_FOUND`,
   * `CACHE_NOT_FOUND`, `REVISION_CONFLICT`.
   */
  async delete(product: string, tag: string, options?: DeleteOptions): Promise<void> {
    await this.remove(product, tag, null, options);
  }

  /**
   * The entries in use that this client has in a cache, by key. An entry is listed under the cache
   * that used it last. Throws `VALIDATION`, `PRODUCT_NOT_FOUND`, `CACHE_NOT_FOUND`.
   */
  async values(product: string, query: CacheQuery): Promise<CacheValue[]> {
    const asked = parseQuery(query);
    return this.read((catalogue) => this.#values(product, catalogue.entry(product), asked));
  }

  #values(
    product: string,
    entry: ProductEntry,
    { cacheTag, quotaTag }: ReturnType<typeof parseQuery>,
  ): CacheValue[] {
    const { expiry } = entry.caches.read(product, cacheTag).body;
    const nowMs = this.parts.clock();
    const live = new Set(entry.spaces(product));
    const values: CacheValue[] = [];
    for (const kept of this.#store.copies()) {
      const isYoung = kept.readMs <= nowMs && nowMs - kept.readMs < expiry;
      if (!isYoung || kept.cacheTag !== cacheTag || !live.has(kept.space)) continue;
      const { quota } = spaceParts(kept.space);
      if (quotaTag !== null && quota !== quotaTag) continue;
      values.push({
        key: kept.space + kept.subject,
        value: counterOf(kept, entry.quotas.read(product, quota).body, nowMs),
        cache_tag: cacheTag,
        product_tag: product,
        component_tag: quota,
        component_type: "quota",
        expiry: new Date(kept.readMs + expiry).toISOString(),
      });
    }
    return values.toSorted((a, b) => (a.key < b.key ? -1 : 1));
  }
}

function counterOf({ space, subject, counter }: Copy, quota: QuotaBody, nowMs: number) {
  const { env, rule } = spaceParts(space);
  const isOfHolds = quota.rules.find(({ name }) => name === rule)?.window === "concurrent";
  const scale = isOfHolds ? 1 : 10 ** quota.decimals;
  return {
    env,
    rule,
    subject: subject === "" ? null : subject,
    used: counter === null ? 0 : usedAt(counter, nowMs) / scale,
    held: counter === null ? 0 : heldAt(counter.holds, nowMs) / scale,
    window: counter === null || isOfHolds ? null : { ...windowText(windowAt(counter, nowMs)) },
  };
}

/** A rolling window is the one that ends now. */
function windowAt({ window, entries }: Readonly<Counter>, nowMs: number): Span {
  if (entries === null) return window;
  return { startMs: nowMs - (window.endMs - window.startMs), endMs: nowMs };
}

const FIELDS = ["cache_tag", "component_tag", "component_type"] as const;

function parseQuery(query: CacheQuery): { cacheTag: string; quotaTag: string | null } {
  const issues = new Issues();
  const fields = new Fields(query, "query", FIELDS, issues, "");
  const cacheTag = fields.tag("cache_tag");
  const quotaTag = fields.get("component_tag") === undefined ? null : fields.tag("component_tag");
  fields.oneOf("component_type", ["quota"]);
  issues.throwAny();
  return { cacheTag, quotaTag };
}
