// The RateLimit fields on the wire: small enough for every client, and silent about who is counted.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EmbeddedDuctape, RemoteDuctape, type QuotaDefinition, type RuleInput } from "ductape";
import { inputOf, ROOT_KEY, start, startWith, temporaryFolder, type Started } from "./support.js";

const FIELD_BYTES_MAX = 2_048;
const LONG = {
  ascii: (i: number) => `${"n".repeat(253)}${String(i).padStart(2, "0")}`,
  "quotes and backslashes": (i: number) => `${'"\\'.repeat(126)}${String(i).padStart(2, "0")}`,
  "three bytes a character": (i: number) => `${"日".repeat(60)}${i}`,
  "as long as a tag may be": (i: number) => `${"日".repeat(253)}${String(i).padStart(2, "0")}`,
};

/** Sixteen rules; the one in the middle is the tightest. */
const severalOf = (tag: string, name: (i: number) => string): QuotaDefinition => ({
  tag,
  rules: Array.from({ length: 16 }, (_, i): RuleInput => {
    return { name: name(i), limit: i === 7 ? 4 : 1_000, period: "day" };
  }),
});

let server: Started;
beforeAll(async () => {
  const long = Object.entries(LONG).map(([tag, name]) => severalOf(tag, name));
  const few = severalOf("few", (i) => `rule-${i}`);
  const per = { tag: "per", scope: "$Session{userId}", limit: 5, period: "day" } as const;
  server = await startWith([...long, few, per, { ...per, tag: "per2" }]);
});
afterAll(() => server.close());

const run = (input: object) => server.call("/v1/quota/run", { body: inputOf({ ...input }) });
const fieldsOf = ({ headers }: { headers: Headers }) => {
  return [headers.get("ratelimit-policy") ?? "", headers.get("ratelimit") ?? ""] as const;
};
const keysIn = (field: string): string[] =>
  [...field.matchAll(/;pk=:([\w+/]{12}):/g)].map(([, key = ""]) => key);

describe("the fields of sixteen rules", () => {
  it("are all listed if they fit", async () => {
    const [policy, limit] = fieldsOf(await run({ quota_tag: "few" }));
    expect([policy.split(", ").length, limit.split(", ").length]).toEqual([16, 16]);
    expect(keysIn(policy)).toEqual(keysIn(limit));
    expect(new Set(keysIn(policy)).size).toBe(16);
  });

  it.each(Object.entries(LONG))(
    "with long names of %s are those of the binding rule, or none",
    async (quota_tag, name) => {
      const reply = await run({ quota_tag });
      expect(reply.body).toMatchObject({ allowed: true, rule: name(7), remaining: 3 });
      const [policy, limit] = fieldsOf(reply);
      for (const field of [policy, limit]) expect(field.length).toBeLessThanOrEqual(2_048);
      const fits = encodeURIComponent(name(7)).length < FIELD_BYTES_MAX;
      expect(policy).toMatch(fits ? /^"[^,]*";q=4;w=86400;pk=:.{12}:$/ : /^$/);
      expect(limit).toMatch(fits ? /^"[^,]*";r=3;t=\d+;pk=:.{12}:$/ : /^$/);
    },
  );

  it.each(Object.entries(LONG))(
    "with long names of %s end no call of the remote client and Node's fetch",
    async (quota_tag) => {
      await using remote = new RemoteDuctape({ url: server.url, apiKey: ROOT_KEY, retries: 0 });
      const input = { env: "prd", product_tag: "shop", quota_tag, action: "increment" } as const;
      const first = await remote.processor.quota.run(input);
      expect(first).toMatchObject({ allowed: true, used: 2 });
      expect(await remote.processor.quota.run({ ...input, amount: 3 })).toMatchObject({
        allowed: false,
        used: 2,
      });
    },
  );
});

describe("the unit of a quota", () => {
  const day = { limit: 5, period: "day" } as const;

  it("is named unless it is requests, in the fields and in the body", async () => {
    const { product } = server.ductape;
    await product.quotas.create("shop", { tag: "tokens", unit: "tokens", ...day });
    await product.quotas.create("shop", { tag: "bytes", unit: "content-bytes", ...day });
    await product.quotas.create("shop", { tag: "plain", unit: "requests", ...day });
    const units = { tokens: "tokens", bytes: "content-bytes", plain: undefined };
    for (const [quota_tag, unit] of Object.entries(units)) {
      for (const amount of [1, 5]) {
        const { headers, body } = await run({ quota_tag, amount });
        const qu = unit === undefined ? "" : `;qu="${unit}"`;
        expect(headers.get("ratelimit-policy")).toMatch(RegExp(`^"default";q=5${qu};w=86400;pk=`));
        expect(headers.get("ratelimit")).not.toContain("qu=");
        expect(body["unit"]).toBe(unit);
      }
    }
  });

  it("is read, changed, and taken back to requests", async () => {
    const { quotas } = server.ductape.product;
    await quotas.create("shop", { tag: "u", ...day });
    const patched = async (patch: object) => {
      const path = "/v1/products/shop/quotas/u";
      return (await server.call(path, { method: "PATCH", body: patch })).body["unit"];
    };
    expect((await quotas.fetch("shop", "u")).unit).toBe("requests");
    expect(await patched({ unit: "pages" })).toBe("pages");
    expect(await patched({ limit: 7 })).toBe("pages");
    expect((await run({ quota_tag: "u" })).body).toMatchObject({ used: 1, unit: "pages" });
    expect(await patched({ unit: null })).toBe("requests");
    expect((await run({ quota_tag: "u" })).body["unit"]).toBe(undefined);
    expect((await run({ quota_tag: "u" })).body["used"]).toBe(3);
  });
});

it("no answer has more than 8 kB of headers, however long the names are", async () => {
  const name = "日".repeat(255);
  const at = `/v1/products/${encodeURIComponent(name)}`;
  expect((await server.call("/v1/products", { body: { tag: name } })).status).toBe(201);
  const bodies: readonly [string, object][] = [
    ["environments", { slug: name }],
    ["quotas", { tag: name, rules: [{ name, limit: 1, period: "day" }] }],
    ["sessions", { tag: name, schema: { u: "u" }, selector: "$Session{u}", expiry: 1 }],
    ["caches", { tag: name, expiry: 1_000 }],
  ];
  const bytes: number[] = [];
  const measure = async (path: string, options = {}) => {
    const reply = await server.call(path, options);
    expect(reply.status).toBeLessThan(500);
    bytes.push([...reply.headers].join().length);
  };
  for (const [kind, body] of bodies) {
    await measure(`${at}/${kind}`, { body });
    await measure(`${at}/${kind}/${encodeURIComponent(name)}`, { method: "PUT" });
    await measure(`${at}/${kind}/${encodeURIComponent(name)}`, {
      headers: { "if-none-match": "*" },
    });
  }
  const call = { product_tag: name, env: name, quota_tag: name, subject: name };
  await measure("/v1/quota/run", { body: { ...call, action: "increment", idempotency_key: name } });
  await measure("/v1/quota/run", { body: call });
  await measure(at, { key: name.slice(0, 9).replaceAll("日", "x") });
  await measure(at, { method: "PATCH", headers: { "if-match": '"9"' }, body: { name } });
  expect(Math.max(...bytes)).toBeGreaterThan(4_000);
  expect(Math.max(...bytes)).toBeLessThan(8_192);
});

describe("the key of a counter", () => {
  it("is the same for one counter, and another for any other", async () => {
    const calls = [
      { subject: "ada" },
      { subject: "bob" },
      { subject: "ada", quota_tag: "per2" },
      { subject: "ada", env: "dev" },
      { subject: "ada", product_tag: "other" },
    ];
    await server.ductape.product.environments.create("shop", { slug: "dev" });
    await server.ductape.product.create({ tag: "other" });
    await server.ductape.product.environments.create("other", { slug: "prd" });
    const per = { tag: "per", scope: "$Session{userId}", limit: 5, period: "day" } as const;
    await server.ductape.product.quotas.create("other", per);
    const keys = new Set<string>();
    for (const call of calls) {
      const [policy, limit] = fieldsOf(await run({ quota_tag: "per", ...call }));
      const again = fieldsOf(await run({ quota_tag: "per", ...call, action: "check" }));
      const [key = ""] = keysIn(policy);
      expect([keysIn(limit), keysIn(again[0])]).toEqual([[key], [key]]);
      expect(policy + limit).not.toContain("ada");
      keys.add(key);
    }
    expect(keys.size).toBe(calls.length);
  });

  it("is the same on all servers of a store, and another in any other store", async () => {
    const folder = temporaryFolder();
    const store = `sqlite:${folder.path}/a.db`;
    const made = async (url: string) => {
      const each = await start({ store: url });
      const { product } = each.ductape;
      await product.create({ tag: "shop" }).catch(() => undefined);
      await product.environments.create("shop", { slug: "prd" }).catch(() => undefined);
      const quota = { tag: "q", limit: 5, period: "day" } as const;
      await product.quotas.create("shop", quota).catch(() => undefined);
      return each;
    };
    const servers = [await made(store), await made(store), await made("memory:")];
    const replies = servers.map((each) => each.call("/v1/quota/run", { body: inputOf() }));
    const keys = (await Promise.all(replies)).map((reply) => keysIn(fieldsOf(reply)[0])[0]);
    expect(keys[0]).toMatch(/^[\w+/]{12}$/);
    expect(keys[1]).toBe(keys[0]);
    expect(keys[2]).not.toBe(keys[0]);
    await Promise.all(servers.map((each) => each.close()));
    await using ductape = new EmbeddedDuctape({ store });
    expect((await ductape.records.all("partition-key")).size).toBe(1);
    await ductape.close();
    folder.remove();
  });
});
