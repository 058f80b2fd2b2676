import { afterAll, describe, expect, it } from "vitest";
import {
  Ductape,
  StoreError,
  UncommittedError,
  type FeatureInput,
  type FeatureWork,
  type QuotaDefinition,
} from "ductape";
import { MemoryStore } from "../src/stores/memory/memory.js";
import { clientWith, faultOf, storeOver, temporaryFolder } from "./support.js";
import { testedStores } from "./tested.js";

const folder = temporaryFolder();
afterAll(folder.remove);

const WHERE = { product_tag: "shop", env: "prd" } as const;
const REQUESTS: QuotaDefinition = { tag: "requests", limit: 5, period: "day" };
const TOKENS: QuotaDefinition = { tag: "tokens", limit: 5_000, period: "month" };
const SUMMARISE: FeatureInput = {
  tag: "summarise",
  input: { pages: { type: "integer", min: 1 } },
  quotas: [
    { quota: "requests" },
    { quota: "tokens", amount: "$Input{pages} * 800", settle: "$Result{usage}{tokens}" },
  ],
  output: { summary: "$Result{text}", left: "$Quota{tokens}{remaining}" },
};
const CALL = { ...WHERE, feature_tag: "summarise", input: { pages: 3 } } as const;

async function shopWith(
  features: readonly FeatureInput[],
  options: Parameters<typeof clientWith>[1] = {},
  quotas: readonly QuotaDefinition[] = [REQUESTS, TOKENS],
): Promise<Ductape> {
  const ductape = await clientWith(quotas, { ...options, onStoreError: "throw" });
  for (const feature of features) await ductape.product.features.create("shop", feature);
  return ductape;
}

/** What is used and held of each quota. */
async function standing(ductape: Ductape, ...tags: readonly string[]) {
  const checks = tags.map((quota_tag) =>
    ductape.processor.quota.run({ ...WHERE, quota_tag, action: "check", amount: 0 }),
  );
  return (await Promise.all(checks)).map(({ used, held }) => [used, held]);
}

const both = (ductape: Ductape) => standing(ductape, "requests", "tokens");
const reply = (tokens: unknown, text = "short") => ({ text, usage: { tokens } });

const { stores, stop } = await testedStores();
afterAll(stop);
let places = 0;

describe.each(stores)("a feature on $name", ({ url }) => {
  it("holds its amounts while its handler runs, and charges what was used", async () => {
    await using ductape = new Ductape({ store: url(`feature${++places}`), timeoutMs: 10_000 });
    const { product, processor } = ductape;
    // On a cluster an atomic decision needs its counters in one place.
    await product.create({ tag: "shop", co_locate: true });
    await product.environments.create("shop", { slug: "prd" });
    for (const quota of [REQUESTS, TOKENS]) await product.quotas.create("shop", quota);
    await product.features.create("shop", SUMMARISE);
    const seen: unknown[] = [];
    ductape.features.handle("shop", "summarise", async ({ input, session, signal }) => {
      seen.push(input, session, signal.aborted, await both(ductape));
      if (input["pages"] === 2) throw new Error("no model");
      return reply(1_900);
    });
    const held = [
      [0, 1],
      [0, 2_400],
    ];
    const used = [
      [1, 0],
      [1_900, 0],
    ];
    const answer = await processor.feature.run(CALL);
    expect(seen.splice(0)).toEqual([{ pages: 3 }, null, false, held]);
    expect(answer).toMatchObject({
      allowed: true,
      code: "OK",
      ...WHERE,
      feature_tag: "summarise",
      output: { summary: "short", left: 3_100 },
      quotas: [
        { quota_tag: "requests", action: "commit", used: 1, held: 0 },
        { quota_tag: "tokens", action: "commit", used: 1_900, held: 0, remaining: 3_100 },
      ],
    });
    expect(answer).not.toHaveProperty("issues");
    expect(await both(ductape)).toEqual(used);
    const denied = await processor.feature.run({ ...CALL, input: { pages: 4 } });
    expect(denied).toMatchObject({ allowed: false, code: "QUOTA_EXCEEDED" });
    expect(seen).toEqual([]);
    await expect(processor.feature.run({ ...CALL, input: { pages: 2 } })).rejects.toThrow("model");
    expect(await both(ductape)).toEqual(used);
  });
});

describe("a feature", () => {
  it("is denied by any of its quotas, changes none, and its handler does not run", async () => {
    await using ductape = await shopWith([SUMMARISE]);
    let runs = 0;
    ductape.features.handle("shop", "summarise", () => runs++);
    const denied = await ductape.processor.feature.run({ ...CALL, input: { pages: 7 } });
    expect(denied).toMatchObject({
      allowed: false,
      code: "QUOTA_EXCEEDED",
      retry_after_ms: null,
      quotas: [
        { quota_tag: "requests", allowed: false, code: "NOT_APPLIED" },
        { quota_tag: "tokens", allowed: false, code: "QUOTA_EXCEEDED", amount: 5_600 },
      ],
    });
    expect(runs).toBe(0);
    expect(await both(ductape)).toEqual([
      [0, 0],
      [0, 0],
    ]);
  });

  it("releases everything if its handler throws, whose error is thrown as it is", async () => {
    await using ductape = await shopWith([SUMMARISE]);
    const own = new RangeError("the model is down");
    ductape.features.handle("shop", "summarise", () => {
      throw own;
    });
    await expect(ductape.processor.feature.run(CALL)).rejects.toBe(own);
    expect(await both(ductape)).toEqual([
      [0, 0],
      [0, 0],
    ]);
  });

  it.each<[unknown, string]>([
    [undefined, "$Result{usage}{tokens} leads nowhere; expects a number"],
    [reply("many"), '$Result{usage}{tokens} expects a finite number, got "many"'],
    [reply(-1), "expects a number from 0 to 9007199254740991, got -1 from"],
    [reply(Number.NaN), "$Result{usage}{tokens} expects a finite number, got NaN"],
    [reply(10.5), "expects an integer for quota"],
  ])("charges what was reserved, and says so, if the result is %j", async (result, message) => {
    await using ductape = await shopWith([SUMMARISE]);
    ductape.features.handle("shop", "summarise", () => result);
    const answer = await ductape.processor.feature.run(CALL);
    expect(answer).toMatchObject({
      allowed: true,
      issues: [
        { path: "quotas[1].settle", message: expect.stringContaining("charged what was reserved") },
      ],
    });
    expect(JSON.stringify(answer)).toContain(JSON.stringify(message).slice(1, -1));
    expect(await both(ductape)).toEqual([
      [1, 0],
      [2_400, 0],
    ]);
  });

  it("counts more than was reserved, and tells by how much the limit is passed", async () => {
    await using ductape = await shopWith([SUMMARISE]);
    ductape.features.handle("shop", "summarise", () => reply(6_000));
    const answer = await ductape.processor.feature.run(CALL);
    expect(answer.quotas[1]).toMatchObject({
      used: 6_000,
      overage: 1_000,
      exceeded: true,
      reservation: { charged: 6_000, held: 2_400, excess: 3_600 },
    });
  });

  it.each<[object, string, string]>([
    [{ input: undefined }, "input.pages", "is required: an integer"],
    [{ input: { pages: "3" } }, "input.pages", 'expects an integer, got "3"'],
    [{ input: { pages: 0 } }, "input.pages", "expects at least 1, got 0"],
    [{ input: { pages: 1.5 } }, "input.pages", "expects an integer, got 1.5"],
    [{ input: { pages: 1, page: 2 } }, "input.page", "is not a known field; did you mean pages?"],
    [{ input: [1] }, "input", "expects an object, got an array of 1"],
    [{ inputs: {} }, "inputs", "is not a known field; did you mean input?"],
    [{ env: "" }, "env", "expects at least one character, got an empty string"],
    [{ subject: 5 }, "subject", "expects a string or an object, got 5"],
    [{ session: { tag: "s" } }, "session.token", "expects a string, got undefined"],
  ])("refuses %j before anything is held", async (more, path, message) => {
    await using ductape = await shopWith([SUMMARISE]);
    ductape.features.handle("shop", "summarise", () => reply(1));
    const fault = await faultOf(ductape.processor.feature.run({ ...CALL, ...more }));
    expect([fault.code, fault.issues]).toEqual(["VALIDATION", [{ path, message }]]);
    expect(await both(ductape)).toEqual([
      [0, 0],
      [0, 0],
    ]);
  });

  it("names the expression whose amount is none, before anything is held", async () => {
    const amount = "100 - $Input{n}";
    const input = { n: { type: "number" } } as const;
    const quotas = [{ quota: "requests" }, { quota: "tokens", amount }];
    await using ductape = await shopWith([{ tag: "f", input, quotas }]);
    ductape.features.handle("shop", "f", () => 1);
    const run = (n: number) =>
      faultOf(ductape.processor.feature.run({ ...WHERE, feature_tag: "f", input: { n } }));
    expect((await run(101)).issues).toEqual([
      {
        path: "quotas[1].amount",
        message: 'expects a number from 0 to 9007199254740991, got -1 from "100 - $Input{n}"',
      },
    ]);
    expect((await run(0.5)).issues?.[0]).toMatchObject({
      path: "quotas[1].amount",
      message: expect.stringContaining('expects an integer for quota "tokens", got 99.5'),
    });
    expect(await both(ductape)).toEqual([
      [0, 0],
      [0, 0],
    ]);
  });

  it("names what is not defined, and a handler that is missing", async () => {
    const f = { tag: "f", quotas: [{ quota: "requests" }, { quota: "none" }] };
    await using ductape = await shopWith([f]);
    const run = (more: object = {}) =>
      faultOf(ductape.processor.feature.run({ ...WHERE, feature_tag: "f", ...more }));
    expect(await run()).toMatchObject({ code: "HANDLER_NOT_FOUND" });
    const takeBack = ductape.features.handle("shop", "f", () => 1);
    expect(await run()).toMatchObject({
      code: "QUOTA_NOT_FOUND",
      message: 'quotas[1].quota: product "shop" has no quota "none"',
    });
    expect(await run({ feature_tag: "g" })).toMatchObject({ code: "FEATURE_NOT_FOUND" });
    expect(await run({ env: "dev" })).toMatchObject({ code: "ENVIRONMENT_NOT_FOUND" });
    expect(await run({ product_tag: "x" })).toMatchObject({ code: "PRODUCT_NOT_FOUND" });
    expect(() => ductape.features.handle("shop", "f", () => 2)).toThrow(/has a handler/);
    takeBack();
    expect(await run()).toMatchObject({ code: "HANDLER_NOT_FOUND" });
  });

  it("lets a quota of allow_fail deny without refusing the call", async () => {
    const bonus: QuotaDefinition = { tag: "bonus", limit: 1, period: "day" };
    const quotas = [{ quota: "bonus", allow_fail: true }, { quota: "requests" }];
    const output = { bonus: "$Quota{bonus}{allowed}" };
    await using ductape = await shopWith([{ tag: "f", quotas, output }], {}, [bonus, REQUESTS]);
    ductape.features.handle("shop", "f", () => 1);
    const run = () => ductape.processor.feature.run({ ...WHERE, feature_tag: "f" });
    expect(await run()).toMatchObject({ allowed: true, output: { bonus: true } });
    expect(await run()).toMatchObject({ allowed: true, output: { bonus: false } });
    expect(await standing(ductape, "bonus", "requests")).toEqual([
      [1, 0],
      [2, 0],
    ]);
  });

  it("keeps its holds alive for as long as its handler runs", async () => {
    await using ductape = await shopWith([{ ...SUMMARISE, ttl_ms: 1_000 }]);
    ductape.features.handle("shop", "summarise", async () => {
      await new Promise((resolve) => setTimeout(resolve, 1_600));
      expect(await both(ductape)).toEqual([
        [0, 1],
        [0, 2_400],
      ]);
      return reply(10);
    });
    const { quotas } = await ductape.processor.feature.run(CALL);
    expect(quotas[1]).toMatchObject({ used: 10, reservation: { expired: false } });
  });

  it("gives the caller's signal to its handler, and releases if that gives up", async () => {
    await using ductape = await shopWith([SUMMARISE]);
    const controller = new AbortController();
    ductape.features.handle("shop", "summarise", ({ signal }: FeatureWork) => {
      controller.abort(new Error("gone"));
      signal.throwIfAborted();
    });
    const run = ductape.processor.feature.run(CALL, { signal: controller.signal });
    await expect(run).rejects.toThrow("gone");
    expect(await both(ductape)).toEqual([
      [0, 0],
      [0, 0],
    ]);
  });

  it("is asked to end by close, which waits until it is charged", async () => {
    const url = `sqlite:${folder.path}/closing.db`;
    const ductape = await shopWith([SUMMARISE], { store: url });
    const seen: string[] = [];
    const started = new Promise<void>((resolve) => {
      ductape.features.handle("shop", "summarise", async ({ signal }) => {
        signal.addEventListener("abort", () => seen.push(String(signal.reason.code)));
        resolve();
        while (seen.length === 0) await new Promise(setImmediate);
        return reply(7);
      });
    });
    const run = ductape.processor.feature.run(CALL);
    await started;
    const closing = ductape.close();
    expect(seen).toEqual(["STORE_UNAVAILABLE"]);
    expect(await run).toMatchObject({ allowed: true, output: { summary: "short" } });
    await closing;
    await using again = new Ductape({ store: url });
    expect(await both(again)).toEqual([
      [1, 0],
      [7, 0],
    ]);
  });

  it("keeps the output of work that the store did not let it charge", async () => {
    const inner = new MemoryStore(Date.now);
    let isDown = false;
    const store = storeOver(inner, {
      apply(plan, options) {
        const isCommit = plan.some(({ action }) => action === "commit");
        if (isDown && isCommit) {
          return Promise.reject(new StoreError("STORE_UNAVAILABLE", "the disk is full"));
        }
        return inner.apply(plan, options);
      },
    });
    await using ductape = await shopWith([SUMMARISE], { store });
    ductape.features.handle("shop", "summarise", () => {
      isDown = true;
      return reply(20);
    });
    const error = await faultOf(ductape.processor.feature.run(CALL));
    expect(error).toBeInstanceOf(UncommittedError);
    if (!(error instanceof UncommittedError)) return;
    expect(error).toMatchObject({ code: "STORE_UNAVAILABLE", output: { summary: "short" } });
    isDown = false;
    const { reservation } = error;
    const done = { ...WHERE, feature_tag: "summarise", reservation, result: reply(20) };
    expect(await ductape.processor.feature.commit(done)).toMatchObject({
      output: { summary: "short", left: 4_980 },
    });
    expect(await both(ductape)).toEqual([
      [1, 0],
      [20, 0],
    ]);
  }, 30_000);
});
