import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SCOPES, type Scope } from "../src/access.js";
import { ROUTES } from "../src/routes/index.js";
import { samplesOf, type Sample } from "./requests.js";
import { startWith, type Reply, type Started } from "./support.js";

let server: Started;
beforeAll(async () => {
  server = await startWith([{ tag: "q", limit: 1, period: "day", scope: "$Session{u}" }]);
  const { product } = server.ductape;
  await product.caches.create("shop", { tag: "q", expiry: 1 });
  await product.features.create("shop", { tag: "q", quotas: [{ quota: "q" }] });
  const selector = "$Session{u}";
  await product.sessions.create("shop", { tag: "q", schema: { u: "u" }, selector, expiry: 1 });
});
afterAll(() => server.close());

const SAMPLES = samplesOf("shop", "prd");

/** Which products and environments a key has, seen from those that a request is for. */
const REACHES = {
  all: { products: ["*"], environments: ["*"] },
  "the product": { products: ["other", "shop"], environments: ["*"] },
  "the environment": { products: ["shop"], environments: ["dev", "prd"] },
  "another environment": { products: ["shop"], environments: ["dev"] },
  "another product": { products: ["other"], environments: ["prd"] },
} as const;
type ReachName = keyof typeof REACHES;

/** The answer to a request that its key does not allow. */
const REFUSALS = ["FORBIDDEN", "PRODUCT_NOT_FOUND", "ENVIRONMENT_NOT_FOUND"];

function hasScope(scope: Scope, needed: Sample["scope"]): boolean {
  if (scope === "*" || scope === needed) return true;
  if (scope === "quota:admin") return needed.startsWith("quota:");
  return scope.endsWith(":*") && needed.startsWith(scope.slice(0, -1));
}

function hasReach(name: ReachName, needed: Sample["reach"]): boolean {
  if (needed === "none") return true;
  if (needed === "product") return name !== "another product";
  if (needed === "environment") return name !== "another product" && name !== "another environment";
  return name === "all" || name === "the product";
}

async function keyFor(scope: Scope, reach: ReachName): Promise<string> {
  const { products, environments } = REACHES[reach];
  const grant = { scopes: [scope], products: [...products], environments: [...environments] };
  return (await server.keys.create(grant, { id: "test", name: "test" })).key;
}

const send = ({ method, path, body, headers = {} }: Sample, key: string | null): Promise<Reply> =>
  server.call(path, { method, key, headers, ...(body === undefined ? {} : { body }) });

it("the table has every route", () => {
  const tabled = new Set(SAMPLES.map(({ method, route }) => `${method} ${route}`));
  expect([...tabled].toSorted()).toEqual(
    ROUTES.map(({ method, path }) => `${method} ${path}`).toSorted(),
  );
});

it("each request of the table is let through with all scopes, and not without a key", async () => {
  for (const sample of SAMPLES) {
    const name = `${sample.method} ${sample.path}`;
    expect(REFUSALS, name).not.toContain((await send(sample, server.root)).body["code"]);
    const { status, body } = await send(sample, null);
    expect([status, body["code"]], name).toEqual([401, "UNAUTHORIZED"]);
  }
});

describe.each(SCOPES)("a key with the scope %s", (scope) => {
  it.each(Object.keys(REACHES))("and %s may do what they name, and nothing else", async (name) => {
    const reach = nameOf(name);
    const key = await keyFor(scope, reach);
    const wrong: string[] = [];
    for (const sample of SAMPLES) {
      const { status, body } = await send(sample, key);
      const isRefused = REFUSALS.includes(String(body["code"]));
      const may = hasScope(scope, sample.scope) && hasReach(reach, sample.reach);
      if (isRefused === may || status >= 500) {
        wrong.push(`${sample.method} ${sample.route}: ${status} ${String(body["detail"])}`);
      }
    }
    expect(wrong).toEqual([]);
  });
});

it("a foreign product and environment are answered as those that do not exist", async () => {
  const key = await keyFor("*", "another product");
  const unknown = samplesOf("nope", "prd");
  const ofDev = await keyFor("*", "another environment");
  const unknownEnvironment = samplesOf("shop", "nope");
  for (const [i, sample] of SAMPLES.entries()) {
    if (sample.reach === "none") continue;
    const answers = [await send(sample, key), await send(at(unknown, i), key)];
    expect(told(at(answers, 0)), sample.path).toEqual(told(at(answers, 1)));
    const ofEnvironment = [await send(sample, ofDev), await send(at(unknownEnvironment, i), ofDev)];
    expect(told(at(ofEnvironment, 0)), sample.path).toEqual(told(at(ofEnvironment, 1)));
  }
});

it("a foreign product is answered in the words of the library", async () => {
  const sample = SAMPLES.find(({ path }) => path === "/v1/quota/run");
  if (sample === undefined) throw new Error("there is no such sample");
  const key = await keyFor("*", "another product");
  const unknown = samplesOf("nope", "prd").find(({ path }) => path === "/v1/quota/run");
  if (unknown === undefined) throw new Error("there is no such sample");
  expect(told(await send(sample, key))).toEqual(told(await send(unknown, server.root)));
  const ofDev = await keyFor("*", "another environment");
  const body = { ...sample.body, env: "nope" };
  expect(told(await send(sample, ofDev))).toEqual(
    told(await send({ ...sample, body }, server.root)),
  );
});

it("lists only what the key covers", async () => {
  const { product } = server.ductape;
  await product.create({ tag: "other" });
  await product.environments.create("shop", { slug: "dev" });
  const listed = async (path: string, key: string) => {
    const { body } = await server.call(path, { key });
    return JSON.stringify(body).match(/"(tag|slug)":"\w+"/g);
  };
  const other = await keyFor("catalogue:read", "another product");
  expect(await listed("/v1/products", other)).toEqual(['"tag":"other"']);
  const ofDev = await keyFor("catalogue:read", "another environment");
  expect(await listed("/v1/products", ofDev)).toEqual(['"tag":"shop"']);
  expect(await listed("/v1/products/shop/environments", ofDev)).toEqual(['"slug":"dev"']);
});

it("a path that is written in another way finds the same door", async () => {
  for (const path of ["/%761/products", "/v%31/products", "/v1/%70roducts", "/V1/products"]) {
    expect((await server.call(path, { key: null })).status, path).not.toBe(200);
  }
  expect((await server.call("/%761/products", { key: null })).status).toBe(401);
});

it("of a batch, each input is let through or not on its own", async () => {
  const key = await keyFor("quota:check", "the environment");
  const input = { env: "prd", product_tag: "shop", quota_tag: "q", action: "check", subject: "u" };
  const inputs = [
    input,
    { ...input, action: "reset" },
    { ...input, env: "x" },
    { ...input, product_tag: "other" },
  ];
  const { body } = await server.call("/v1/quota/batch", { key, body: { inputs } });
  expect(body["results"]).toMatchObject([
    { allowed: true },
    { code: "FORBIDDEN", status: 403 },
    { code: "ENVIRONMENT_NOT_FOUND", status: 404 },
    { code: "PRODUCT_NOT_FOUND", status: 404 },
  ]);
});

function nameOf(name: string): ReachName {
  for (const known of ["all", "the product", "the environment", "another environment"] as const) {
    if (known === name) return known;
  }
  return "another product";
}

/** An answer without what is new in each, and without the tags that were asked for. */
function told({ status, body }: Reply) {
  const { request_id: _id, ...rest } = body;
  return { status, body: JSON.stringify(rest).replaceAll(/\\"(shop|nope|prd|dev)\\"/g, "TAG") };
}

function at<T>(items: readonly T[], i: number): T {
  const item = items[i];
  if (item === undefined) throw new Error(`there is no item ${i}`);
  return item;
}
