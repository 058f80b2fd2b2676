import { afterAll, describe, expect, it } from "vitest";
import { Ductape, type Configuration, type DefinitionChange } from "ductape";
import { faultOf, inputOf } from "./support.js";
import { testedStores } from "./tested.js";

const { stores, stop } = await testedStores();
afterAll(stop);

const rule = (name: string, limit: number) =>
  ({ name, scope: "$Session{userId}", limit, period: "day" }) as const;

/** A product as a file may have it. */
const SHOP = {
  tag: "shop",
  environments: [{ slug: "prd" }, { slug: "dev", active: false }],
  quotas: [
    { tag: "q", limit: 5, period: "lifetime" },
    { tag: "users", rules: [rule("user", 10), rule("burst", 3)] },
  ],
  sessions: [{ tag: "login", schema: { userId: "u" }, selector: "$Session{userId}", expiry: 7 }],
  caches: [{ tag: "c", name: "C", expiry: 1_000 }],
  features: [{ tag: "f", quotas: [{ quota: "q", amount: 2 }], ttl_ms: 5_000 }],
} as const satisfies Configuration["products"][number];

const actions = (changes: readonly DefinitionChange[]) =>
  changes.map(({ kind, id, action }) => `${action} ${kind} ${id}`);

let places = 0;

describe.each(stores)("a configuration on $name", ({ url }) => {
  const newClient = () => new Ductape({ store: url(`apply${++places}`), timeoutMs: 10_000 });
  /** All definitions, with their revisions. */
  const all = async ({ product }: Ductape) => {
    const kinds = [
      product.environments,
      product.quotas,
      product.sessions,
      product.caches,
      product.features,
    ];
    const products = await product.fetchAll();
    const parts = await Promise.all(
      products.flatMap(({ tag }) => kinds.map((kind) => kind.fetchAll(tag))),
    );
    return [products, ...parts];
  };

  it("makes all that is missing, and then changes nothing", async () => {
    await using ductape = newClient();
    const made = await ductape.product.apply({ products: [SHOP] });
    expect(made.applied).toBe(true);
    const ids = ["product shop", "environment prd", "environment dev", "quota q", "quota users"];
    const names = [...ids, "session login", "cache c", "feature f"];
    expect(actions(made.changes)).toEqual(names.map((name) => `create ${name}`));
    expect(await ductape.processor.quota.run(inputOf())).toMatchObject({ used: 1, limit: 5 });
    const before = await all(ductape);
    const again = await ductape.product.apply({ products: [SHOP] });
    expect(again.applied).toBe(false);
    expect(actions(again.changes)).toEqual(names.map((name) => `keep ${name}`));
    expect(await all(ductape)).toEqual(before);
  });

  it("changes what differs, and keeps counters and what it does not name", async () => {
    await using ductape = newClient();
    await ductape.product.apply({ products: [SHOP] });
    await ductape.product.quotas.create("shop", { tag: "other", limit: 1, period: "day" });
    await ductape.processor.quota.run({ ...inputOf(), amount: 2 });
    const quotas = [
      { tag: "q", name: "Calls", limit: 3, period: "lifetime" },
      { tag: "users", rules: [rule("user", 20), rule("burst", 3)] },
    ] as const;
    const { changes } = await ductape.product.apply({ products: [{ tag: "shop", quotas }] });
    expect(changes).toEqual([
      { kind: "product", product_tag: "shop", id: "shop", action: "keep", fields: [] },
      {
        kind: "quota",
        product_tag: "shop",
        id: "q",
        action: "update",
        fields: [
          { field: "name", from: "q", to: "Calls" },
          { field: "rules[default].limit", from: 5, to: 3 },
        ],
      },
      {
        kind: "quota",
        product_tag: "shop",
        id: "users",
        action: "update",
        fields: [{ field: "rules[user].limit", from: 10, to: 20 }],
      },
    ]);
    expect(await ductape.processor.quota.run(inputOf())).toMatchObject({ used: 3, limit: 3 });
    expect(await ductape.processor.quota.run(inputOf())).toMatchObject({ allowed: false });
    const tags = (await ductape.product.quotas.fetchAll("shop")).map(({ tag }) => tag);
    expect(tags).toEqual(["other", "q", "users"]);
    expect(await ductape.product.environments.fetchAll("shop")).toHaveLength(2);
  });

  it("carries the counters of a changed window over", async () => {
    await using ductape = newClient();
    await ductape.product.apply({ products: [SHOP] });
    await ductape.processor.quota.run({ ...inputOf(), amount: 2 });
    const quotas = [{ tag: "q", limit: 5, period: "month" }] as const;
    await ductape.product.apply({ products: [{ tag: "shop", quotas }] });
    const check = { ...inputOf(), action: "check", amount: 0 } as const;
    expect(await ductape.processor.quota.run(check)).toMatchObject({ used: 2 });
  });

  it("reports in a dry run what would change, and changes nothing", async () => {
    await using ductape = newClient();
    const dry = await ductape.product.apply({ products: [SHOP] }, { dry_run: true });
    expect(dry.applied).toBe(false);
    expect(dry.changes).toHaveLength(8);
    expect(await ductape.product.fetchAll()).toEqual([]);
    expect((await ductape.product.apply({ products: [SHOP] })).changes).toEqual(dry.changes);
  });

  it("changes nothing if a part of it is wrong, and names each mistake by its path", async () => {
    await using ductape = newClient();
    await ductape.product.apply({ products: [SHOP] });
    const before = await all(ductape);
    const wrong = {
      products: [
        { ...SHOP, name: "Changed", quotas: [...SHOP.quotas, { tag: "r", limit: -1 }] },
        { tag: "second", environments: [{ slug: "" }], caches: {}, quotas: [{ tag: "q" }, 7] },
      ],
    };
    // As it comes from a file, whose form nobody has checked.
    const fault = await faultOf(ductape.product.apply(JSON.parse(JSON.stringify(wrong))));
    expect(fault.code).toBe("VALIDATION");
    expect(fault.issues?.map(({ path }) => path)).toEqual([
      "products[1].quotas[1]",
      "products[0].quotas[2].limit",
      "products[0].quotas[2].period",
      "products[1].environments[0].slug",
      "products[1].quotas[0].limit",
      "products[1].quotas[0].period",
    ]);
    expect(await all(ductape)).toEqual(before);
  });

  it.each([
    [7, "configuration"],
    [{}, "products"],
    [{ products: {} }, "products"],
    [{ products: [], product: 1 }, "product"],
    [{ products: [7] }, "products[0]"],
    [{ products: [{ tag: "a", quota: [] }] }, "products[0].quota"],
    [{ products: [{ tag: "a" }, { tag: "a" }] }, "products[1].tag"],
    [{ products: [{ tag: "a", caches: 7 }] }, "products[0].caches"],
    [
      { products: [{ tag: "a", environments: [{ slug: "e" }, { slug: "e" }] }] },
      "products[0].environments[1].slug",
    ],
  ])("refuses %j at %s", async (input, path) => {
    await using ductape = newClient();
    const fault = await faultOf(ductape.product.apply(JSON.parse(JSON.stringify(input))));
    expect(fault.issues?.map((issue) => issue.path)).toEqual([path]);
    expect(await ductape.product.fetchAll()).toEqual([]);
  });

  it("gives a deleted product nothing of what it had", async () => {
    await using ductape = newClient();
    await ductape.product.apply({ products: [SHOP] });
    await ductape.processor.quota.run(inputOf());
    await ductape.product.delete("shop", { force: true });
    await ductape.product.apply({ products: [SHOP] });
    expect(await ductape.processor.quota.run(inputOf())).toMatchObject({ used: 1 });
  });

  it("is applied whole by one of two clients after the other", async () => {
    const store = url(`apply${++places}`);
    await using one = new Ductape({ store, timeoutMs: 10_000 });
    await using two = new Ductape({ store, timeoutMs: 10_000 });
    const configuration = (n: number): Configuration => ({
      products: [{ ...SHOP, name: `n${n}`, quotas: [{ tag: "q", limit: n, period: "day" }] }],
    });
    await Promise.all(
      [one, two].flatMap(({ product }, client) =>
        [1, 2, 3, 4, 5].map((n) => product.apply(configuration(10 * client + n))),
      ),
    );
    const limit = (await one.product.quotas.fetch("shop", "q")).rules[0]?.limit;
    expect(await one.product.fetch("shop")).toMatchObject({ name: `n${String(limit)}` });
  });
});
