import { afterAll, afterEach, describe, expect, it } from "vitest";
import { Ductape, type CacheInput, type CacheQuery } from "ductape";
import { BY_USER, closeClients, decided, EXPIRY_MS, setUp } from "./caching.js";
import { temporaryFolder } from "./support.js";

const folder = temporaryFolder();
afterEach(closeClients);
afterAll(folder.remove);

describe("caches.values", () => {
  it("lists the live entries of this client in the units of their quota", async () => {
    const quota = { limit: 10, period: "day", decimals: 1, ...BY_USER } as const;
    const { client, clock, run, check } = await setUp("memory:", quota);
    const { quotas, caches } = client.product;
    await quotas.create("shop", { tag: "a/b", limit: 3, period: "hour" });
    await run({ subject: "u", amount: 2.5 });
    clock.advance(10);
    await check({ quota_tag: "a/b" });
    const listed = await caches.values("shop", { cache_tag: "c" });
    expect(listed).toMatchObject([
      {
        value: { env: "prd", rule: "default", subject: null, used: 0, window: null },
        cache_tag: "c",
        product_tag: "shop",
        component_tag: "a/b",
        component_type: "quota",
        expiry: "2026-03-10T12:00:01.010Z",
      },
      {
        value: {
          subject: "u",
          used: 2.5,
          window: { start: "2026-03-10T00:00:00.000Z", end: "2026-03-11T00:00:00.000Z" },
        },
        component_tag: "q",
        expiry: "2026-03-10T12:00:01.000Z",
      },
    ]);
    expect(new Set(listed.map(({ key }) => key)).size).toBe(2);
    const query = { cache_tag: "c", component_tag: "q", component_type: "quota" } as const;
    expect(await caches.values("shop", query)).toEqual(listed.slice(1));
    clock.advance(EXPIRY_MS - 10);
    expect(await caches.values("shop", { cache_tag: "c" })).toEqual(listed.slice(0, 1));
    await quotas.delete("shop", "a/b");
    await quotas.create("shop", { tag: "a/b", limit: 3, period: "hour" });
    expect(await caches.values("shop", { cache_tag: "c" })).toEqual([]);
  });

  it("lists an entry under the cache that used it last", async () => {
    const { client, clock, check } = await setUp("memory:", { limit: 10, period: "day" });
    const { caches } = client.product;
    await caches.create("shop", { tag: "slow", expiry: 60_000 });
    await check();
    clock.advance(EXPIRY_MS);
    expect(await check({ cache: "slow" })).toMatchObject({ source: "cache", age_ms: EXPIRY_MS });
    expect(await caches.values("shop", { cache_tag: "c" })).toEqual([]);
    expect(await caches.values("shop", { cache_tag: "slow" })).toHaveLength(1);
  });

  it.each([
    ["null", "query"],
    ["{}", "cache_tag"],
    ['{ "cache_tag": 1 }', "cache_tag"],
    ['{ "cache_tag": "c", "component_tag": 1 }', "component_tag"],
    ['{ "cache_tag": "c", "component_type": "feature" }', "component_type"],
    ['{ "cache_tag": "c", "component": "q" }', "component"],
  ])("refuses %s, naming %s", async (text, path) => {
    const { client } = await setUp("memory:", { limit: 10, period: "day" });
    const query: CacheQuery = JSON.parse(text);
    const call = client.product.caches.values("shop", query);
    await expect(call).rejects.toMatchObject({ code: "VALIDATION", issues: [{ path }] });
  });
});

describe("a cache's definition", () => {
  it("is made, changed, fetched and deleted, and calls go by it at once", async () => {
    const { client, clock, check } = await setUp("memory:", { limit: 10, period: "day" });
    const { caches } = client.product;
    expect(await caches.fetch("shop", "c")).toMatchObject({
      tag: "c",
      name: "Fast",
      description: "",
      expiry: EXPIRY_MS,
      revision: 1,
    });
    await check();
    await caches.update("shop", "c", { expiry: 5_000 });
    clock.advance(EXPIRY_MS);
    expect(await check()).toMatchObject({ source: "cache" });
    await caches.update("shop", "c", { expiry: 10 });
    expect(await check()).toMatchObject({ source: "store" });
    expect((await caches.fetchAll("shop")).map(({ revision }) => revision)).toEqual([3]);
    await caches.delete("shop", "c");
    await expect(check()).rejects.toMatchObject({ code: "CACHE_NOT_FOUND" });
    await expect(caches.values("shop", { cache_tag: "c" })).rejects.toMatchObject({
      code: "CACHE_NOT_FOUND",
    });
    await client.product.delete("shop");
    await expect(caches.fetchAll("shop")).rejects.toMatchObject({ code: "PRODUCT_NOT_FOUND" });
  });

  it.each(["0", "-1", "1.5", "86400001", "1e999", '"1000"', "null", "{}", "[]"])(
    "refuses the expiry %s",
    async (expiry) => {
      const { client } = await setUp("memory:", { limit: 10, period: "day" });
      const input: CacheInput = JSON.parse(`{ "tag": "d", "expiry": ${expiry} }`);
      await expect(client.product.caches.create("shop", input)).rejects.toMatchObject({
        code: "VALIDATION",
        issues: [{ path: "expiry" }],
      });
    },
  );

  it("is known to a call as soon as another client has made it", async () => {
    const { client, path, clock } = await setUp(`sqlite:${folder.path}/new.db`, {
      limit: 5,
      period: "day",
    });
    await using other = new Ductape({ store: path, clock });
    await decided(other, {});
    await client.product.caches.create("shop", { tag: "late", expiry: 50 });
    expect(await decided(other, { cache: "late" })).toMatchObject({ allowed: true });
    await expect(decided(other, { cache: "never" })).rejects.toMatchObject({
      code: "CACHE_NOT_FOUND",
      message: 'cache: product "shop" has no cache "never"',
    });
  });
});
