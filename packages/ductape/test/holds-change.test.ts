// Holds of a quota whose rules change meanwhile.
import { afterAll, describe, expect, it } from "vitest";
import { expiresMs, holdingOn } from "./holding.js";
import { faultOf } from "./support.js";
import { testedStores } from "./tested.js";

const { stores, stop } = await testedStores();
afterAll(stop);

const HOUR_MS = 3_600_000;
const DAY = { limit: 10, period: "day" } as const;
const TTL = { ttl_ms: 24 * HOUR_MS } as const;

describe.each(stores)("a hold on $name", ({ url }) => {
  let places = 0;
  const on = (quota: Parameters<typeof holdingOn>[1]) => holdingOn(url(`h${places++}`), quota);

  it("goes on in the longer window of its rule, also past the old one's end", async () => {
    const { client, clock, reserve, commit, increment, numbers } = await on(DAY);
    await increment(2);
    await reserve("a", { amount: 5, ...TTL });
    await client.product.quotas.update("shop", "q", { limit: 10, period: "year" });
    expect(await numbers()).toEqual([2, 5, 3]);
    clock.advance(20 * HOUR_MS);
    expect(await numbers()).toEqual([2, 5, 3]);
    expect((await increment(4)).allowed).toBe(false);
    const settled = await commit("a", { amount: 4 });
    expect(settled.reservation).toMatchObject({ held: 5, charged: 4, excess: 0, expired: false });
    expect(await numbers()).toEqual([6, 0, 4]);
    await client.close();
  });

  it("goes on when its calendar window becomes a rolling one, and back", async () => {
    const { client, clock, reserve, commit, release, numbers } = await on(DAY);
    await reserve("a", { amount: 3, ...TTL });
    await reserve("b", { amount: 4, ...TTL });
    await client.product.quotas.update("shop", "q", { ...DAY, window: "rolling" });
    expect(await numbers()).toEqual([0, 7, 3]);
    clock.advance(HOUR_MS);
    await commit("a", { amount: 2 });
    expect(await numbers()).toEqual([2, 4, 4]);
    await client.product.quotas.update("shop", "q", { ...DAY, window: "calendar" });
    expect(await numbers()).toEqual([2, 4, 4]);
    await release("b");
    expect(await numbers()).toEqual([2, 0, 8]);
    await client.close();
  });

  it("ends at its expiry, although its rule has changed meanwhile", async () => {
    const { client, clock, reserve, numbers } = await on(DAY);
    const endMs = expiresMs(await reserve("a", { amount: 3, ttl_ms: HOUR_MS }));
    await client.product.quotas.update("shop", "q", { limit: 10, period: "month" });
    clock.set(endMs - 1);
    expect(await numbers()).toEqual([0, 3, 7]);
    clock.set(endMs);
    expect(await numbers()).toEqual([0, 0, 10]);
    await client.close();
  });

  it("is settled on the rules that are left when one of its rules is removed", async () => {
    const [day, month] = [
      { name: "day", ...DAY },
      { name: "month", limit: 100, period: "month" },
    ] as const;
    const { client, reserve, commit, check } = await on({ rules: [day, month] });
    await reserve("a", { amount: 5, ...TTL });
    await client.product.quotas.update("shop", "q", { rules: [month] });
    const settled = await commit("a", { amount: 4 });
    expect(settled.reservation).toMatchObject({ charged: 4, expired: false });
    expect(await check()).toMatchObject({ rule: "month", used: 4, held: 0 });
    await client.close();
  });

  it("counts on no rule that was added after it was reserved", async () => {
    const [day, month] = [
      { name: "day", ...DAY },
      { name: "month", limit: 100, period: "month" },
    ] as const;
    const { client, reserve, commit, check } = await on({ rules: [day] });
    await reserve("a", { amount: 5, ...TTL });
    await client.product.quotas.update("shop", "q", { rules: [day, month] });
    await commit("a", { amount: 4 });
    const { rules = [] } = await check();
    expect(rules.map(({ rule, used, held }) => [rule, used, held])).toEqual([
      ["day", 4, 0],
      ["month", 0, 0],
    ]);
    await client.close();
  });

  it("is gone with its quota, also when that is created again", async () => {
    const { client, reserve, commit, numbers } = await on(DAY);
    await reserve("a", { amount: 5, ...TTL });
    await client.product.quotas.delete("shop", "q");
    await client.product.quotas.create("shop", { tag: "q", ...DAY });
    expect(await numbers()).toEqual([0, 0, 10]);
    expect((await faultOf(commit("a"))).code).toBe("RESERVATION_NOT_FOUND");
    expect((await reserve("a", { amount: 9 })).allowed).toBe(true);
    await client.close();
  });

  it("keeps its slot when the number of slots is lowered", async () => {
    const slots = (limit: number) => ({
      rules: [{ name: "slots", limit, window: "concurrent" } as const],
    });
    const { client, reserve, release, check } = await on(slots(3));
    for (const id of ["a", "b", "c"]) await reserve(id, TTL);
    await client.product.quotas.update("shop", "q", slots(2));
    expect(await check(1)).toMatchObject({ allowed: false, held: 3, remaining: 0, exceeded: true });
    await release("a");
    expect((await check(1)).allowed).toBe(false);
    await release("b");
    expect((await check(1)).allowed).toBe(true);
    await client.close();
  });
});
