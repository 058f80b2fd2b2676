// What a configuration does not say of a definition that is there stays as it is.
import { describe, expect, it } from "vitest";
import { Ductape, type Configuration } from "ductape";

const RULES = [
  { name: "user", scope: "$Session{id}", limit: 5, period: "day", time_zone: "Europe/Paris" },
  { name: "all", limit: 50, period: "month", on_exceed: "allow", alerts: [0.8] },
] as const;

const FULL: Configuration = {
  products: [
    {
      tag: "shop",
      name: "The shop",
      description: "Sells",
      environments: [{ slug: "prd", env_name: "Production", active: false }],
      quotas: [
        { tag: "one", name: "One", limit: 5, period: "day", time_zone: "Asia/Tokyo", decimals: 2 },
        { tag: "two", rules: RULES },
      ],
      sessions: [
        { tag: "own", schema: { id: "u" }, selector: "$Session{id}", expiry: 7, period: "days" },
      ],
      caches: [{ tag: "fast", name: "Fast", expiry: 1_000 }],
    },
  ],
};

async function full(): Promise<Ductape> {
  const ductape = new Ductape({ store: "memory:" });
  await ductape.product.apply(FULL);
  return ductape;
}

const shop = (more: object): Configuration => ({ products: [{ tag: "shop", ...more }] });

describe("a second file", () => {
  it.each([
    {},
    { environments: [{ slug: "prd" }], sessions: [{ tag: "own" }] },
    { quotas: [{ tag: "one" }, { tag: "two" }] },
    { quotas: [{ tag: "one", limit: 5 }] },
    { quotas: [{ tag: "two", rules: [{ name: "user" }, { name: "all", limit: 50 }] }] },
    { caches: [{ tag: "fast", description: {} }], name: undefined },
  ])("that says less of the same changes nothing: %j", async (more) => {
    await using ductape = await full();
    const configuration: Configuration = Object(shop(more));
    const told = await ductape.product.apply(configuration);
    expect(told.changes.filter(({ action }) => action !== "keep")).toEqual([]);
    expect(await ductape.product.fetch("shop")).toMatchObject({ name: "The shop", revision: 1 });
  });

  it("changes the fields it names and keeps the rest", async () => {
    await using ductape = await full();
    const { changes } = await ductape.product.apply(
      shop({
        description: "Rents",
        environments: [{ slug: "prd", active: true }],
        quotas: [{ tag: "one", limit: 7 }],
        caches: [{ tag: "fast", expiry: 5 }],
      }),
    );
    expect(changes.flatMap(({ fields }) => fields)).toEqual([
      { field: "description", from: "Sells", to: "Rents" },
      { field: "active", from: false, to: true },
      { field: "rules[default].limit", from: 5, to: 7 },
      { field: "expiry", from: 1_000, to: 5 },
    ]);
    const one = await ductape.product.quotas.fetch("shop", "one");
    expect(one).toMatchObject({ name: "One", decimals: 2, rules: [{ time_zone: "Asia/Tokyo" }] });
  });

  it("replaces the list of rules, and rules of the same name keep fields left out", async () => {
    await using ductape = await full();
    const rules = [
      { name: "all", limit: 60, period: "month" },
      { name: "new", limit: 1, period: "hour" },
    ] as const;
    await ductape.product.apply(shop({ quotas: [{ tag: "two", rules }] }));
    const two = await ductape.product.quotas.fetch("shop", "two");
    expect(two.rules).toMatchObject([
      { name: "all", limit: 60, on_exceed: "allow", alerts: [0.8] },
      { name: "new", limit: 1, on_exceed: "reject", time_zone: "UTC" },
    ]);
  });

  it("reads a limit with its period as the only rule, and refuses one without", async () => {
    await using ductape = await full();
    const half = ductape.product.apply(shop({ quotas: [{ tag: "two", limit: 9 }] }));
    await expect(half).rejects.toMatchObject({
      issues: [{ path: "products[0].quotas[0].limit" }],
    });
    await ductape.product.apply(shop({ quotas: [{ tag: "two", limit: 9, period: "week" }] }));
    const { rules } = await ductape.product.quotas.fetch("shop", "two");
    expect(rules).toMatchObject([{ name: "default", limit: 9, scope: "product" }]);
  });

  it("keeps a product co-located, and makes new quotas of it so", async () => {
    await using ductape = new Ductape({ store: "memory:" });
    await ductape.product.apply(shop({ co_locate: true }));
    const quotas = [{ tag: "q", limit: 1, period: "day" }];
    const { changes } = await ductape.product.apply(shop({ quotas }));
    expect(changes.map(({ action }) => action)).toEqual(["keep", "create"]);
    expect(await ductape.product.fetch("shop")).toMatchObject({ co_locate: true });
  });

  it("names an issuer in place of sessions of our own, and back", async () => {
    await using ductape = await full();
    const outside = { issuer: "https://id.example", audience: "a", algorithms: ["RS256"] };
    const jwks = "https://id.example/keys";
    await ductape.product.apply(shop({ sessions: [{ tag: "own", ...outside, jwks }] }));
    const told = await ductape.product.sessions.fetch("shop", "own");
    expect(told).toMatchObject({ issuer: outside.issuer, schema: null, selector: "$Session{sub}" });
    const own = { schema: { id: "u" }, selector: "$Session{id}", expiry: 2 };
    await ductape.product.apply(shop({ sessions: [{ tag: "own", ...own }] }));
    expect(await ductape.product.sessions.fetch("shop", "own")).toMatchObject({
      issuer: null,
      jwks: null,
      expiry: 2,
    });
  });
});
