// Refunds that name their charge, use that is counted past a limit, and amounts that take what is
// left.
import { afterAll, describe, expect, it } from "vitest";
import { expiresMs, holdingOn } from "./holding.js";
import { faultOf } from "./support.js";
import { testedStores } from "./tested.js";

const { stores, stop } = await testedStores();
afterAll(stop);

const MONTH = { limit: 10, period: "month", history: 3 } as const;
const HOUR_MS = 3_600_000;
const QUOTA = { product_tag: "shop", env: "prd", quota_tag: "q" } as const;

describe.each(stores)("on $name", ({ url }) => {
  let places = 0;
  const on = (quota: Parameters<typeof holdingOn>[1]) => holdingOn(url(`r${places++}`), quota);
  const refund = { action: "decrement" } as const;

  it("a refund takes back what its charge counted, once", async () => {
    const { client, run, increment, numbers } = await on(MONTH);
    await increment(2);
    await increment(5, { idempotency_key: "order-1" });
    const first = await run({ ...refund, of: "order-1" });
    expect(first).toMatchObject({ allowed: true, applied: 5, used: 2 });
    expect(await run({ ...refund, of: "order-1" })).toEqual({ ...first, replayed: true });
    expect((await faultOf(run({ ...refund, of: "order-1", amount: 1 }))).code).toBe(
      "IDEMPOTENCY_CONFLICT",
    );
    expect(await numbers()).toEqual([2, 0, 8]);
    await client.close();
  });

  it("a refund takes back at most what its charge counted", async () => {
    const { client, run, increment, numbers } = await on(MONTH);
    await increment(6);
    await increment(3, { idempotency_key: "k" });
    expect(await run({ ...refund, of: "k", amount: 7 })).toMatchObject({
      amount: 7,
      applied: 3,
      used: 6,
    });
    expect(await numbers()).toEqual([6, 0, 4]);
    await client.close();
  });

  it("a refund of a settled hold takes back what was charged, not what was held", async () => {
    const { client, run, reserve, commit, numbers } = await on(MONTH);
    await reserve("job", { amount: 8 });
    await commit("job", { amount: 5 });
    expect(await run({ ...refund, of: "job", amount: 2 })).toMatchObject({ applied: 2, used: 3 });
    expect(await numbers()).toEqual([3, 0, 7]);
    await client.close();
  });

  it("a refund of last month's charge changes history and leaves this month alone", async () => {
    const { client, clock, run, increment, numbers } = await on(MONTH);
    await increment(1);
    await increment(5, { idempotency_key: "k" });
    clock.set("2026-02-01T06:00:00Z");
    await increment(4);
    await run({ ...refund, of: "k", amount: 2 });
    expect(await numbers()).toEqual([4, 0, 6]);
    const { windows } = await client.usage.history(QUOTA);
    expect(windows.map(({ used }) => used)).toEqual([4, 4]);
    await client.close();
  });

  it("a refund in a rolling window takes the part that its charge counted", async () => {
    const quota = { limit: 10, period: "hour", window: "rolling" } as const;
    const { client, clock, run, increment, numbers } = await on(quota);
    await increment(3, { idempotency_key: "k" });
    clock.advance(HOUR_MS / 2);
    await increment(5);
    await run({ ...refund, of: "k" });
    clock.advance(HOUR_MS / 2);
    expect(await numbers()).toEqual([5, 0, 5]);
    await client.close();
  });

  it("a refund of a denied or unknown charge is refused", async () => {
    const { client, run, increment, numbers } = await on(MONTH);
    await increment(8);
    expect((await increment(5, { idempotency_key: "denied" })).allowed).toBe(false);
    for (const of of ["denied", "nothing"]) {
      expect((await faultOf(run({ ...refund, of }))).code).toBe("RESERVATION_NOT_FOUND");
    }
    expect((await faultOf(run({ ...refund, of: "x", idempotency_key: "y" }))).code).toBe(
      "VALIDATION",
    );
    expect(await numbers()).toEqual([8, 0, 2]);
    await client.close();
  });

  it("what has already happened is counted past a limit, and denied from then on", async () => {
    const { client, increment, check, reserve } = await on(MONTH);
    await increment(9);
    expect((await increment(3)).allowed).toBe(false);
    expect(await increment(3, { on_exceed: "allow" })).toMatchObject({
      allowed: true,
      exceeded: true,
      used: 12,
      overage: 2,
      remaining: 0,
    });
    expect(await check(1)).toMatchObject({ allowed: false, exceeded: true });
    expect((await reserve("a", { amount: 1 })).allowed).toBe(false);
    await client.close();
  });

  it("an increment of what is left admits that, and less than its least is denied", async () => {
    const { client, run, numbers } = await on(MONTH);
    const take = (amount: number, at_least: number) =>
      run({ action: "increment", amount, at_least });
    expect(await take(7, 3)).toMatchObject({ allowed: true, amount: 7 });
    expect(await take(7, 3)).toMatchObject({ allowed: true, amount: 3 });
    expect(await take(7, 1)).toMatchObject({ allowed: false });
    expect(await numbers()).toEqual([10, 0, 0]);
    await client.close();
  });

  it("holds and counts of one atomic call are all made or none", async () => {
    const { client, reserve, commit, numbers } = await on({ scope: "$Session{userId}", ...MONTH });
    const { quota } = client.processor;
    const ask = (amount: number) =>
      quota.runAll(
        [
          { ...QUOTA, env: "prd", action: "reserve", subject: "a", reservation: "r", amount: 4 },
          { ...QUOTA, env: "prd", action: "increment", subject: "a", amount: 3 },
          { ...QUOTA, env: "prd", action: "increment", subject: "b", amount },
        ],
        { atomic: true },
      );
    const refused = await ask(11);
    expect(refused.map(({ allowed }) => allowed)).toEqual([false, false, false]);
    expect(await numbers({ subject: "a" })).toEqual([0, 0, 10]);
    expect((await faultOf(commit("r", { subject: "a" }))).code).toBe("RESERVATION_NOT_FOUND");
    expect((await ask(1)).every(({ allowed }) => allowed)).toBe(true);
    expect(await numbers({ subject: "a" })).toEqual([3, 4, 3]);
    expect((await reserve("s", { subject: "a", amount: 4 })).allowed).toBe(false);
    await commit("r", { subject: "a", amount: 2 });
    expect(await numbers({ subject: "a" })).toEqual([5, 0, 5]);
    await client.close();
  });

  it("two commits of one atomic call are settled together, or neither is", async () => {
    const { client, reserve, numbers } = await on(MONTH);
    const { quota } = client.processor;
    await reserve("a", { amount: 3 });
    await reserve("b", { amount: 3 });
    const ask = (amount: number) =>
      quota.runAll(
        [
          { ...QUOTA, env: "prd", action: "commit", reservation: "a", amount: 3 },
          {
            ...QUOTA,
            env: "prd",
            action: "commit",
            reservation: "b",
            amount,
            on_exceed: "reject",
          },
        ],
        { atomic: true },
      );
    expect((await ask(12)).map(({ allowed }) => allowed)).toEqual([false, false]);
    expect(await numbers()).toEqual([0, 6, 4]);
    expect((await ask(2)).every(({ allowed }) => allowed)).toBe(true);
    expect(await numbers()).toEqual([5, 0, 5]);
    await client.close();
  });

  it("open holds are listed oldest first, and an operator releases one with a reason", async () => {
    const quota = { scope: "$Session{userId}", ...MONTH } as const;
    const { client, clock, run, reserve, commit, numbers } = await on(quota);
    for (const [i, subject] of ["ada", "bob", "ada"].entries()) {
      await reserve(`job-${i}`, { subject, amount: 2, ttl_ms: 600_000 });
      clock.advance(60_000);
    }
    const expiring = await reserve("short", { subject: "bob", amount: 1, ttl_ms: 1_000 });
    clock.set(expiresMs(expiring));
    await commit("job-0", { subject: "ada" });
    const list = async (more: object = {}) => {
      const { reservations } = await client.processor.quota.reservations({ ...QUOTA, ...more });
      return reservations.map(({ id }) => id);
    };
    expect(await list()).toEqual(["job-1", "job-2"]);
    expect(await list({ subject: "ada" })).toEqual(["job-2"]);
    expect(await list({ older_than_ms: 90_000 })).toEqual(["job-1"]);
    // By its id alone, without the subject.
    await run({ action: "release", reservation: "job-1", reason: "its worker is gone" });
    expect(await list()).toEqual(["job-2"]);
    expect(await numbers({ subject: "bob" })).toEqual([0, 0, 10]);
    await client.close();
  });
});
