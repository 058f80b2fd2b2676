import { afterAll, describe, expect, it } from "vitest";
import { Ductape, type BoundInput, type Decision, type QuotaInput } from "ductape";
import { manualClock } from "ductape/testing";
import { clientWith, faultOf, storeUrls, temporaryFolder } from "./support.js";

const folder = temporaryFolder();
afterAll(() => folder.remove());

const TARGET = { product_tag: "shop", env: "prd", quota_tag: "q" };
const QUOTA = { tag: "q", limit: 10, period: "day", scope: "$Session{userId}" } as const;
const START = "2026-03-10T12:00:00Z";
let places = 0;

/** The same calls by a bound quota and by whole inputs, each on a store of its own. */
async function both(url: string) {
  const clock = manualClock(START);
  const place = () => (url === "memory:" ? url : `${url}${places++}`);
  const [one, other] = [
    await clientWith([QUOTA], { store: place(), clock }),
    await clientWith([QUOTA], { store: place(), clock }),
  ];
  const bound = one.quota(TARGET);
  const run = (action: QuotaInput["action"], rest: BoundInput): Promise<Decision> =>
    other.processor.quota.run({ ...TARGET, ...rest, action });
  return { bound, run, one, other };
}

describe.each(storeUrls(folder.path))("a bound quota on %s", (url) => {
  it("decides each action as the whole input does", async () => {
    const { bound, run, one, other } = await both(url);
    const who = { subject: "ada" };
    const change = { ...who, amount: 3 };
    expect(await bound.check(who)).toEqual(await run("check", who));
    expect(await bound.increment(change)).toEqual(await run("increment", change));
    expect(await bound.decrement(who)).toEqual(await run("decrement", who));
    expect(await bound.grant(change)).toEqual(await run("grant", change));
    expect(await bound.set(change)).toEqual(await run("set", change));
    const keyed = { ...who, amount: 11, idempotency_key: "k" };
    const denied = await bound.increment(keyed);
    expect(denied).toEqual(await run("increment", keyed));
    expect(denied).toMatchObject({ allowed: false, used: 3, limit: 13 });
    expect(await bound.increment(keyed)).toMatchObject({ replayed: true, allowed: false });
    expect(await bound.reset(who)).toMatchObject({ used: 0, previous_used: 3 });
    expect(await bound.reset({ subject: "bob", cache: undefined })).toMatchObject({ used: 0 });
    await Promise.all([one.close(), other.close()]);
  });
});

describe("a bound quota", () => {
  it("follows its definition: created later, changed, deleted", async () => {
    await using ductape = await clientWith([], { clock: manualClock(START) });
    const bound = ductape.quota(TARGET);
    expect(await faultOf(bound.increment({ subject: "ada" }))).toMatchObject({
      code: "QUOTA_NOT_FOUND",
    });
    await ductape.product.quotas.create("shop", QUOTA);
    expect(await bound.increment({ subject: "ada" })).toMatchObject({ limit: 10, used: 1 });
    await ductape.product.quotas.update("shop", "q", { limit: 1 });
    expect(await bound.increment({ subject: "ada" })).toMatchObject({ allowed: false, limit: 1 });
    await ductape.product.environments.update("shop", "prd", { active: false });
    expect(await faultOf(bound.check({ subject: "ada" }))).toMatchObject({
      code: "ENVIRONMENT_INACTIVE",
    });
    await ductape.product.environments.update("shop", "prd", { active: true });
    expect(await bound.check({ subject: "ada" })).toMatchObject({ allowed: false });
    await ductape.product.quotas.delete("shop", "q");
    expect(await faultOf(bound.check({ subject: "ada" }))).toMatchObject({
      code: "QUOTA_NOT_FOUND",
    });
  });

  it("finds out at each call whether its cache still exists", async () => {
    await using ductape = await clientWith([QUOTA], { clock: manualClock(START) });
    await ductape.product.caches.create("shop", { tag: "c", expiry: 1_000 });
    const bound = ductape.quota(TARGET);
    const cached = { subject: "ada", cache: "c" };
    expect(await bound.check(cached)).toMatchObject({ source: "store" });
    expect(await bound.check(cached)).toMatchObject({ source: "cache" });
    await ductape.product.caches.delete("shop", "c");
    expect(await faultOf(bound.check(cached))).toMatchObject({ code: "CACHE_NOT_FOUND" });
  });

  it("refuses names that no quota can have, and fields that it does not know", async () => {
    await using ductape = await clientWith([QUOTA], {});
    const bad: unknown = { ...TARGET, env: "", colour: "red" };
    const bind: (target: never) => unknown = (target) => ductape.quota(target);
    expect(() => Reflect.apply(bind, null, [bad])).toThrow(/colour: is not a known field.*env:/s);
    const bound = ductape.quota(TARGET);
    const increment: (input: never) => Promise<unknown> = (input) => bound.increment(input);
    const refused = async (input: unknown) =>
      faultOf(Promise.resolve(Reflect.apply(increment, null, [input])));
    expect(await refused({ subject: "ada", env: "dev" })).toMatchObject({
      code: "VALIDATION",
      issues: [{ path: "env", message: "is not given here: the bound quota has it" }],
    });
    expect(await refused({ subject: "ada", amout: 2 })).toMatchObject({
      issues: [{ path: "amout", message: "is not a known field; did you mean amount?" }],
    });
    expect(await refused({ subject: "ada", amount: -1 })).toMatchObject({
      issues: [{ path: "amount" }],
    });
    expect(await refused(null)).toMatchObject({ issues: [{ path: "input" }] });
  });

  it("answers by the policy of its client while the store cannot", async () => {
    const store = "postgres://127.0.0.1:1/none";
    await using ductape = new Ductape({
      store,
      onStoreError: "allow",
      timeoutMs: 500,
      logger: { warn: () => undefined },
    });
    const answer = await ductape.quota(TARGET).increment({ subject: "ada" });
    expect(answer).toMatchObject({ allowed: true, degraded: true, amount: 1 });
  });
});
