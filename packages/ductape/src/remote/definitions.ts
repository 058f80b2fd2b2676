import type { Cache, CacheInput } from "../define/cache.js";
import type { CacheQuery, CacheValue } from "../product/caches.js";
import type {
  CacheCalls,
  DefinitionCalls,
  ProductCalls,
  SessionDefinitionCalls,
} from "../client/client.js";
import type { AppliedConfiguration, ApplyOptions, Configuration } from "../define/configuration.js";
import type { QuotaDefinition, QuotaView } from "../define/quota.js";
import type { Environment, EnvironmentInput } from "../define/environment.js";
import { show, StoreError } from "../base/errors.js";
import { isLeftOut, isRecord } from "../base/json.js";
import type { DeleteOptions, Patch } from "../define/patch.js";
import type { Product, ProductInput } from "../define/product.js";
import type { SessionDefinition, SessionView } from "../define/session.js";
import { invalid } from "../base/settings.js";
import { encode } from "./encode.js";
import type { Http } from "./http.js";

/** Most definitions of a page. */
const PAGE_MAX = 1_000;

/** Definitions through a server, which answers with the views of the library. */
class Collection<View extends object> {
  readonly #http: Http;
  readonly #name: string;

  /** `name` is what holds the views of a page. */
  constructor(http: Http, name: string) {
    this.#http = http;
    this.#name = name;
  }

  async make(parts: readonly unknown[], input: unknown): Promise<View> {
    const body = encode(input, "input");
    return viewOf<View>(await this.#http.call({ method: "POST", path: pathOf(parts), body }));
  }

  async change(parts: readonly unknown[], patch: unknown): Promise<View> {
    const body = encode(patch, "patch");
    return viewOf<View>(await this.#http.call({ method: "PATCH", path: pathOf(parts), body }));
  }

  async one(parts: readonly unknown[]): Promise<View> {
    return viewOf<View>(await this.#http.call({ method: "GET", path: pathOf(parts) }));
  }

  /** A page at a time. */
  async all(parts: readonly unknown[]): Promise<View[]> {
    const views: View[] = [];
    for (let after: unknown = null; ;) {
      const path = pathOf(parts) + queryOf({ limit: PAGE_MAX, after });
      const page = viewOf(await this.#http.call({ method: "GET", path }));
      views.push(...viewsOf<View>(page[this.#name]));
      after = page["next"];
      if (typeof after !== "string") return views;
    }
  }

  async remove(parts: readonly unknown[], options: DeleteOptions = {}): Promise<void> {
    const { force, revision } = parseDelete(options);
    await this.#http.call({
      method: "DELETE",
      path: pathOf(parts) + queryOf({ force }),
      headers: revision === null ? {} : { "if-match": `"${revision}"` },
    });
  }
}

/** The definitions of one kind in a product. */
export class RemoteDefinitions<Input, View extends object> implements DefinitionCalls<Input, View> {
  readonly #all: Collection<View>;
  readonly #name: string;

  /** `name` is that of the kind in paths: `quotas`. */
  constructor(http: Http, name: string) {
    this.#all = new Collection(http, name);
    this.#name = name;
  }

  create(product: string, input: Input): Promise<View> {
    return this.#all.make(this.#at(product), input);
  }

  update(product: string, id: string, patch: Patch<Input>): Promise<View> {
    return this.#all.change([...this.#at(product), id], patch);
  }

  fetch(product: string, id: string): Promise<View> {
    return this.#all.one([...this.#at(product), id]);
  }

  fetchAll(product: string): Promise<View[]> {
    return this.#all.all(this.#at(product));
  }

  delete(product: string, id: string, options?: DeleteOptions): Promise<void> {
    return this.#all.remove([...this.#at(product), id], options);
  }

  #at(product: string): string[] {
    return ["products", product, this.#name];
  }
}

/** Products, and what each has. */
export class RemoteProducts implements ProductCalls {
  readonly environments: DefinitionCalls<EnvironmentInput, Environment>;
  readonly quotas: DefinitionCalls<QuotaDefinition, QuotaView>;
  readonly sessions: SessionDefinitionCalls;
  readonly caches: CacheCalls;
  readonly #all: Collection<Product>;
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
    this.environments = new RemoteDefinitions(http, "environments");
    this.quotas = new RemoteDefinitions(http, "quotas");
    this.sessions = new RemoteSessionDefinitions(http);
    this.caches = new RemoteCaches(http);
    this.#all = new Collection(http, "products");
  }

  create(input: ProductInput): Promise<Product> {
    return this.#all.make(["products"], input);
  }

  async apply(
    configuration: Configuration,
    options: ApplyOptions = {},
  ): Promise<AppliedConfiguration> {
    const given: unknown = configuration;
    if (!isRecord(given)) throw invalid("configuration", `wants an object, got ${show(given)}`);
    const body = encode({ ...given, ...options }, "configuration");
    return viewOf(await this.#http.call({ method: "POST", path: "/v1/apply", body }));
  }

  update(tag: string, patch: Patch<ProductInput>): Promise<Product> {
    return this.#all.change(["products", tag], patch);
  }

  fetch(tag: string): Promise<Product> {
    return this.#all.one(["products", tag]);
  }

  fetchAll(): Promise<Product[]> {
    return this.#all.all(["products"]);
  }

  delete(tag: string, options?: DeleteOptions): Promise<void> {
    return this.#all.remove(["products", tag], options);
  }
}

class RemoteSessionDefinitions
  extends RemoteDefinitions<SessionDefinition, SessionView>
  implements SessionDefinitionCalls
{
  readonly #http: Http;

  constructor(http: Http) {
    super(http, "sessions");
    this.#http = http;
  }

  async rotate(product: string, options: { readonly env: string }): Promise<{ kid: string }> {
    const given: unknown = options;
    const body = encode(isRecord(given) ? { ...given, product } : given, "options");
    return viewOf(await this.#http.call({ method: "POST", path: "/v1/sessions/rotate", body }));
  }
}

class RemoteCaches extends RemoteDefinitions<CacheInput, Cache> implements CacheCalls {
  readonly #http: Http;

  constructor(http: Http) {
    super(http, "caches");
    this.#http = http;
  }

  async values(product: string, query: CacheQuery): Promise<CacheValue[]> {
    const given: unknown = query;
    if (!isRecord(given)) throw invalid("query", `wants an object, got ${show(given)}`);
    const { cache_tag, ...rest } = given;
    const path = pathOf(["products", product, "caches", cache_tag, "values"]) + queryOf(rest);
    return viewsOf<CacheValue>(viewOf(await this.#http.call({ method: "GET", path }))["values"]);
  }
}

function parseDelete(options: unknown) {
  if (!isRecord(options)) throw invalid("options", `wants an object, got ${show(options)}`);
  const { force, if_revision: revision, ...unknown } = options;
  const [name] = Object.keys(unknown);
  if (name !== undefined) throw invalid(name, "is not a known option; known: force, if_revision");
  if (!isLeftOut(force) && typeof force !== "boolean") {
    throw invalid("force", `wants true or false, got ${show(force)}`);
  }
  if (isLeftOut(revision)) return { force, revision: null };
  if (Number.isSafeInteger(revision) && Number(revision) >= 1) return { force, revision };
  throw invalid("if_revision", `wants an integer from 1, got ${show(revision)}`);
}

/** `/v1/` and the parts. Throws `VALIDATION` for a part that no path can have. */
function pathOf(parts: readonly unknown[]): string {
  return `/v1/${parts.map(segmentOf).join("/")}`;
}

function segmentOf(part: unknown): string {
  const isName = typeof part === "string" && part !== "" && part !== "." && part !== "..";
  if (isName && part.isWellFormed()) return encodeURIComponent(part);
  throw invalid("tag", `wants a text that names a definition, got ${show(part)}`);
}

/** A query of the fields that are not left out; empty where all are. */
export function queryOf(fields: Readonly<Record<string, unknown>>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) {
    if (isLeftOut(value) || value === null) continue;
    if (typeof value === "object" || typeof value === "function") {
      throw invalid(name, `wants a plain value, got ${show(value)}`);
    }
    query.set(name, String(value));
  }
  return query.size === 0 ? "" : `?${query}`;
}

/** An answer of the server's promised form. Throws where it is no object at all. */
export function viewOf<View extends object = Readonly<Record<string, unknown>>>(
  value: unknown,
): View {
  if (isView<View>(value)) return value;
  throw strangeError();
}

function viewsOf<View extends object>(values: unknown): View[] {
  if (!Array.isArray(values)) throw strangeError();
  return values.map((value: unknown) => viewOf<View>(value));
}

function isView<View extends object>(value: unknown): value is View {
  return isRecord(value);
}

function strangeError(): StoreError {
  return new StoreError("OUTCOME_UNKNOWN", "the server's answer is none of ours");
}
