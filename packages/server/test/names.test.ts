// Tags and slugs that mean something elsewhere: each can be managed over HTTP, or cannot be made.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RemoteDuctape, type SessionDefinition } from "ductape";
import { ROOT_KEY, start, type Started } from "./support.js";

let server: Started;
let remote: RemoteDuctape;
beforeAll(async () => {
  server = await start();
  remote = new RemoteDuctape({ url: server.url, apiKey: ROOT_KEY });
});
afterAll(async () => {
  await remote.close();
  await server.close();
});

const ODD = [
  "a/b",
  "/",
  "//",
  "a%2Fb",
  "%",
  "%2e%2e",
  "%2E",
  "%00",
  "%zz",
  "...",
  ". .",
  "../..",
  "..\\..",
  "\\",
  " ",
  " a ",
  "\t",
  "a\nb",
  "\r\n",
  "\u001b[2J",
  "\u0001",
  "\u007f",
  "\u0085",
  "?a=b",
  "#a",
  ";v=1",
  "a:b",
  "~",
  "+",
  "&",
  "@",
  "{}",
  ":product",
  "*a",
  "-",
  "--help",
  "__proto__",
  "constructor",
  "toString",
  "null",
  "undefined",
  "values",
  "quotas",
  "apply",
  "v1",
  "products",
  "ü",
  "u\u0308",
  "日本",
  "\u2028",
  "\u202e",
  "\ufeff",
  "\u{1f600}",
  "a".repeat(255),
  "日".repeat(255),
  "%".repeat(255),
  "\u{1f600}".repeat(127),
];

const shown = (name: string): string => JSON.stringify(name.slice(0, 20));
const SESSION: Omit<SessionDefinition, "tag"> = {
  schema: { userId: "u" },
  selector: "$Session{userId}",
  expiry: 1,
};

describe("a product, and all that it has, under the odd name", () => {
  it.each(ODD.map((name) => [shown(name), name] as const))(
    "%s is made, read, changed, used and deleted by a remote client",
    async (_, name) => {
      const { product, processor } = remote;
      const { environments, quotas, sessions, caches, features } = product;
      await product.create({ tag: name });
      await environments.create(name, { slug: name });
      await quotas.create(name, { tag: name, limit: 5, period: "lifetime" });
      await sessions.create(name, { tag: name, ...SESSION });
      await caches.create(name, { tag: name, expiry: 1_000 });
      await features.create(name, { tag: name, quotas: [{ quota: name }] });
      const place = { product: name, env: name, tag: name };
      const { token } = await processor.sessions.start({ ...place, data: { userId: "u" } });
      for (const text of [token, `${name}:${token}`]) {
        const session = { tag: name, token: text };
        const call = { product_tag: name, env: name, quota_tag: name, cache: name, session };
        const result = await processor.quota.run({ ...call, action: "increment" });
        expect(result).toMatchObject({ allowed: true, product_tag: name, quota_tag: name });
      }
      expect(await caches.values(name, { cache_tag: name })).toHaveLength(1);
      const usage = await remote.usage.subjects({ product_tag: name, env: name, quota_tag: name });
      expect(usage.subjects).toMatchObject([{ used: 2 }]);
      for (const kind of [quotas, sessions, caches, features]) {
        expect(await kind.update(name, name, { name: "new" })).toMatchObject({ revision: 2 });
        expect(await kind.fetch(name, name)).toMatchObject({ tag: name, name: "new" });
        expect(await kind.fetchAll(name)).toMatchObject([{ tag: name }]);
        await kind.delete(name, name);
        expect(await kind.fetchAll(name)).toEqual([]);
      }
      expect(await environments.update(name, name, { env_name: "new" })).toMatchObject({
        slug: name,
      });
      expect(await environments.fetch(name, name)).toMatchObject({ env_name: "new" });
      await environments.delete(name, name, { force: true });
      expect(await product.update(name, { name: "new" })).toMatchObject({ tag: name });
      expect((await product.fetchAll()).map(({ tag }) => tag)).toContain(name);
      await product.delete(name);
      await expect(product.fetch(name)).rejects.toMatchObject({ code: "PRODUCT_NOT_FOUND" });
    },
  );

  it("is at the Location that its creation returns", async () => {
    for (const tag of ODD) {
      const made = await server.call("/v1/products", { body: { tag } });
      expect(made.status, shown(tag)).toBe(201);
      const location = made.headers.get("location") ?? "";
      expect((await server.call(location)).body, shown(tag)).toMatchObject({ tag });
      expect((await server.call(location, { method: "DELETE" })).status).toBe(204);
    }
  });
});

describe("a name that no URL can hold, or that means all", () => {
  const CASES = ["product", "environments", "quotas", "sessions", "caches", "features"].flatMap(
    (kind) => [".", "..", "*", ""].map((name) => [kind, name] as const),
  );
  const rest: Readonly<Record<string, object>> = {
    quotas: { limit: 1, period: "day" },
    sessions: SESSION,
    caches: { expiry: 1_000 },
  };

  it.each(CASES)("cannot be made, here of %s: %j", async (kind, name) => {
    const isAllowed = name === "*" && !["product", "environments"].includes(kind);
    const id = kind === "environments" ? "slug" : "tag";
    await remote.product.create({ tag: "home" }).catch(() => undefined);
    const path = kind === "product" ? "/v1/products" : `/v1/products/home/${kind}`;
    const body = { ...rest[kind], [id]: name };
    const made = await server.call(path, { body });
    const applied = await server.call("/v1/apply", {
      body: {
        dry_run: true,
        products: [kind === "product" ? body : { tag: "new", [kind]: [body] }],
      },
    });
    const about = kind === "product" ? "products[0]" : `products[0].${kind}[0]`;
    for (const [answer, place] of [
      [made, id],
      [applied, `${about}.${id}`],
    ] as const) {
      if (isAllowed) expect(answer.status).toBeLessThan(300);
      else {
        expect([answer.status, answer.body["issues"]]).toMatchObject([400, [{ path: place }]]);
      }
    }
  });
});
