import { afterAll, describe, expect, it } from "vitest";
import {
  Ductape,
  type Decision,
  type Patch,
  type EnvironmentInput,
  type QuotaInput,
  type Store,
} from "ductape";
import { manualClock } from "ductape/testing";
import { MemoryStore } from "../src/stores/memory/memory.js";
import { openStore } from "../src/stores/url.js";
import {
  contextOf,
  callAny,
  clientWith,
  faultOf,
  inputOf,
  storeUrls,
  temporaryFolder,
} from "./support.js";

const folder = temporaryFolder();
afterAll(folder.remove);
const URLS = storeUrls(folder.path);

const DAY_MS = 86_400_000;
const QUOTA = { tag: "q", limit: 5, period: "day" } as const;
const OF_ROLLING = { tag: "rolling", limit: 5, period: "day", window: "rolling" } as const;
const clock = manualClock("2026-05-15T12:00:00Z");

const OF_USERS = { tag: "users", limit: 5, period: "day", scope: "$Session{userId}" } as const;

let files = 0;
const newStore = (url: string) =>
  openStore(url.replace("store.db", `${files++}.db`), contextOf(clock));

async function open(url: string, store: Store = newStore(url)) {
  const ductape = await clientWith([QUOTA, OF_ROLLING], { store, clock });
  await ductape.product.environments.create("shop", { slug: "dev" });
  return ductape;
}

async function run(ductape: Ductape, input: Partial<QuotaInput> = {}): Promise<Decision> {
  const result = await ductape.processor.quota.run(inputOf(input));
  return result;
}

const check = (ductape: Ductape, input: Partial<QuotaInput> = {}) =>
  run(ductape, { ...input, action: "check" });

const IN_USE = { code: "VALIDATION", issues: [{ path: "options.force" }] };

async function countersOf(store: Store): Promise<string[]> {
  const keys: string[] = [];
  for await (const { space, subject } of store.scan("")) keys.push(`${space}${subject}`);
  return keys;
}

/** A file forgets a few rows with each new counter. */
async function expectForgotten(ductape: Ductape, store: Store, keys: readonly string[]) {
  await ductape.product.quotas.create("shop", OF_USERS);
  for (let i = 0; i < 9; i++) await run(ductape, { quota_tag: "users", subject: `u${i}` });
  const left = await countersOf(store);
  expect(left).toHaveLength(9);
  expect(left.filter((key) => keys.includes(key))).toEqual([]);
}

/** What is deleted with the environment `prd`, and how it is made again. */
const HOLDERS = [
  {
    name: "an environment",
    remove: ({ product }: Ductape, options?: unknown) =>
      callAny(product.environments, "delete", "shop", "prd", options),
    remake: ({ product }: Ductape) => product.environments.create("shop", { slug: "prd" }),
  },
  {
    name: "a product",
    remove: ({ product }: Ductape, options?: unknown) =>
      callAny(product, "delete", "shop", options),
    remake: async ({ product }: Ductape) => {
      await product.create({ tag: "shop" });
      await product.environments.create("shop", { slug: "prd" });
      for (const quota of [QUOTA, OF_ROLLING]) await product.quotas.create("shop", quota);
    },
  },
];
const CASES = HOLDERS.flatMap((holder) => URLS.map((url) => [holder.name, url, holder] as const));

describe.each(CASES)("%s with counters, on %s", (_, url, { remove, remake }) => {
  it.each<[string, Partial<QuotaInput>]>([
    ["an amount in its window", { amount: 1 }],
    ["an amount in a rolling window", { amount: 1, quota_tag: "rolling" }],
    ["a grant", { action: "grant", amount: 1 }],
  ])("in use, by %s, is deleted by force only", async (__, input) => {
    await using ductape = await open(url);
    await run(ductape, input);
    const { quota_tag = "q" } = input;
    const before = await check(ductape, { quota_tag });
    for (const options of [undefined, {}, { force: false }, { force: {} }, { force: undefined }]) {
      const fault = await faultOf(() => remove(ductape, options));
      expect(fault).toMatchObject(IN_USE);
      expect(fault.message).toContain("has counters in use; pass { force: true }");
    }
    expect(await check(ductape, { quota_tag })).toEqual(before);
    expect(await remove(ductape, { force: true })).toBeUndefined();
    expect((await faultOf(() => run(ductape))).code).toMatch(/^(PRODUCT|ENVIRONMENT)_NOT_FOUND$/);
  });

  it("of the past, or set back to zero, needs no force", async () => {
    await using ductape = await open(url);
    await run(ductape, { amount: 3 });
    await run(ductape, { quota_tag: "rolling" });
    clock.advance(DAY_MS);
    await run(ductape, { amount: 3 });
    await run(ductape, { action: "reset" });
    await remove(ductape);
    expect((await faultOf(() => run(ductape))).code).toMatch(/_NOT_FOUND$/);
  });

  it("starts at zero when it is made again, also for idempotency keys", async () => {
    await using ductape = await open(url);
    const keyed = { amount: 4, idempotency_key: "k" };
    await run(ductape, keyed);
    await run(ductape, { quota_tag: "rolling", amount: 4 });
    await remove(ductape, { force: true });
    await remake(ductape);
    expect(await check(ductape)).toMatchObject({ used: 0, limit: 5 });
    expect(await check(ductape, { quota_tag: "rolling" })).toMatchObject({ used: 0 });
    expect(await run(ductape, keyed)).toMatchObject({ used: 4, replayed: false });
    // Counters that were forgotten are in nobody's way.
    await run(ductape, { action: "reset" });
    await remove(ductape);
  });

  it("takes its counters with it", async () => {
    const store = newStore(url);
    await using ductape = await open(url, store);
    await run(ductape);
    await run(ductape, { quota_tag: "rolling" });
    const before = await countersOf(store);
    expect(before).toHaveLength(2);
    await remove(ductape, { force: true });
    await remake(ductape);
    await expectForgotten(ductape, store, before);
  });

  it("is not deleted with options that are wrong", async () => {
    await using ductape = await open(url);
    const wrong = [{ force: 1 }, { force: "true" }, { force: null }, { forse: true }, 1, "force"];
    for (const options of wrong) {
      const fault = await faultOf(() => remove(ductape, options));
      expect(fault.code).toBe("VALIDATION");
      expect(fault.issues?.[0]?.path).toMatch(/^options/);
    }
    expect(await check(ductape)).toMatchObject({ used: 0 });
  });
});

describe.each(URLS)("a quota on %s", (url) => {
  it("is deleted with its counters in use, and created again at zero", async () => {
    const store = newStore(url);
    await using ductape = await open(url, store);
    const keyed = { amount: 4, idempotency_key: "k" };
    for (const env of ["prd", "dev"]) await run(ductape, { ...keyed, env });
    const before = await countersOf(store);
    await ductape.product.quotas.delete("shop", "q");
    expect(await faultOf(() => run(ductape))).toMatchObject({ code: "QUOTA_NOT_FOUND" });
    await ductape.product.quotas.create("shop", QUOTA);
    expect(await check(ductape)).toMatchObject({ used: 0 });
    await expectForgotten(ductape, store, before);
    expect(await run(ductape, keyed)).toMatchObject({ used: 4, replayed: false });
  });
});

describe.each(URLS)("an environment on %s", (url) => {
  const update = (ductape: Ductape, patch: Patch<EnvironmentInput>) =>
    ductape.product.environments.update("shop", "prd", patch);

  it("that is inactive refuses every action, and comes back as it was", async () => {
    await using ductape = await open(url);
    await run(ductape, { amount: 2 });
    await run(ductape, { action: "grant", amount: 1 });
    const before = await check(ductape);
    await update(ductape, { active: false });
    const actions: Partial<QuotaInput>[] = [
      { action: "check" },
      { action: "increment" },
      { action: "decrement" },
      { action: "set", amount: 1 },
      { action: "reset" },
      { action: "grant", amount: 1 },
      { action: "increment", amount: 0 },
      { action: "check", quota_tag: "nobody" },
    ];
    const inactive = { code: "ENVIRONMENT_INACTIVE", retryable: false };
    for (const input of actions) {
      const fault = await faultOf(() => run(ductape, input));
      expect(fault).toMatchObject(inactive);
      expect(fault.message).toContain('"prd" of product "shop" is not active');
    }
    const { quota } = ductape.processor;
    const inputs = [inputOf({ env: "dev" }), inputOf()];
    expect(await faultOf(() => quota.runAll(inputs, { atomic: true }))).toMatchObject(inactive);
    const [dev, prd] = await quota.runAll(inputs);
    expect(dev).toMatchObject({ used: 1 });
    expect(prd).toMatchObject(inactive);
    expect(await update(ductape, { active: {} })).toMatchObject({ active: false });
    expect(await update(ductape, { active: null })).toMatchObject({ active: true });
    expect(await check(ductape)).toEqual(before);
  });

  it("is deleted whatever another one counts, and leaves it alone", async () => {
    await using ductape = await open(url);
    await run(ductape, { env: "dev", amount: 3 });
    await ductape.product.environments.delete("shop", "prd");
    expect(await faultOf(() => run(ductape))).toMatchObject({ code: "ENVIRONMENT_NOT_FOUND" });
    expect(await check(ductape, { env: "dev" })).toMatchObject({ used: 3 });
  });

  it("whose product is not there is not there either", async () => {
    await using ductape = await open(url);
    const { environments, quotas } = ductape.product;
    for (const product of ["other", "", "SHOP", "__proto__", "x".repeat(10_000)]) {
      const calls = [
        () => environments.create(product, { slug: "prd" }),
        () => environments.update(product, "prd", {}),
        () => environments.fetch(product, "prd"),
        () => environments.fetchAll(product),
        () => environments.delete(product, "prd"),
        () => quotas.create(product, QUOTA),
        () => quotas.update(product, "q", {}),
        () => quotas.fetch(product, "q"),
        () => quotas.fetchAll(product),
        () => quotas.delete(product, "q"),
        () => ductape.product.delete(product),
      ];
      for (const call of calls) {
        const fault = await faultOf(call);
        expect(fault).toMatchObject({ code: "PRODUCT_NOT_FOUND", retryable: false });
        expect(fault.message.length).toBeLessThan(200);
      }
    }
    for (const product of [undefined, null, 1, {}, Symbol("shop")]) {
      const fault = await faultOf(() => callAny(quotas, "fetchAll", product));
      expect(fault.code).toBe("PRODUCT_NOT_FOUND");
    }
  });
});

/** A memory store that does something else right before its next write. */
class RacedStore extends MemoryStore {
  before: (() => Promise<unknown>) | null = null;

  constructor() {
    super(Date.now);
    const { write } = this.documents;
    this.documents.write = async (...args) => {
      const { before } = this;
      this.before = null;
      await before?.();
      return write.call(this.documents, ...args);
    };
  }
}

describe("a product that is deleted while something is made in it", () => {
  const made = [
    ["a quota", (c: Ductape) => c.product.quotas.create("shop", { ...QUOTA, tag: "late" })],
    ["an environment", (c: Ductape) => c.product.environments.create("shop", { slug: "late" })],
  ] as const;

  it.each(made)("is made again without %s of the past", async (_, make) => {
    const store = new RacedStore();
    await using ductape = await clientWith([QUOTA], { store, clock });
    await using other = new Ductape({ store, clock });
    store.before = () => make(other);
    await ductape.product.delete("shop");
    for (const client of [ductape, other]) {
      expect(await faultOf(() => client.product.fetch("shop"))).toMatchObject({
        code: "PRODUCT_NOT_FOUND",
      });
    }
    await ductape.product.create({ tag: "shop" });
    expect(await ductape.product.quotas.fetchAll("shop")).toEqual([]);
    expect(await ductape.product.environments.fetchAll("shop")).toEqual([]);
    await make(other);
  });

  it.each(made)("takes %s with it that was made first, or refuses it", async (_, make) => {
    const store = new RacedStore();
    await using ductape = await clientWith([QUOTA], { store, clock });
    await using other = new Ductape({ store, clock });
    store.before = () => ductape.product.delete("shop");
    expect(await faultOf(() => make(other))).toMatchObject({ code: "PRODUCT_NOT_FOUND" });
    const { changes } = await store.documents.changes(0);
    expect(changes.filter(({ value }) => value !== null)).toEqual([]);
    expect(await ductape.product.fetchAll()).toEqual([]);
  });
});
