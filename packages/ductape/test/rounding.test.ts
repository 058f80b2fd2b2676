import { afterAll, describe, expect, it } from "vitest";
import type { Action, Decision, QuotaInput, Rounding } from "ductape";
import { amountText } from "../src/decide/amount.js";
import { decimalText, rounded } from "./paper.js";
import { clientWith, faultOf, inputOf, storeUrls, temporaryFolder } from "./support.js";

const folder = temporaryFolder();
afterAll(folder.remove);

/** Dollars for a token as public price lists have them: input, cached, output, embeddings. */
const PRICES = [
  1.5e-7, 7.5e-8, 6e-7, 2.5e-6, 1.25e-6, 1e-5, 1.1e-6, 5.5e-7, 4.4e-6, 2e-6, 5e-7, 8e-6, 4e-7, 1e-7,
  1.6e-6, 2.5e-8, 1.5e-5, 6e-5, 3e-6, 3.75e-6, 3e-7, 7.5e-5, 1.875e-5, 8e-7, 8e-8, 4e-6, 2.5e-7,
  1.25e-5, 3.125e-7, 3.5e-7, 1.05e-6, 1.75e-8, 7e-8, 2.7e-7, 1.4e-7, 2.8e-7, 2.19e-6, 5.9e-7,
  7.9e-7, 8.8e-7, 1.8e-7, 9e-7, 2e-8, 1.3e-7, 1e-8, 6.25e-7, 1.2e-6, 1.35e-6, 5.4e-6, 2.1875e-6,
];
const TOKENS = [1, 3, 7, 17, 77, 123, 333, 999, 1_234, 1_537, 4_097, 8_191, 12_345, 33_333, 65_537];
const COSTS = PRICES.flatMap((price) => TOKENS.map((tokens) => ({ price, tokens })));

const quotaOf = (decimals: number, rounding?: Rounding) =>
  ({ tag: "q", limit: 1_000, period: "month", decimals, rounding }) as const;

async function open(store: string, decimals: number, rounding?: Rounding) {
  const ductape = await clientWith([quotaOf(decimals, rounding)], { store });
  const run = async (input: Partial<QuotaInput>): Promise<Decision> => {
    const result = await ductape.processor.quota.run(inputOf(input));
    if (result.degraded) throw new Error("the store did not answer");
    return result;
  };
  const end = async () => {
    await ductape.product.delete("shop", { force: true });
    await ductape.close();
  };
  return { ductape, run, [Symbol.asyncDispose]: end };
}

describe.each(storeUrls(folder.path))("computed costs on %s", (store) => {
  it("are counted to the last digit with 12 decimals and rounding", async () => {
    await using quota = await open(store, 12, "nearest");
    const inputs = COSTS.map(({ price, tokens }) => inputOf({ amount: price * tokens }));
    const results = await quota.ductape.processor.quota.runAll(inputs);
    expect(results.filter((result) => result instanceof Error)).toEqual([]);
    const paper = COSTS.reduce(
      (sum, { price, tokens }) => sum + BigInt(tokens) * BigInt(Math.round(price * 1e12)),
      0n,
    );
    const { used, remaining } = await quota.run({ action: "check" });
    expect(amountText(used)).toBe(decimalText(paper, 12));
    expect(amountText(remaining ?? -1)).toBe(decimalText(10n ** 15n - paper, 12));
  });

  it.each([
    ["up", 2],
    ["up", 6],
    ["nearest", 6],
  ] as const)("are all counted, rounded %s at %i decimals", async (rounding, decimals) => {
    await using quota = await open(store, decimals, rounding);
    const inputs = COSTS.map(({ price, tokens }) => inputOf({ amount: price * tokens }));
    const results = await quota.ductape.processor.quota.runAll(inputs);
    expect(results.filter((result) => result instanceof Error)).toEqual([]);
    const paper = COSTS.reduce((sum, { price, tokens }) => {
      const over = BigInt(tokens) * BigInt(Math.round(price * 1e12));
      return sum + rounded({ over, under: 10n ** 12n }, decimals, rounding);
    }, 0n);
    const { used } = await quota.run({ action: "check" });
    expect(amountText(used)).toBe(decimalText(paper, decimals));
  });

  it("are refused if they are not exact, with both ways to have them counted", async () => {
    await using quota = await open(store, 2);
    const cases = [
      [0.1 + 0.2, 'set its rounding to "nearest" to count 0.3, or to "up" to count 0.3'],
      [
        0.0001851,
        'set its rounding to "nearest" to count 0, or to "up" to count 0.01, ' +
          "or make a new quota with 7 decimals",
      ],
      [
        1.5e-9,
        'set its rounding to "nearest" to count 0, or to "up" to count 0.01, ' +
          "or make a new quota with 10 decimals",
      ],
    ] as const;
    for (const [amount, ways] of cases) {
      for (const action of ["check", "increment", "decrement", "set", "grant"] as const) {
        const fault = await faultOf(quota.run({ action, amount }));
        expect(fault.message).toBe(
          `amount: expects at most 2 decimals for quota "q", got ${amount}; ${ways}`,
        );
      }
    }
    expect(await quota.run({ action: "check", amount: 0 })).toMatchObject({
      used: 0,
      limit: 1_000,
    });
  });
});

describe.each(storeUrls(folder.path))("rounding on %s", (store) => {
  it("counts the same number whatever the action, and returns it as the amount", async () => {
    await using quota = await open(store, 2, "up");
    const told = async (action: Action) => {
      const { amount, used, limit } = await quota.run({ action, amount: 0.001 + 0.3 });
      return [action, amount, used, limit];
    };
    expect(await told("check")).toEqual(["check", 0.31, 0, 1_000]);
    expect(await told("increment")).toEqual(["increment", 0.31, 0.31, 1_000]);
    expect(await told("increment")).toEqual(["increment", 0.31, 0.62, 1_000]);
    expect(await told("decrement")).toEqual(["decrement", 0.31, 0.31, 1_000]);
    expect(await told("set")).toEqual(["set", 0.31, 0.31, 1_000]);
    expect(await told("grant")).toEqual(["grant", 0.31, 0.31, 1_000.31]);
  });

  it("admits an amount that rounds to zero for free, but never with up", async () => {
    await using quota = await open(store, 2, "nearest");
    await quota.run({ action: "set", amount: 1_000 });
    const free = { allowed: true, amount: 0, used: 1_000 };
    expect(await quota.run({ amount: 0.004 })).toMatchObject(free);
    expect(await quota.run({ amount: 0.005 })).toMatchObject({ allowed: false, amount: 0.01 });
    await quota.ductape.product.quotas.update("shop", "q", { rounding: "up" });
    expect(await quota.run({ amount: 1e-9 })).toMatchObject({ allowed: false, amount: 0.01 });
  });

  it("may change at any time, when decimals may not", async () => {
    await using quota = await open(store, 2);
    const { quotas } = quota.ductape.product;
    const amount = 0.1 + 0.2;
    expect(await quotas.fetch("shop", "q")).toMatchObject({ decimals: 2, rounding: "exact" });
    expect(await faultOf(quota.run({ amount }))).toMatchObject({ code: "VALIDATION" });
    await quotas.update("shop", "q", { rounding: "nearest" });
    expect(await quota.run({ amount })).toMatchObject({ amount: 0.3, used: 0.3 });
    expect((await quotas.fetchAll("shop"))[0]).toMatchObject({ rounding: "nearest" });
    const fixed = await faultOf(quotas.update("shop", "q", { decimals: 12 }));
    expect(fixed.issues?.map(({ path }) => path)).toEqual(["decimals"]);
    await quotas.update("shop", "q", { rounding: null });
    expect(await faultOf(quota.run({ amount }))).toMatchObject({ code: "VALIDATION" });
  });

  it("makes retries with other noise the same call", async () => {
    await using quota = await open(store, 2, "nearest");
    const idempotency_key = "k";
    await quota.run({ amount: 0.1 + 0.2, idempotency_key });
    const again = await quota.run({ amount: 0.3, idempotency_key });
    expect(again).toMatchObject({ replayed: true, amount: 0.3, used: 0.3 });
    expect(await faultOf(quota.run({ amount: 0.31, idempotency_key }))).toMatchObject({
      code: "IDEMPOTENCY_CONFLICT",
    });
  });
});

describe("decimals", () => {
  it("are taken as far as the limit leaves room, else both bounds are named", async () => {
    await using ductape = await clientWith([]);
    const create = (limit: number, decimals: number) =>
      ductape.product.quotas.create("shop", {
        tag: `${limit}-${decimals}`,
        limit,
        decimals,
        period: "day",
      });
    await create(9_007, 12);
    await create(Number("9007.199254740991"), 12);
    await create(9_000_000_000, 6);
    const tooLarge = await faultOf(create(10_000, 12));
    expect(tooLarge.message).toBe(
      "limit: got 10000: expects at most 9007.199254740991 with 12 decimals; " +
        "a limit of 10000 leaves room for 11",
    );
    expect((await faultOf(create(2 ** 53 - 1, 1))).message).toContain("leaves room for 0");
    expect((await faultOf(create(2 ** 53, 12))).message).not.toContain("room");
    const tooMany = await faultOf(create(1, 13));
    expect(tooMany.message).toBe("decimals: expects an integer from 0 to 12, got 13");
    expect((await faultOf(create(0.1 + 0.2, 12))).message).toContain("at most 12 decimals");
    const limit = { by: "$Session{plan}", values: { free: 1, pro: 9_008 }, default: 1 };
    const plans = ductape.product.quotas.create("shop", {
      tag: "p",
      limit,
      decimals: 12,
      period: "day",
    });
    expect((await faultOf(plans)).issues?.map(({ path }) => path)).toEqual(["limit.values.pro"]);
  });

  it.each(["set", "grant", "increment"] as const)("bound what %s takes", async (action) => {
    await using quota = await open("memory:", 12);
    const fault = await faultOf(quota.run({ action, amount: 10_000 }));
    expect(fault.message).toBe(
      'amount: expects at most 9007.199254740991, as quota "q" counts 12 decimals, got 10000',
    );
  });

  it("bound the counter, which is named in units of the quota", async () => {
    await using ductape = await clientWith([
      { tag: "q", limit: null, period: "month", decimals: 12 },
    ]);
    const { quota } = ductape.processor;
    await quota.run(inputOf({ amount: 9_000 }));
    expect((await faultOf(quota.run(inputOf({ amount: 8 })))).message).toBe(
      "amount: would take the counter past 9007.199254740991, got 8",
    );
  });

  it("shows 12 of them to people, too", async () => {
    await using quota = await open("memory:", 12);
    await quota.run({ amount: 1.5e-7 });
    const fault = await faultOf(quota.ductape.processor.quota.enforce(inputOf({ amount: 1_000 })));
    expect(fault.message).toContain("0.00000015 of 1000 used");
  });

  it("reads -0 as 0", async () => {
    await using quota = await open("memory:", 0);
    expect(Object.is((await quota.run({ action: "set", amount: -0 })).used, 0)).toBe(true);
  });
});
