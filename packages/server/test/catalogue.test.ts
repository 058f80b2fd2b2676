import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { start, type Call, type Started } from "./support.js";

let server: Started;
beforeAll(async () => {
  server = await start();
});
afterAll(() => server.close());

const call = (path: string, more: Call = {}) => server.call(path, more);
const codeOf = async (path: string, more: Call = {}) => {
  const { status, body } = await call(path, more);
  return [status, body["code"]];
};

/** For each kind: its path, the input that creates one, a change, and the result. */
const KINDS = [
  ["/v1/products", "tag", { tag: "p", name: "P" }, { name: "Q" }, { name: "Q" }],
  ["/v1/products/shop/environments", "slug", { slug: "dev" }, { active: false }, { active: false }],
  [
    "/v1/products/shop/quotas",
    "tag",
    { tag: "q", limit: 5, period: "day", anchor: "2026-01-31T00:00:00Z" },
    { limit: 7, anchor: null },
    { rules: [{ name: "default", limit: 7, anchor: null }] },
  ],
  [
    "/v1/products/shop/sessions",
    "tag",
    { tag: "s", schema: { userId: "u" }, selector: "$Session{userId}", expiry: 1 },
    { expiry: 2, period: "days" },
    { expiry: 2, period: "days" },
  ],
  ["/v1/products/shop/caches", "tag", { tag: "c", expiry: 500 }, { expiry: 900 }, { expiry: 900 }],
  [
    "/v1/products/shop/features",
    "tag",
    {
      tag: "f",
      quotas: [{ quota: "q", amount: "$Input{n} * 2" }],
      input: { n: { type: "number" } },
    },
    { ttl_ms: 5_000, quotas: null },
    { ttl_ms: 5_000, quotas: [] },
  ],
] as const;

beforeAll(async () => {
  await server.ductape.product.create({ tag: "shop" });
});

describe.each(KINDS)("%s", (path, id, input, patch, changed) => {
  const name = path.split("/").at(-1) ?? "";
  const tag = Object.values(input)[0] ?? "";
  const one = `${path}/${tag}`;

  it("makes, lists, fetches, changes and deletes one", async () => {
    const made = await call(path, { body: input });
    expect([made.status, made.headers.get("location")]).toEqual([201, one]);
    expect(made.headers.get("etag")).toBe('"1"');
    expect(made.body).toMatchObject({ [id]: tag, revision: 1 });
    expect(await codeOf(path, { body: input })).toEqual([409, "ALREADY_EXISTS"]);
    const list = await call(path);
    expect(list.body[name]).toContainEqual(made.body);
    expect(list.body["next"]).toBe(null);
    const fetched = await call(one);
    expect([fetched.body, fetched.headers.get("etag")]).toEqual([made.body, '"1"']);
    const patched = await call(one, { method: "PATCH", body: patch });
    expect([patched.status, patched.headers.get("etag")]).toEqual([200, '"2"']);
    expect(patched.body).toMatchObject({ ...changed, revision: 2 });
    expect((await call(one, { method: "DELETE" })).status).toBe(204);
    const gone = await call(one);
    expect(gone.status).toBe(404);
    expect(gone.body["code"]).toMatch(/_NOT_FOUND$/);
  });

  it("changes the revision that is asked for and no other", async () => {
    // A definition created again continues the revisions of the earlier one.
    const revision = Number((await call(path, { body: input })).body["revision"]);
    const [etag, other] = [`"${revision}"`, `"${revision + 6}"`];
    const change = (headers: Record<string, string>, more = {}) =>
      codeOf(one, { method: "PATCH", body: { ...patch, ...more }, headers });
    expect(await change({ "if-match": other })).toEqual([412, "REVISION_CONFLICT"]);
    expect(await change({}, { if_revision: 99 })).toEqual([409, "REVISION_CONFLICT"]);
    expect(await change({ "if-match": "7" })).toEqual([400, "VALIDATION"]);
    expect(await change({ "if-match": etag }, { if_revision: 99 })).toEqual([400, "VALIDATION"]);
    const headers = { "if-none-match": `W/"99", ${etag}` };
    const known = await call(one, { headers });
    expect([known.status, known.body]).toEqual([304, { text: "" }]);
    expect((await change({ "if-match": etag }))[0]).toBe(200);
    expect((await call(one, { headers })).status).toBe(200);
    const remove = (match: string) =>
      call(one, { method: "DELETE", headers: { "if-match": match } });
    expect((await remove(etag)).status).toBe(412);
    expect((await remove(`"${revision + 1}"`)).status).toBe(204);
  });

  it("lists pages in order, and names what is wrong", async () => {
    const tags = ["a/b", "b c", "é", "z".repeat(255)];
    for (const each of tags) {
      const made = await call(path, { body: { ...input, [id]: each } });
      expect(made.headers.get("location")).toBe(`${path}/${encodeURIComponent(each)}`);
      const found = await call(`${path}/${encodeURIComponent(each)}`);
      expect(found.body[id]).toBe(each);
    }
    const first = await call(`${path}?limit=2`);
    const next = String(first.body["next"]);
    const rest = await call(`${path}?limit=100&after=${encodeURIComponent(next)}`);
    const ids = [first, rest].flatMap(({ body }) => Array.from(Object(body[name]), idIn));
    expect(ids.filter((each) => each !== "shop")).toEqual(tags.toSorted());
    expect(await codeOf(`${path}?limit=0`)).toEqual([400, "VALIDATION"]);
    expect(await codeOf(`${path}?limit=x`)).toEqual([400, "VALIDATION"]);
    const unknown = await call(`${path}?limt=5`);
    expect(unknown.body["issues"]).toEqual([
      { path: "limt", message: "is not a known field; did you mean limit?" },
    ]);
    const typo = await call(path, { body: { ...input, descripton: "x" } });
    expect(typo.body["issues"]).toEqual([
      { path: "descripton", message: "is not a known field; did you mean description?" },
    ]);
    for (const each of tags) {
      await call(`${path}/${encodeURIComponent(each)}`, { method: "DELETE" });
    }

    function idIn(view: unknown): unknown {
      return Object(view)[id];
    }
  });
});

it("deletes a product with counters in use only with force", async () => {
  await call("/v1/products", { body: { tag: "used" } });
  await call("/v1/products/used/environments", { body: { slug: "prd" } });
  await call("/v1/products/used/quotas", { body: { tag: "q", limit: 5, period: "lifetime" } });
  const body = { env: "prd", product_tag: "used", quota_tag: "q", action: "increment" };
  await call("/v1/quota/run", { body });
  const refused = await call("/v1/products/used", { method: "DELETE" });
  expect(refused.body).toMatchObject({ status: 400, issues: [{ path: "options.force" }] });
  expect((await call("/v1/products/used?force=true", { method: "DELETE" })).status).toBe(204);
});

it("logs each change with the values before, even of several at once", async () => {
  server.audit.length = 0;
  await call("/v1/products/shop/quotas", { body: { tag: "hot", limit: 1, period: "day" } });
  const limits = Array.from({ length: 8 }, (_, i) => i + 2);
  const path = "/v1/products/shop/quotas/hot";
  await Promise.all(limits.map((limit) => call(path, { method: "PATCH", body: { limit } })));
  await call(path, { method: "DELETE" });
  const changes = server.audit.map(({ event, before, after }) => ({
    event,
    before: Object(before).revision ?? null,
    after: Object(after).revision ?? null,
  }));
  expect(changes[0]).toEqual({ event: "quotas.create", before: null, after: 1 });
  const updates = changes.slice(1, -1).toSorted((a, b) => a.before - b.before);
  const steps = limits.map((_, i) => ({ event: "quotas.update", before: i + 1, after: i + 2 }));
  expect(updates).toEqual(steps);
  expect(changes.at(-1)).toEqual({ event: "quotas.delete", before: 9, after: null });
});

it("lists the live entries of a cache, and who has used how much", async () => {
  await call("/v1/products", { body: { tag: "u" } });
  await call("/v1/products/u/environments", { body: { slug: "prd" } });
  await call("/v1/products/u/caches", { body: { tag: "c", expiry: 60_000 } });
  await call("/v1/products/u/quotas", {
    body: { tag: "q", limit: 5, period: "day", scope: "$Session{userId}", history: 2 },
  });
  const input = { env: "prd", product_tag: "u", quota_tag: "q", action: "increment", cache: "c" };
  for (const subject of ["ada", "ada", "bob"]) {
    await call("/v1/quota/run", { body: { ...input, subject } });
  }
  const usage = await call("/v1/usage/subjects?product_tag=u&env=prd&quota_tag=q&limit=1");
  expect(usage.body["subjects"]).toMatchObject([{ subject: "ada", used: 2, remaining: 3 }]);
  const after = encodeURIComponent(String(usage.body["next"]));
  const rest = await call(`/v1/usage/subjects?product_tag=u&env=prd&quota_tag=q&after=${after}`);
  expect(rest.body).toMatchObject({ subjects: [{ subject: "bob", used: 1 }], next: null });
  const of = "product_tag=u&env=prd&quota_tag=q";
  const history = await call(`/v1/usage/history?${of}&subject=ada`);
  expect(history.body).toMatchObject({ keeps: 2, windows: [{ used: 2, limit: 5, remaining: 3 }] });
  const nobody = await call(`/v1/usage/history?${of}`);
  expect(nobody.body).toMatchObject({ status: 400, code: "SUBJECT_REQUIRED" });
  const { body } = await call("/v1/products/u/caches/c/values?component_tag=q");
  expect(body["values"]).toMatchObject([
    { value: { subject: "ada", used: 2 } },
    { value: { subject: "bob", used: 1 } },
  ]);
});
