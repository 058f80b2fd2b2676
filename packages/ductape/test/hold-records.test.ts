// Holds and charges that are planned from their record: of rules that changed, and of anybody.
import { afterAll, describe, expect, it } from "vitest";
import type { Decision, Ductape, QuotaInput } from "ductape";
import { manualClock } from "ductape/testing";
import { MemoryStore } from "../src/stores/memory/memory.js";
import { clientWith, faultOf, inputOf, storeOver, storeUrls, temporaryFolder } from "./support.js";

const folder = temporaryFolder();
afterAll(folder.remove);

const scope = "$Session{userId}";
const plans = { by: "$Session{plan}", values: { pro: 1_000 }, default: 10 };
const ada = { userId: "ada", plan: "pro", orgId: "acme" };
const TWO = [
  { name: "user", scope, limit: plans, period: "day", history: 3 },
  { name: "org", scope: "$Session{orgId}", limit: 5_000, period: "month" },
] as const;

let stores = 0;
async function open(url: string) {
  const clock = manualClock("2026-05-15T12:00:00Z");
  const store = url.replace("store.db", `${stores++}.db`);
  const ductape = await clientWith([{ tag: "q", rules: TWO }], { store, clock });
  const run = (input: Partial<QuotaInput>): Promise<Decision> =>
    ductape.processor.quota.run(inputOf(input));
  const numbers = async (rule: string) => {
    const check = await run({ action: "check", amount: 0, subject: ada });
    const { used, held, limit } = (check.rules ?? [check]).find((each) => each.rule === rule) ?? {};
    return { used, held, limit };
  };
  return { ductape, clock, run, numbers };
}

const reserve = { action: "reserve", reservation: "job", amount: 100, subject: ada } as const;
const commit = { action: "commit", reservation: "job" } as const;
const rulesOf = (ductape: Ductape, rules: readonly object[]) =>
  Reflect.apply(ductape.product.quotas.update, ductape.product.quotas, ["shop", "q", { rules }]);

describe.each(storeUrls(folder.path))("a hold on %s", (url) => {
  it("is settled by somebody who names nobody, under the limit of its plan", async () => {
    const { ductape, run, numbers } = await open(url);
    await run(reserve);
    const done = await run({ ...commit, amount: 60 });
    expect(done.rules).toMatchObject([
      { rule: "user", subject: "ada", used: 60, held: 0, limit: 1_000 },
      { rule: "org", subject: "acme", used: 60, held: 0 },
    ]);
    // What the counter knows of the plan stays, too: a list of subjects shows it.
    const target = { product_tag: "shop", env: "prd", quota_tag: "q", rule: "user" };
    const { subjects } = await ductape.usage.subjects(target);
    expect(subjects).toMatchObject([{ used: 60, limit: 1_000 }]);
    expect(await numbers("org")).toMatchObject({ used: 60, held: 0 });
    await ductape.close();
  });

  it("is settled after a rule was added, with and without its subject", async () => {
    for (const subject of [ada, undefined]) {
      const { ductape, run, numbers } = await open(url);
      await run(reserve);
      await rulesOf(ductape, [...TWO, { name: "hour", scope, limit: 500, period: "hour" }]);
      expect(await run({ ...commit, amount: 70, subject })).toMatchObject({ allowed: true });
      expect(await numbers("user")).toEqual({ used: 70, held: 0, limit: 1_000 });
      // The rule was not asked when it was reserved.
      expect(await numbers("hour")).toEqual({ used: 0, held: 0, limit: 500 });
      const again = await run({ ...commit, amount: 70, subject });
      expect(again).toMatchObject({ replayed: true, reservation: { charged: 70 } });
      await ductape.close();
    }
  });

  it("is settled after one of its rules was deleted, on the rules that are left", async () => {
    for (const subject of [ada, undefined]) {
      const { ductape, run, numbers } = await open(url);
      await run(reserve);
      await rulesOf(ductape, [TWO[0]]);
      const extended = await run({ action: "extend", reservation: "job", amount: 120, subject });
      expect(extended).toMatchObject({ allowed: true, reservation: { amount: 120 } });
      const done = await run({ ...commit, amount: 80, subject });
      expect(done.reservation).toMatchObject({ charged: 80, excess: 0, expired: false });
      expect(await numbers("user")).toEqual({ used: 80, held: 0, limit: 1_000 });
      await ductape.close();
    }
  });

  it("is settled after its window changed its shape, whose count carried over", async () => {
    const { ductape, clock, run, numbers } = await open(url);
    await run(reserve);
    clock.advance(60_000);
    await rulesOf(ductape, [{ ...TWO[0], period: "week" }, TWO[1]]);
    expect(await numbers("user")).toEqual({ used: 0, held: 100, limit: 1_000 });
    await run({ ...commit, amount: 30, subject: ada });
    expect(await numbers("user")).toEqual({ used: 30, held: 0, limit: 1_000 });
    await ductape.close();
  });

  it("is found only by its own subject", async () => {
    const { ductape, run, numbers } = await open(url);
    await run(reserve);
    for (const subject of [
      { ...ada, userId: "bob" },
      { ...ada, orgId: "other" },
    ]) {
      expect(await faultOf(run({ ...commit, subject }))).toMatchObject({
        code: "RESERVATION_NOT_FOUND",
      });
    }
    expect(await numbers("user")).toMatchObject({ used: 0, held: 100 });
    // A changed plan is the same subject.
    expect(await run({ ...commit, subject: { ...ada, plan: "free" } })).toMatchObject({
      rule: "user",
      used: 100,
      overage: 90,
    });
    await ductape.close();
  });

  it("is settled with others in one atomic call, by somebody who names nobody", async () => {
    const { ductape, run, numbers } = await open(url);
    await run(reserve);
    await run({ ...reserve, reservation: "job-2", amount: 200 });
    const inputs = [
      inputOf({ ...commit, amount: 10 }),
      inputOf({ action: "release", reservation: "job-2" }),
      inputOf({ action: "increment", amount: 5, subject: ada }),
    ];
    const results = await ductape.processor.quota.runAll(inputs, { atomic: true });
    expect(results.map(({ allowed }) => allowed)).toEqual([true, true, true]);
    expect(await numbers("user")).toMatchObject({ used: 15, held: 0 });
    const wrong = inputOf({ action: "release", reservation: "nobody" });
    const fault = await faultOf(
      ductape.processor.quota.runAll([inputOf({ subject: ada }), wrong], { atomic: true }),
    );
    expect(fault).toMatchObject({ code: "RESERVATION_NOT_FOUND" });
    expect(fault.message).toContain("inputs[1].reservation");
    expect(await numbers("user")).toMatchObject({ used: 15 });
    await ductape.close();
  });
});

it("a call that has to read a hold waits no longer than it may, and changes nothing", async () => {
  const memory = new MemoryStore(Date.now);
  const never = new Promise<never>(() => undefined);
  let isStuck = false;
  const { records } = memory;
  const store = storeOver(memory, {
    records: {
      answer: (place, name) => records.answer(place, name),
      hold: (place, name) => (isStuck ? never : records.hold(place, name)),
      openHolds: (place, page) => records.openHolds(place, page),
    },
  });
  const ductape = await clientWith([{ tag: "q", rules: TWO }], { store });
  const { quota } = ductape.processor;
  await quota.run(inputOf(reserve));
  isStuck = true;
  const late = quota.run(inputOf(commit), { timeoutMs: 5 });
  expect(await faultOf(late)).toMatchObject({ code: "TIMEOUT" });
  const signal = AbortSignal.abort(new Error("gone"));
  const aborted = quota.run(inputOf(commit), { signal });
  expect(await faultOf(aborted)).toMatchObject({ code: "ABORTED" });
  isStuck = false;
  expect(await quota.run(inputOf(commit))).toMatchObject({ replayed: false });
  await ductape.close();
});

describe.each(storeUrls(folder.path))("a charge on %s", (url) => {
  it("is taken back by its key, whoever names its subject, and by nobody else", async () => {
    const { ductape, run, numbers } = await open(url);
    const charge = { amount: 40, subject: ada, idempotency_key: "k" } as const;
    await run(charge);
    const refund = { action: "decrement", of: "k" } as const;
    const bob = { ...ada, userId: "bob" };
    expect(await faultOf(run({ ...refund, subject: bob }))).toMatchObject({
      code: "RESERVATION_NOT_FOUND",
    });
    expect(await run({ ...refund, amount: 15, subject: { ...ada, plan: "free" } })).toMatchObject({
      amount: 15,
      applied: 15,
    });
    expect(await run({ ...refund, amount: 15 })).toMatchObject({ replayed: true, applied: 15 });
    expect(await faultOf(run({ ...refund, subject: ada }))).toMatchObject({
      code: "IDEMPOTENCY_CONFLICT",
    });
    expect(await numbers("user")).toMatchObject({ used: 25 });
    expect(await numbers("org")).toMatchObject({ used: 25 });
    await ductape.close();
  });

  it("of a subject with many members is taken back by that subject", async () => {
    const { ductape, run, numbers } = await open(url);
    const many = { ...ada, note: "x".repeat(250), more: "y".repeat(250) };
    await run({ amount: 40, subject: many, idempotency_key: "k" });
    const refund = { action: "decrement", of: "k" } as const;
    expect(await faultOf(run(refund))).toMatchObject({ code: "SUBJECT_REQUIRED" });
    expect(await run({ ...refund, subject: many })).toMatchObject({ applied: 40 });
    expect(await numbers("user")).toMatchObject({ used: 0 });
    await ductape.close();
  });

  it("is taken back from what is left of the rules that counted it", async () => {
    const { ductape, run, numbers } = await open(url);
    await run({ amount: 40, subject: ada, idempotency_key: "k" });
    await rulesOf(ductape, [{ name: "hour", scope, limit: 500, period: "hour" }, TWO[1]]);
    await run({ amount: 7, subject: ada });
    expect(await run({ action: "decrement", of: "k", subject: ada })).toMatchObject({ amount: 40 });
    expect(await numbers("hour")).toMatchObject({ used: 7 });
    expect(await numbers("org")).toMatchObject({ used: 7 });
    await ductape.close();
  });

  it("with at_least is taken back as it was admitted", async () => {
    const { ductape, run, numbers } = await open(url);
    const charge = { amount: 2_000, at_least: 1, subject: ada, idempotency_key: "k" } as const;
    expect(await run(charge)).toMatchObject({ amount: 1_000 });
    expect(await run({ action: "decrement", of: "k", subject: ada })).toMatchObject({
      amount: 1_000,
      applied: 1_000,
    });
    expect(await numbers("user")).toMatchObject({ used: 0 });
    await ductape.close();
  });

  it("of an open hold has to wait until the hold is settled", async () => {
    const { ductape, run } = await open(url);
    await run(reserve);
    const fault = await faultOf(run({ action: "decrement", of: "job" }));
    expect(fault).toMatchObject({ code: "VALIDATION", issues: [{ path: "of" }] });
    await ductape.close();
  });
});
