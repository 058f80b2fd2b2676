// What limiters with reservations got wrong, one test for each bug that somebody shipped: settling.
// The bugs of slots and expiry are in holds-slots.test.ts.
import { afterAll, describe, expect, it } from "vitest";
import { expiresMs, holdingOn, type Holding } from "./holding.js";
import { faultOf } from "./support.js";
import { testedStores } from "./tested.js";

const { stores, stop } = await testedStores();
afterAll(stop);

const MONTH = { limit: 10, period: "month", history: 3 } as const;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const TTL = { ttl_ms: DAY_MS } as const;
const QUOTA = { product_tag: "shop", env: "prd", quota_tag: "q" } as const;

/** What was used in each window that the quota keeps, the current one first. */
async function usedByWindow({ client }: Holding): Promise<number[]> {
  const { windows } = await client.usage.history(QUOTA);
  return windows.map(({ used }) => used);
}

describe.each(stores)("settling a hold on $name", ({ url }) => {
  let places = 0;
  const on = (quota: Parameters<typeof holdingOn>[1]) => holdingOn(url(`t${places++}`), quota);

  it("twice counts once, and answers as the first time", async () => {
    const { client, reserve, commit, release, extend, numbers } = await on(MONTH);
    await reserve("a", { amount: 4 });
    const first = await commit("a", { amount: 3 });
    expect(await commit("a", { amount: 3 })).toEqual({ ...first, replayed: true });
    expect(await release("a")).toEqual({ ...first, action: "release", replayed: true });
    for (const again of [commit("a", { amount: 4 }), extend("a")]) {
      expect((await faultOf(again)).code).toBe("IDEMPOTENCY_CONFLICT");
    }
    expect(await numbers()).toEqual([3, 0, 7]);
    await client.close();
  });

  it("after a release counts nothing, whatever is asked", async () => {
    const { client, reserve, commit, release, numbers } = await on(MONTH);
    await reserve("a", { amount: 4 });
    await release("a");
    expect((await faultOf(commit("a", { amount: 4 }))).code).toBe("IDEMPOTENCY_CONFLICT");
    expect(await numbers()).toEqual([0, 0, 10]);
    await client.close();
  });

  it("by a hundred callers at once counts once", async () => {
    const { client, reserve, commit, numbers } = await on(MONTH);
    await reserve("a", { amount: 4 });
    const answers = await Promise.all(Array.from({ length: 100 }, () => commit("a")));
    expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1);
    expect(await numbers()).toEqual([4, 0, 6]);
    await client.close();
  });

  it("for less gives the rest back at once", async () => {
    const { client, reserve, commit, numbers } = await on(MONTH);
    await reserve("a", { amount: 10 });
    expect((await reserve("b", { amount: 1 })).allowed).toBe(false);
    const answer = await commit("a", { amount: 4 });
    expect(answer.reservation).toMatchObject({ held: 10, charged: 4, excess: 0, expired: false });
    expect(await numbers()).toEqual([4, 0, 6]);
    await client.close();
  });

  it("for more counts the truth, and says by how much it passed hold and limit", async () => {
    const { client, reserve, commit, numbers, check } = await on(MONTH);
    await reserve("a", { amount: 4 });
    expect(await commit("a", { amount: 13 })).toMatchObject({
      allowed: true,
      exceeded: true,
      used: 13,
      remaining: 0,
      overage: 3,
      reservation: { id: "a", held: 4, charged: 13, excess: 9, expired: false },
    });
    expect(await numbers()).toEqual([13, 0, 0]);
    expect((await check(1)).allowed).toBe(false);
    await client.close();
  });

  it("for more than the limit is refused if the caller says so, and stays held", async () => {
    const { client, reserve, commit, numbers } = await on(MONTH);
    await reserve("a", { amount: 4 });
    const refused = await commit("a", { amount: 13, on_exceed: "reject" });
    expect(refused).toMatchObject({ allowed: false, code: "QUOTA_EXCEEDED", used: 0, held: 4 });
    expect(await numbers()).toEqual([0, 4, 6]);
    expect((await commit("a", { amount: 4, on_exceed: "reject" })).allowed).toBe(true);
    expect(await numbers()).toEqual([4, 0, 6]);
    await client.close();
  });

  it("after its expiry still counts the real use", async () => {
    const { client, clock, reserve, commit, numbers } = await on(MONTH);
    clock.set(expiresMs(await reserve("a", { amount: 4, ttl_ms: 60_000 })));
    expect(await numbers()).toEqual([0, 0, 10]);
    const answer = await commit("a", { amount: 3 });
    expect(answer.reservation).toMatchObject({ held: 0, charged: 3, excess: 3, expired: true });
    expect(await numbers()).toEqual([3, 0, 7]);
    await client.close();
  });

  it("without an amount charges what it holds, as its cost is unknown", async () => {
    const { client, clock, reserve, commit, numbers } = await on(MONTH);
    await reserve("a", { amount: 4 });
    expect((await commit("a")).reservation).toMatchObject({ charged: 4, excess: 0 });
    clock.set(expiresMs(await reserve("late", { amount: 2, ttl_ms: 60_000 })));
    expect((await commit("late")).reservation).toMatchObject({ charged: 2, expired: true });
    expect(await numbers()).toEqual([6, 0, 4]);
    await client.close();
  });

  it("in a later month gives the rest back to its own month, not to today's", async () => {
    const holding = await on(MONTH);
    const { client, clock, reserve, commit, increment, numbers } = holding;
    await increment(1);
    await reserve("a", { amount: 8, ...TTL });
    clock.set("2026-02-01T06:00:00Z");
    await increment(5);
    expect(await numbers()).toEqual([5, 0, 5]);
    const answer = await commit("a", { amount: 3 });
    expect(answer).toMatchObject({ used: 5, held: 0, remaining: 5 });
    expect(answer.reservation).toMatchObject({
      charged: 3,
      window: { start: "2026-01-01T00:00:00.000Z", end: "2026-02-01T00:00:00.000Z" },
    });
    expect(await numbers()).toEqual([5, 0, 5]);
    expect(await usedByWindow(holding)).toEqual([5, 4]);
    await client.close();
  });

  it("in a later month, before anything was counted there, leaves it empty", async () => {
    const holding = await on(MONTH);
    const { client, clock, reserve, commit, numbers } = holding;
    await reserve("a", { amount: 8, ...TTL });
    clock.set("2026-02-01T06:00:00Z");
    await commit("a", { amount: 3 });
    expect(await numbers()).toEqual([0, 0, 10]);
    expect(await usedByWindow(holding)).toEqual([0, 3]);
    const { subjects } = await client.usage.subjects({ ...QUOTA, window: "last" });
    expect(subjects.map(({ used }) => used)).toEqual([3]);
    await client.close();
  });

  it("in a later month counts in the last window of a counter that is in use again", async () => {
    const holding = await on(MONTH);
    const { client, clock, reserve, commit, increment } = holding;
    await increment(1);
    await reserve("a", { amount: 8, ...TTL });
    clock.set("2026-02-01T06:00:00Z");
    await increment(2);
    await commit("a", { amount: 3 });
    expect(await usedByWindow(holding)).toEqual([2, 4]);
    const { subjects } = await client.usage.subjects({ ...QUOTA, window: "last" });
    expect(subjects.map(({ used }) => used)).toEqual([4]);
    await client.close();
  });

  it("by a release in a later month erases nothing that others used", async () => {
    const holding = await on(MONTH);
    const { client, clock, reserve, release, increment, numbers } = holding;
    await reserve("a", { amount: 8, ...TTL });
    clock.set("2026-02-01T06:00:00Z");
    await increment(5);
    await release("a");
    expect(await numbers()).toEqual([5, 0, 5]);
    expect((await increment(6)).allowed).toBe(false);
    await client.close();
  });

  it("in a rolling window gives back its own part, not the newest of another request", async () => {
    const holding = await on({ limit: 10, period: "hour", window: "rolling" });
    const { client, clock, reserve, commit, increment, numbers } = holding;
    await reserve("a", { amount: 6, ...TTL });
    clock.advance(HOUR_MS / 2);
    await increment(4);
    await commit("a", { amount: 2 });
    expect(await numbers()).toEqual([6, 0, 4]);
    // What it used counts from the moment it was reserved, so that leaves first.
    clock.advance(HOUR_MS / 2);
    expect(await numbers()).toEqual([4, 0, 6]);
    clock.advance(HOUR_MS / 2);
    expect(await numbers()).toEqual([0, 0, 10]);
    await client.close();
  });

  it("in parts charges each once and keeps the rest, also of a stream that broke", async () => {
    const { client, clock, reserve, commit, numbers } = await on(MONTH);
    const reserved = await reserve("stream", { amount: 9, ttl_ms: 60_000 });
    await commit("stream", { amount: 2, final: false });
    await commit("stream", { amount: 3, final: false });
    expect(await numbers()).toEqual([5, 4, 1]);
    clock.set(expiresMs(reserved));
    expect(await numbers()).toEqual([5, 0, 5]);
    await client.close();
  });

  it("in a later month counts in its own, although all of it was booked before", async () => {
    const holding = await on(MONTH);
    const { client, clock, reserve, commit, numbers } = holding;
    await reserve("stream", { amount: 3, ...TTL });
    await commit("stream", { amount: 3, final: false });
    clock.set("2026-02-01T06:00:00Z");
    const last = await commit("stream", { amount: 2 });
    expect(last.reservation).toMatchObject({ charged: 2, excess: 2, expired: false });
    expect(await numbers()).toEqual([0, 0, 10]);
    expect(await usedByWindow(holding)).toEqual([0, 5]);
    await client.close();
  });

  it("that was extended with nothing to hold is not told that it has expired", async () => {
    const { client, clock, reserve, extend, commit } = await on(MONTH);
    await reserve("a", { amount: 3, ttl_ms: 60_000 });
    await extend("a", { amount: 0, ttl_ms: 600_000 });
    clock.advance(300_000);
    expect((await commit("a", { amount: 1 })).reservation).toMatchObject({ expired: false });
    await client.close();
  });

  it("that is refused waits for the end of its window, after which it is late", async () => {
    const { client, clock, reserve, commit } = await on({ limit: 3, period: "hour" });
    await reserve("a", { amount: 3, ttl_ms: 7_200_000 });
    const refused = await commit("a", { amount: 4, on_exceed: "reject" });
    expect(refused).toMatchObject({ allowed: false, retry_after_ms: HOUR_MS });
    clock.advance(HOUR_MS);
    expect((await commit("a", { amount: 4, on_exceed: "reject" })).allowed).toBe(true);
    await client.close();
  });

  it("is not waited for beyond its window, which ends the grants as well", async () => {
    const { client, run, reserve, increment } = await on({ limit: 3, period: "hour" });
    await run({ action: "grant", amount: 1 });
    await reserve("a", { amount: 1, ttl_ms: 7_200_000 });
    // In this hour 4 would be the limit, but for the hold; from then on it is 3.
    expect(await increment(4)).toMatchObject({ allowed: false, retry_after_ms: null });
    expect(await increment(3)).toMatchObject({ allowed: true });
    await client.close();
  });

  it("within its hold is never refused, although the limit was lowered meanwhile", async () => {
    const { client, reserve, commit, check } = await on(MONTH);
    await reserve("a", { amount: 8 });
    await client.product.quotas.update("shop", "q", { limit: 5, period: "month", history: 3 });
    expect((await check(1)).allowed).toBe(false);
    expect(await commit("a", { on_exceed: "reject" })).toMatchObject({ allowed: true, used: 8 });
    await client.close();
  });

  it("is not confused by a reset, a set or a grant in between", async () => {
    const { client, run, reserve, commit, increment, numbers } = await on(MONTH);
    await increment(5);
    await reserve("a", { amount: 5 });
    await run({ action: "reset" });
    expect(await numbers()).toEqual([0, 5, 5]);
    await run({ action: "set", amount: 3 });
    expect(await numbers()).toEqual([3, 5, 2]);
    await run({ action: "grant", amount: 2 });
    expect(await numbers()).toEqual([3, 5, 4]);
    await commit("a", { amount: 4 });
    expect(await numbers()).toEqual([7, 0, 5]);
    await client.close();
  });

  it("goes on after the clock was set back to before it was reserved", async () => {
    const { client, clock, reserve, extend, commit, release, numbers } = await on(MONTH);
    await reserve("a", { amount: 4 });
    await reserve("b", { amount: 2 });
    clock.advance(-60_000);
    await extend("a", { amount: 3, ttl_ms: 1_000 });
    expect(await numbers()).toEqual([0, 5, 5]);
    const first = await commit("a", { amount: 1 });
    expect(await commit("a", { amount: 1 })).toEqual({ ...first, replayed: true });
    expect((await faultOf(reserve("a", { amount: 9 }))).code).toBe("IDEMPOTENCY_CONFLICT");
    await release("b");
    expect((await release("b")).replayed).toBe(true);
    expect(await numbers()).toEqual([1, 0, 9]);
    await client.close();
  });

  it("is refused for an id that never was", async () => {
    const { client, commit, extend, release } = await on(MONTH);
    for (const settle of [commit, extend, release]) {
      expect((await faultOf(settle("nobody"))).code).toBe("RESERVATION_NOT_FOUND");
    }
    await client.close();
  });

  it("shows what is held as held, and never as used", async () => {
    const holding = await on(MONTH);
    const { client, clock, reserve, increment, check } = holding;
    await increment(1);
    expect(await reserve("a", { amount: 4, ...TTL })).toMatchObject({ used: 1, held: 4 });
    expect(await check(5)).toMatchObject({ allowed: true, used: 1, held: 4, remaining: 5 });
    expect(await check(6)).toMatchObject({ allowed: false, used: 1, held: 4, remaining: 5 });
    const { subjects } = await client.usage.subjects(QUOTA);
    expect(subjects.map(({ used }) => used)).toEqual([1]);
    expect((await usedByWindow(holding))[0]).toBe(1);
    clock.set("2026-02-01T00:00:00Z");
    expect(await usedByWindow(holding)).toEqual([0, 1]);
    await client.close();
  });
});
