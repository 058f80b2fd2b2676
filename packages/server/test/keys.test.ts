import { describe, expect, it } from "vitest";
import { EmbeddedDuctape } from "ductape";
import { startServer } from "ductape-server";
import { ask, inputOf, start, startWith, temporaryFolder } from "./support.js";
import { until } from "../../ductape/test/support.js";

const KEY_FORM = /^dk_[a-z0-9]{10}_[0-9A-Za-z]{33}$/;
const ONE = { scopes: ["quota:increment"], products: ["shop"], environments: ["prd"] };

describe("a key", () => {
  it("is shown once, is stored as a hash, and works until it is revoked", async () => {
    const server = await startWith([{ tag: "q", limit: 5, period: "day" }]);
    const made = await server.call("/v1/keys", { body: { name: "shop", ...ONE } });
    const { key, ...view } = made.body;
    expect([made.status, made.headers.get("location")]).toEqual([201, `/v1/keys/${view["id"]}`]);
    expect(key).toMatch(KEY_FORM);
    const run = (text: string) => server.call("/v1/quota/run", { key: text, body: inputOf() });
    expect((await run(String(key))).body).toMatchObject({ used: 1 });
    const other = `${String(key).slice(0, -1)}${String(key).endsWith("a") ? "b" : "a"}`;
    expect((await run(other)).status).toBe(401);
    expect((await server.call("/v1/keys")).body).toEqual({ keys: [view], next: null });
    expect((await server.call(`/v1/keys/${view["id"]}`)).body).toEqual(view);
    const records = await server.ductape.records.all("api-key");
    const secret = String(key).slice(-33);
    expect(JSON.stringify([...records.values()])).not.toContain(secret);
    expect(JSON.stringify([view, server.audit, server.warnings])).not.toContain(secret);
    const revoked = await server.call(`/v1/keys/${view["id"]}`, { method: "DELETE" });
    expect(revoked.status).toBe(204);
    expect((await run(String(key))).body).toMatchObject({ status: 401, code: "UNAUTHORIZED" });
    const again = await server.call(`/v1/keys/${view["id"]}`, { method: "DELETE" });
    expect(again.body).toMatchObject({ status: 404, code: "KEY_NOT_FOUND" });
    expect(server.audit).toMatchObject([
      { event: "keys.create", target: { id: view["id"] }, before: null, after: view },
      { event: "keys.revoke", target: { id: view["id"] }, before: view, after: null },
    ]);
    await server.close();
  });

  it.each([
    ["no header", {}],
    ["another scheme", { authorization: "Basic ZGs6ZGs=" }],
    ["no key", { authorization: "Bearer " }],
    ["another form", { authorization: "Bearer sk_live_0123456789012345678901234567890123" }],
    ["an unknown id", { authorization: `Bearer dk_nobody_${"a".repeat(33)}` }],
    ["a name of the language", { authorization: `Bearer dk_constructor_${"a".repeat(33)}` }],
    ["a long one", { authorization: `Bearer dk_${"a".repeat(5_000)}` }],
    ["two", { authorization: `Bearer dk_${"a".repeat(40)}, Bearer dk_${"b".repeat(40)}` }],
  ])("that is wrong gets the one answer: %s", async (_, headers) => {
    const server = await start();
    const {
      status,
      body,
      headers: answered,
    } = await server.call("/v1/products", {
      key: null,
      headers,
    });
    expect([status, body["code"]]).toEqual([401, "UNAUTHORIZED"]);
    expect(body["detail"]).toBe(
      "key: expects a header Authorization: Bearer dk_... with a key of this server",
    );
    expect(answered.get("www-authenticate")).toBe('Bearer realm="ductape"');
    await server.close();
  });

  it("gives to another no more than it has, and sees no key beyond its reach", async () => {
    const server = await start();
    const make = async (key: string, body: object) => {
      const made = await server.call("/v1/keys", { key, body });
      return { status: made.status, key: String(made.body["key"]), id: String(made.body["id"]) };
    };
    const grant = {
      scopes: ["keys:admin", "quota:admin"],
      products: ["a"],
      environments: ["x", "y"],
    };
    const { key } = await make(server.root, grant);
    const status = async (more: object) => (await make(key, { ...grant, ...more })).status;
    expect(await status({ scopes: ["quota:reset"], environments: ["y"] })).toBe(201);
    expect(await status({ scopes: ["quota:admin"] })).toBe(201);
    for (const more of [
      { scopes: ["*"] },
      { scopes: ["catalogue:read"] },
      { scopes: ["sessions:*"] },
      { products: ["b"] },
      { products: ["a", "*"] },
      { environments: ["x", "z"] },
      { environments: ["*"] },
    ]) {
      expect(await status(more), JSON.stringify(more)).toBe(403);
    }
    const foreign = await make(server.root, { ...grant, products: ["b"] });
    const listed = await server.call("/v1/keys", { key });
    expect(listed.body["keys"]).toHaveLength(3);
    const path = `/v1/keys/${foreign.id}`;
    const refused = await server.call(path, { key, method: "DELETE" });
    const unknown = await server.call("/v1/keys/nobody", { key, method: "DELETE" });
    const told = ({ body }: typeof refused) => {
      const { request_id: _id, detail, ...rest } = body;
      return { ...rest, detail: String(detail).replace(foreign.id, "nobody") };
    };
    expect(told(refused)).toEqual(told(unknown));
    await server.close();
  });

  it("names what is wrong with one that is to be made: nothing is allowed by default", async () => {
    const server = await start();
    const { body } = await server.call("/v1/keys", {
      body: { scopes: ["quota:incremnt"], products: [], enviroments: ["*"] },
    });
    expect(body["issues"]).toEqual([
      { path: "scopes[0]", message: expect.stringContaining("did you mean quota:increment?") },
      {
        path: "products",
        message: 'expects tags of products, or ["*"] for all, got an array of 0',
      },
      { path: "environments", message: "is required: an array" },
      { path: "enviroments", message: "is not a known field; did you mean environments?" },
    ]);
    await server.close();
  });
});

describe("the first key", () => {
  it("is made at the first start on a store, by one of servers that start at once", async () => {
    const folder = temporaryFolder();
    const store = `sqlite:${folder.path}/first.db`;
    const servers = await Promise.all(
      [1, 2, 3].map(() => startServer({ store, port: 0, rootKey: null })),
    );
    const keys = (await Promise.all(servers.map(({ firstKey }) => firstKey))).filter(
      (key) => key !== null,
    );
    expect(keys).toHaveLength(1);
    for (const { url } of servers) {
      expect((await ask(url, "/v1/products", { key: keys[0] ?? "" })).status).toBe(200);
    }
    await Promise.all(servers.map((server) => server.close()));
    const later = await startServer({ store, port: 0, rootKey: null });
    expect(await later.firstKey).toBe(null);
    await later.close();
    folder.remove();
  });

  it("is not created if DUCTAPE_ROOT_KEY is set or no key is required", async () => {
    const server = await start();
    expect(await server.firstKey).toBe(null);
    expect((await server.ductape.records.all("api-key")).size).toBe(0);
    await server.close();
    const open = await start({ rootKey: null, asksForKey: false });
    expect(await open.firstKey).toBe(null);
    await open.close();
  });
});

it("is made and revoked by one process and known to others within a second", async () => {
  const folder = temporaryFolder();
  const store = `sqlite:${folder.path}/shared.db`;
  const here = await start({ store });
  const there = await start({ store });
  await here.ductape.product.create({ tag: "shop" });
  const { body } = await here.call("/v1/keys", {
    body: { ...ONE, scopes: ["catalogue:read"], environments: ["*"] },
  });
  const key = String(body["key"]);
  expect((await there.call("/v1/products", { key })).status).toBe(200);
  await here.call(`/v1/keys/${body["id"]}`, { method: "DELETE" });
  expect((await here.call("/v1/products", { key })).status).toBe(401);
  await until(async () => (await there.call("/v1/products", { key })).status === 401);
  await here.close();
  await there.close();
  folder.remove();
});

it("that is stored in a form not known here is refused and named, and stops no other", async () => {
  const server = await start();
  const value = JSON.stringify({ name: "future", scopes: ["quota:teleport"] });
  await server.ductape.records.change("api-key", () => [{ id: "future", value }]);
  const key = `dk_future_${"a".repeat(33)}`;
  expect((await server.call("/v1/products", { key })).status).toBe(401);
  expect((await server.call("/v1/keys")).body).toEqual({ keys: [], next: null });
  expect(server.warnings.join()).toContain('the stored key "future" cannot be read');
  expect((await server.call("/v1/products")).status).toBe(200);
  await server.close();
});

describe("without keys", () => {
  it("everybody may do all, but only on an address of this machine", async () => {
    const server = await start({ asksForKey: false, rootKey: null });
    expect((await server.call("/v1/products", { key: null, body: { tag: "p" } })).status).toBe(201);
    expect(server.audit).toMatchObject([{ actor: { id: "anonymous" } }]);
    await server.close();
    await expect(
      startServer({ asksForKey: false, host: "0.0.0.0", store: "memory:" }),
    ).rejects.toThrow("host: without keys it must be an address of this machine");
  });
});

it("are records of the store, apart from its definitions", async () => {
  await using ductape = new EmbeddedDuctape({ store: "memory:" });
  await ductape.records.change("note", (kept) => [{ id: "a", value: String(kept.size) }]);
  await ductape.records.change("note", (kept) => [{ id: "b", value: String(kept.size) }]);
  await ductape.records.change("note", () => [{ id: "a", value: null }]);
  expect([...(await ductape.records.all("note")).values()]).toEqual([
    { id: "b", revision: 1, value: "1" },
  ]);
  expect(ductape.records.get("other", "b")).toBe(undefined);
  expect(await ductape.product.fetchAll()).toEqual([]);
});
