import { show } from "../base/errors.js";
import { isLeftOut, isRecord } from "../base/json.js";
import { invalid } from "../base/settings.js";
import type { ProductCalls } from "../client/client.js";
import type { Cache } from "../define/cache.js";
import type { Environment } from "../define/environment.js";
import type { Feature } from "../define/feature.js";
import type { Product } from "../define/product.js";
import type { QuotaView } from "../define/quota.js";
import type { SessionView } from "../define/session.js";
import type { CacheValue } from "../product/caches.js";
import type { Call, KindName, KINDS, Place } from "./calls.js";
import type { Http } from "./http.js";
import { ask, send, viewOf, viewsOf } from "./send.js";

/** Most definitions of a page. */
const PAGE_MAX = 1_000;

type KindPath = (typeof KINDS)[KindName]["path"];

/** An answer whose fields are not checked yet. */
type Page = Readonly<Record<string, unknown>>;

/** `ductape.product` through a server, which answers with the views of the library. */
export function productCalls(http: Http): ProductCalls {
  return {
    ...definitionCalls<Product>(http, "/v1/products"),
    environments: definitionCalls<Environment>(http, "/v1/products/:product/environments"),
    quotas: definitionCalls<QuotaView>(http, "/v1/products/:product/quotas"),
    sessions: {
      ...definitionCalls<SessionView>(http, "/v1/products/:product/sessions"),
      rotate: (product, options) => {
        const input = isRecord(options) ? { ...options, product } : options;
        return ask(http, "POST /v1/sessions/rotate", "once", input, { name: "options" });
      },
    },
    caches: {
      ...definitionCalls<Cache>(http, "/v1/products/:product/caches"),
      async values(product, query) {
        const given: unknown = query;
        if (!isRecord(given)) throw invalid("query", `expects an object, got ${show(given)}`);
        const { cache_tag, ...rest } = given;
        const place = "GET /v1/products/:product/caches/:tag/values";
        const page: Page = await ask(http, place, "safe", rest, { parts: [product, cache_tag] });
        return viewsOf<CacheValue>(page["values"]);
      },
    },
    features: definitionCalls<Feature>(http, "/v1/products/:product/features"),
    async apply(configuration, options = {}) {
      const given: unknown = configuration;
      if (!isRecord(given)) throw invalid("configuration", `expects an object, got ${show(given)}`);
      const input = { ...given, ...options };
      return ask(http, "POST /v1/apply", "once", input, { name: "configuration" });
    },
  };
}

/** The calls on the kind of definition at a path, whose `:parts` are their first arguments. */
function definitionCalls<View extends object>(http: Http, all: KindPath) {
  const one = `${all}/:id`;
  const count = one.split("/:").length - 1;
  /** A call whose answer is a definition; `at` is which of its arguments is the input. */
  const asking =
    (place: Place, repeat: Call["repeat"], at: number | null, name?: string) =>
    (...parts: readonly unknown[]): Promise<View> =>
      http.gate.pass(async () => {
        const input = at === null ? {} : parts[at];
        return viewOf(await send(http, place, repeat, input, { parts, name }));
      });
  return {
    create: asking(`POST ${all}`, "once", count - 1),
    update: asking(`PATCH ${one}`, "once", count, "patch"),
    fetch: asking(`GET ${one}`, "safe", null),
    fetchAll: (...parts: readonly unknown[]) =>
      http.gate.pass(async () => {
        const views: View[] = [];
        for (let after: unknown = null; ;) {
          const input = { limit: PAGE_MAX, after };
          const page: Page = viewOf(await send(http, `GET ${all}`, "safe", input, { parts }));
          views.push(...viewsOf<View>(page[all.replace(/.*\//, "")]));
          after = page["next"];
          if (typeof after !== "string") return views;
        }
      }),
    delete: (...parts: readonly unknown[]) =>
      http.gate.pass(async () => {
        const { force, revision } = parseDelete(parts[count] ?? {});
        const headers = revision === null ? {} : { "if-match": `"${revision}"` };
        await send(http, `DELETE ${one}`, "once", { force }, { parts, headers });
      }),
  };
}

function parseDelete(options: unknown) {
  if (!isRecord(options)) throw invalid("options", `expects an object, got ${show(options)}`);
  const { force, if_revision: revision, ...unknown } = options;
  const [name] = Object.keys(unknown);
  if (name !== undefined) throw invalid(name, "is not a known option; known: force, if_revision");
  if (!isLeftOut(force) && typeof force !== "boolean") {
    throw invalid("force", `expects true or false, got ${show(force)}`);
  }
  if (isLeftOut(revision)) return { force, revision: null };
  if (Number.isSafeInteger(revision) && Number(revision) >= 1) return { force, revision };
  throw invalid("if_revision", `expects an integer from 1, got ${show(revision)}`);
}
