import { afterAll, describe, expect, it } from "vitest";
import { Ductape, type QuotaInput } from "ductape";
import { openSqlite } from "../src/stores/sqlite/driver.js";
import { clientWith, faultOf, inputOf, temporaryFolder } from "./support.js";

const folder = temporaryFolder();
afterAll(folder.remove);

const NOON_MS = Date.UTC(2026, 4, 15, 12);
const clock = () => NOON_MS;
const scope = "$Session{userId}";
const KEYS = {
  product: "product/shop/",
  environment: "environment/shop/prd/",
  quota: "quota/shop/q/",
} as const;

let files = 0;
const newPath = () => `${folder.path}/${files++}.db`;

/** Rewrites stored definitions from outside, as a newer version or a faulty disk might. */
async function rewrite(path: string, key: string, change: (value: string) => string) {
  const db = await openSqlite(path);
  try {
    const row = db.prepare("SELECT value FROM documents WHERE key = ?").get(key);
    db.prepare(
      `INSERT INTO documents (key, revision, sequence, value)
       VALUES (?, 1, (SELECT max(sequence) + 1 FROM documents), ?)
       ON CONFLICT (key) DO UPDATE SET revision = revision + 1, sequence = excluded.sequence,
         value = excluded.value`,
    ).run(key, change(String(row?.["value"])));
  } finally {
    db.close();
  }
}

/** Changes members of a stored definition; undefined removes one. */
const withFields = (fields: object) => (value: string) =>
  JSON.stringify({ ...JSON.parse(value), ...fields });

/** Changes members of its identity. */
const withIdentity = (fields: object) => (value: string) => {
  const stored: { identity: object } = JSON.parse(value);
  return JSON.stringify({ ...stored, identity: { ...stored.identity, ...fields } });
};

const withRule = (fields: object) => (value: string) => {
  const stored: { rules: object[] } = JSON.parse(value);
  return JSON.stringify({ ...stored, rules: stored.rules.map((rule) => ({ ...rule, ...fields })) });
};

/** Changes the tag or slug, whichever it has. */
const withName = (name: string) => (value: string) => {
  const stored: object = JSON.parse(value);
  return JSON.stringify({ ...stored, ["slug" in stored ? "slug" : "tag"]: name });
};

const text = (value: string) => () => value;

const BROKEN = [
  ["an empty text", text("")],
  ["broken JSON", (value: string) => value.slice(0, -1)],
  ["null", text("null")],
  ["an array", text("[]")],
  ["a string", text('"q"')],
  ["an empty object", text("{}")],
  ["no identity", withFields({ identity: undefined })],
  ["an identity of another type", withFields({ identity: "abc" })],
  ["another name than its key", withName("other")],
  ["a blank name", withName("")],
  ["a field of a later version", withFields({ burst: 5 })],
  ["a member called __proto__", (value: string) => value.replace("{", '{"__proto__":{"a":1},')],
  ["a description of another type", withFields({ description: null })],
] as const;

const BROKEN_QUOTA = [
  ["blank rules", withFields({ rules: [] })],
  ["no rules", withFields({ rules: null })],
  ["a rule that is none", withFields({ rules: [null] })],
  ["a rule of a later version", withRule({ burst: 5 })],
  ["a period of a later version", withRule({ period: "decade" })],
  ["a window of a later version", withRule({ window: "sliding" })],
  ["a zone that this runtime does not know", withRule({ time_zone: "Mars/Olympus" })],
  ["a limit that is too large", withRule({ limit: 2 ** 60 })],
  ["a rule without identity", withRule({ name: "other" })],
  ["a rule of another scope", withRule({ scope: "product" })],
  ["another unit than its counters", withFields({ decimals: 2 })],
  ["blank identities", withIdentity({ uid: "" })],
  ["an identity with NUL", withIdentity({ uid: "a\0b" })],
  ["no identities of rules", withIdentity({ rules: [] })],
  ["a form that is no number", withIdentity({ rules: [{ name: "default", scope, uid: "a" }] })],
] as const;

/** A file with quotas `q` and `good`, 3 used of 5 in each, and warnings of later clients. */
async function brokenFile(key: string, change: (value: string) => string) {
  const path = newPath();
  const store = `sqlite:${path}`;
  const quota = { limit: 5, period: "day", scope } as const;
  const first = await clientWith(
    [
      { tag: "q", ...quota },
      { tag: "good", ...quota },
    ],
    { store, clock },
  );
  await first.product.environments.create("shop", { slug: "dev" });
  for (const quota_tag of ["q", "good"]) await use(first, { quota_tag, amount: 3 });
  await first.close();
  await rewrite(path, key, change);
  const warnings: string[] = [];
  const logger = { warn: (message: string) => void warnings.push(message) };
  return { client: new Ductape({ store, clock, logger }), warnings, path };
}

function use(ductape: Ductape, input: Partial<QuotaInput> = {}) {
  return ductape.processor.quota.run(inputOf({ subject: "u", ...input }));
}

const usedOf = (ductape: Ductape, quota_tag: string) =>
  use(ductape, { quota_tag, action: "check", amount: 0 });

describe("a stored quota that cannot be read", () => {
  const cases = [...BROKEN, ...BROKEN_QUOTA];
  it.each(cases)("for %s is named, stops no other, and can be replaced", async (_, change) => {
    const { client, warnings } = await brokenFile(KEYS.quota, change);
    await using ductape = client;
    const { quotas } = ductape.product;
    expect(await use(ductape, { quota_tag: "good" })).toMatchObject({ allowed: true, used: 4 });
    expect(warnings).toEqual([expect.stringContaining(`the stored definition ${KEYS.quota} `)]);
    for (const call of [() => use(ductape), () => quotas.fetch("shop", "q")]) {
      const fault = await faultOf(call);
      expect(fault).toMatchObject({ code: "VALIDATION", issues: [{ path: "quota_tag" }] });
      expect(fault.message).toMatch(/"q" cannot be read \(.+\); update or delete it$/);
    }
    expect((await quotas.fetchAll("shop")).map(({ tag }) => tag)).toEqual(["good"]);
    const partial = await faultOf(() => quotas.update("shop", "q", { limit: 6 }));
    expect(partial).toMatchObject({ code: "VALIDATION", issues: [{ path: "period" }] });
    const whole = { limit: 6, period: "day", scope } as const;
    const made = await quotas.update("shop", "q", { ...whole, if_revision: 2 });
    expect(made).toMatchObject({ tag: "q", revision: 3, rules: [{ limit: 6 }] });
    expect(await use(ductape)).toMatchObject({ allowed: true, limit: 6 });
    expect(warnings.length).toBe(1);
  });

  it.each(cases)("for %s can be deleted and made again, at zero", async (_, change) => {
    const { client } = await brokenFile(KEYS.quota, change);
    await using ductape = client;
    const { quotas } = ductape.product;
    const whole = { tag: "q", limit: 5, period: "day", scope } as const;
    expect(await faultOf(() => quotas.create("shop", whole))).toMatchObject({
      code: "ALREADY_EXISTS",
    });
    await quotas.delete("shop", "q");
    expect(await faultOf(() => use(ductape))).toMatchObject({ code: "QUOTA_NOT_FOUND" });
    await quotas.create("shop", whole);
    expect(await use(ductape)).toMatchObject({ used: 1 });
    expect(await usedOf(ductape, "good")).toMatchObject({ used: 3 });
  });

  it("keeps its counters when it is replaced, as long as its identity can be read", async () => {
    const { client } = await brokenFile(KEYS.quota, withRule({ burst: 5, limit: "?" }));
    await using ductape = client;
    const { quotas } = ductape.product;
    const unit = await faultOf(() =>
      quotas.update("shop", "q", { limit: 5, period: "day", scope, decimals: 2 }),
    );
    expect(unit.message).toContain("decimals: cannot change from 0 after creation");
    await quotas.update("shop", "q", { limit: 5, period: "day", scope });
    expect(await usedOf(ductape, "q")).toMatchObject({ used: 3, remaining: 2 });
    await quotas.update("shop", "q", { limit: 5, period: "day", scope: "product" });
    expect(await usedOf(ductape, "q")).toMatchObject({ used: 0 });
  });

  it("is set aside also by a client that has read it before", async () => {
    const { client, path, warnings } = await brokenFile(KEYS.quota, (value) => value);
    await using ductape = client;
    expect(await use(ductape)).toMatchObject({ used: 4 });
    await rewrite(path, KEYS.quota, text("{"));
    expect(await ductape.product.quotas.fetchAll("shop")).toHaveLength(1);
    expect(await faultOf(() => use(ductape))).toMatchObject({ code: "VALIDATION" });
    expect(warnings.length).toBe(1);
  });
});

describe("a stored environment that cannot be read", () => {
  const cases = [
    ...BROKEN,
    ["no mark of activity", withFields({ active: null })],
    ["a name of another type", withFields({ env_name: 1 })],
    ["an activity of another type", withFields({ active: "yes" })],
    ["a blank identity", withIdentity({ uid: "" })],
  ] as const;
  it.each(cases)("for %s is named, stops no other, and can be replaced", async (_, change) => {
    const { client, warnings } = await brokenFile(KEYS.environment, change);
    await using ductape = client;
    const { environments } = ductape.product;
    expect(await use(ductape, { env: "dev" })).toMatchObject({ allowed: true, used: 1 });
    expect(warnings).toEqual([expect.stringContaining(KEYS.environment)]);
    for (const call of [() => use(ductape), () => environments.fetch("shop", "prd")]) {
      const fault = await faultOf(call);
      expect(fault).toMatchObject({ code: "VALIDATION", issues: [{ path: "env" }] });
      expect(fault.message).toContain('"prd" cannot be read');
    }
    expect((await environments.fetchAll("shop")).map(({ slug }) => slug)).toEqual(["dev"]);
    const made = await environments.update("shop", "prd", { env_name: "Production" });
    expect(made).toMatchObject({ slug: "prd", env_name: "Production", active: true, revision: 3 });
    expect(await use(ductape)).toMatchObject({ allowed: true });
    await environments.delete("shop", "prd", { force: true });
    expect(await faultOf(() => use(ductape))).toMatchObject({ code: "ENVIRONMENT_NOT_FOUND" });
  });

  it.each([
    ["its identity can be read", withFields({ active: 1 })],
    ["it cannot", text("{")],
  ])("needs force to be deleted with counters in use, where %s", async (_, change) => {
    const { client } = await brokenFile(KEYS.environment, change);
    await using ductape = client;
    const { environments } = ductape.product;
    const refused = await faultOf(() => environments.delete("shop", "prd"));
    expect(refused).toMatchObject({ code: "VALIDATION", issues: [{ path: "options.force" }] });
    await environments.delete("shop", "prd", { force: true });
    await environments.create("shop", { slug: "prd" });
    expect(await usedOf(ductape, "q")).toMatchObject({ used: 0 });
  });

  it("keeps its counters, as long as its identity can be read", async () => {
    const { client } = await brokenFile(KEYS.environment, withFields({ active: 1 }));
    await using ductape = client;
    const { environments } = ductape.product;
    await environments.update("shop", "prd", {});
    expect(await usedOf(ductape, "q")).toMatchObject({ used: 3 });
  });
});

describe("a stored product that cannot be read", () => {
  const cases = BROKEN.filter(([name]) => !name.includes("identity"));
  it.each(cases)("for %s is named, stops no quota, and can be replaced", async (_, change) => {
    const { client, warnings } = await brokenFile(KEYS.product, change);
    await using ductape = client;
    const { product } = ductape;
    expect(await use(ductape)).toMatchObject({ allowed: true, used: 4 });
    expect(warnings).toEqual([expect.stringContaining(KEYS.product)]);
    expect(await faultOf(() => product.fetch("shop"))).toMatchObject({
      code: "VALIDATION",
      issues: [{ path: "product_tag" }],
    });
    expect(await product.fetchAll()).toEqual([]);
    await product.quotas.create("shop", { tag: "new", limit: 1, period: "day" });
    expect(await product.quotas.fetch("shop", "new")).toMatchObject({ revision: 1 });
    const refused = await faultOf(() => product.delete("shop"));
    expect(refused).toMatchObject({ code: "VALIDATION", issues: [{ path: "options.force" }] });
    const made = await product.update("shop", { name: "Shop" });
    expect(made).toMatchObject({ tag: "shop", name: "Shop", revision: 3 });
    expect(await use(ductape)).toMatchObject({ used: 5 });
  });

  it("can be deleted with all that is in it", async () => {
    const { client } = await brokenFile(KEYS.product, text("{"));
    await using ductape = client;
    await ductape.product.delete("shop", { force: true });
    await ductape.product.create({ tag: "shop" });
    expect(await ductape.product.quotas.fetchAll("shop")).toEqual([]);
    expect(await ductape.product.environments.fetchAll("shop")).toEqual([]);
  });
});

describe("a store with kinds that this version does not know", () => {
  it("is used as if nothing else was in it", async () => {
    const { client, path, warnings } = await brokenFile(KEYS.quota, (value) => value);
    await using ductape = client;
    for (const key of ["webhook/shop/a/", "webhook/other/a/", "nonsense", "", "quota", "//"]) {
      await rewrite(path, key, text("{}"));
    }
    expect(await use(ductape)).toMatchObject({ used: 4 });
    expect((await ductape.product.fetchAll()).map(({ tag }) => tag)).toEqual(["shop"]);
    expect(warnings.filter((warning) => warning.includes("webhook"))).toEqual([]);
  });

  it("is used even if the logger fails", async () => {
    const { client, path } = await brokenFile(KEYS.quota, text("{"));
    await client.close();
    const logger = {
      warn: () => {
        throw new Error("the logger is broken");
      },
    };
    await using ductape = new Ductape({ store: `sqlite:${path}`, clock, logger });
    expect(await use(ductape, { quota_tag: "good" })).toMatchObject({ used: 4 });
    expect(await faultOf(() => use(ductape))).toMatchObject({ code: "VALIDATION" });
  });

  it("needs a logger that can warn", () => {
    for (const logger of [1, "console", [], { warn: true }]) {
      const make = () => Reflect.construct(Ductape, [{ store: "memory:", logger }]);
      expect(make).toThrow(/^options.logger: expects an object with warn, got /);
    }
  });
});
