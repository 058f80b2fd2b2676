// What limiters with reservations got wrong, one test for each bug that somebody shipped: slots and
// expiry. The bugs of settling are in holds-settle.test.ts.
import { afterAll, describe, expect, it } from "vitest";
import { expiresMs, holdingOn } from "./holding.js";
import { faultOf } from "./support.js";
import { testedStores } from "./tested.js";

const { stores, stop } = await testedStores();
afterAll(stop);

const SLOT = { rules: [{ name: "in-flight", limit: 1, window: "concurrent" }] } as const;
const DAY = { limit: 10, period: "day" } as const;
const TTL = { ttl_ms: 60_000 } as const;

describe.each(stores)("a hold on $name", ({ url }) => {
  let places = 0;
  const on = (quota: Parameters<typeof holdingOn>[1]) => holdingOn(url(`s${places++}`), quota);

  it("released late does not free the slot of another request", async () => {
    const { client, clock, reserve, release, check } = await on(SLOT);
    clock.set(expiresMs(await reserve("slow", TTL)));
    expect((await reserve("next", TTL)).allowed).toBe(true);
    await release("slow");
    expect(await check(1)).toMatchObject({ allowed: false, held: 1 });
    expect((await reserve("third", TTL)).allowed).toBe(false);
    await release("next");
    expect((await reserve("third", TTL)).allowed).toBe(true);
    await client.close();
  });

  it("released twice frees one slot", async () => {
    const rules = [{ name: "in-flight", limit: 2, window: "concurrent" }] as const;
    const { client, reserve, release, check } = await on({ rules });
    for (const id of ["a", "b"]) expect((await reserve(id)).allowed).toBe(true);
    const first = await release("a");
    expect(await release("a")).toEqual({ ...first, replayed: true });
    expect((await check(1)).held).toBe(1);
    await client.close();
  });

  it("that was denied leaves nothing to release", async () => {
    const { client, reserve, release, commit, extend, numbers } = await on(DAY);
    await reserve("taken", { amount: 8 });
    expect((await reserve("denied", { amount: 3 })).allowed).toBe(false);
    for (const settle of [release, commit, extend]) {
      expect((await faultOf(settle("denied"))).code).toBe("RESERVATION_NOT_FOUND");
    }
    expect(await numbers()).toEqual([0, 8, 2]);
    await client.close();
  });

  it("that was denied may be asked for again, under the same id", async () => {
    const { client, reserve, release, numbers } = await on(DAY);
    await reserve("taken", { amount: 8 });
    expect((await reserve("again", { amount: 3 })).allowed).toBe(false);
    await release("taken");
    expect((await reserve("again", { amount: 3 })).allowed).toBe(true);
    expect(await numbers()).toEqual([0, 3, 7]);
    await client.close();
  });

  it("stops counting at the instant it was told, without any job, and not before", async () => {
    const { client, clock, reserve, numbers } = await on(DAY);
    for (const ttl_ms of [1_000, 7_001, 600_000, 86_400_000]) {
      const startMs = clock();
      const endMs = expiresMs(await reserve(`ttl ${ttl_ms}`, { amount: 4, ttl_ms }));
      expect(endMs).toBeGreaterThanOrEqual(startMs + ttl_ms);
      expect(endMs).toBeLessThanOrEqual(startMs + ttl_ms + ttl_ms / 60);
      clock.set(Math.min(endMs - 1, Date.UTC(2026, 1, 1) - 1));
      const heldMs = clock();
      expect((await numbers())[1]).toBe(4);
      clock.set(endMs);
      expect((await numbers())[1]).toBe(0);
      expect(heldMs).toBeLessThan(endMs);
    }
    await client.close();
  });

  it("that ends before its work is reported, and denies from then on", async () => {
    const { client, clock, reserve, commit, check } = await on(DAY);
    clock.set(expiresMs(await reserve("long", { amount: 6, ...TTL })));
    expect((await reserve("other", { amount: 6, ttl_ms: 3_600_000 })).allowed).toBe(true);
    expect(await commit("long", { amount: 6 })).toMatchObject({
      allowed: true,
      exceeded: true,
      used: 6,
      held: 6,
      reservation: { id: "long", held: 0, charged: 6, excess: 6, expired: true },
    });
    expect(await check(1)).toMatchObject({ allowed: false, exceeded: true });
    expect(await commit("other", { amount: 6 })).toMatchObject({ used: 12, overage: 2 });
    await client.close();
  });

  it("whose heartbeat continues keeps its place as long as the work takes", async () => {
    const { client, clock, reserve, extend, commit, check } = await on(SLOT);
    await reserve("job", TTL);
    for (let beat = 0; beat < 20; beat++) {
      clock.advance(40_000);
      expect((await extend("job", TTL)).allowed).toBe(true);
      expect((await check(1)).allowed).toBe(false);
    }
    await commit("job");
    expect((await check(1)).allowed).toBe(true);
    await client.close();
  });

  it("whose heartbeat comes too late gets its place back only while there is one", async () => {
    const { client, clock, reserve, extend, release } = await on(SLOT);
    clock.set(expiresMs(await reserve("job", TTL)));
    await reserve("next", { ttl_ms: 600_000 });
    expect(await extend("job", TTL)).toMatchObject({ allowed: false, exceeded: true });
    await release("next");
    expect((await extend("job", TTL)).allowed).toBe(true);
    expect((await reserve("third")).allowed).toBe(false);
    await client.close();
  });

  it("of a crashed holder gives its slot back at its expiry, and says when that is", async () => {
    const { client, clock, reserve } = await on(SLOT);
    const endMs = expiresMs(await reserve("crashed", TTL));
    const denied = await reserve("next");
    expect(denied).toMatchObject({
      allowed: false,
      retry_after_ms: endMs - clock(),
      window: null,
      resets_at: null,
      period: null,
    });
    clock.set(endMs - 1);
    expect((await reserve("next")).allowed).toBe(false);
    clock.set(endMs);
    expect((await reserve("next")).allowed).toBe(true);
    await client.close();
  });

  it("belongs to its owner: another subject, quota or environment has no such hold", async () => {
    const quota = { scope: "$Session{userId}", ...DAY } as const;
    const { client, run, reserve, numbers } = await on(quota);
    await client.product.quotas.create("shop", { tag: "other", ...quota });
    await client.product.environments.create("shop", { env_name: "Staging", slug: "stg" });
    const reservation = "job-1";
    await reserve(reservation, { subject: "ada", amount: 4 });
    const elsewhere = [{ subject: "bob" }, { quota_tag: "other" }, { env: "stg" }] as const;
    for (const action of ["commit", "extend", "release"] as const) {
      for (const place of elsewhere) {
        const fault = await faultOf(run({ action, reservation, subject: "ada", ...place }));
        expect(fault.code).toBe("RESERVATION_NOT_FOUND");
      }
    }
    expect(await numbers({ subject: "ada" })).toEqual([0, 4, 6]);
    expect(await numbers({ subject: "bob" })).toEqual([0, 0, 10]);
    // One id stands for the holds of one piece of work in several quotas.
    await reserve(reservation, { quota_tag: "other", subject: "ada", amount: 1 });
    await run({ action: "commit", reservation, quota_tag: "other", subject: "ada" });
    expect(await numbers({ subject: "ada" })).toEqual([0, 4, 6]);
    await client.close();
  });

  it("is made once by many callers with one id, and another input is refused", async () => {
    const { client, reserve, numbers } = await on(DAY);
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => reserve("one", { amount: 4 })),
    );
    expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1);
    expect(await numbers()).toEqual([0, 4, 6]);
    expect((await faultOf(reserve("one", { amount: 5 }))).code).toBe("IDEMPOTENCY_CONFLICT");
    await client.close();
  });

  it("takes what is left, and callers at once together take no more", async () => {
    const { client, run, numbers } = await on({ limit: 100, period: "day" });
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => run({ action: "reserve", amount: 30, at_least: 5 })),
    );
    const admitted = answers.filter(({ allowed }) => allowed);
    expect(admitted.map(({ amount }) => amount).toSorted((a, b) => b - a)).toEqual([
      30, 30, 30, 10,
    ]);
    expect(await numbers()).toEqual([0, 100, 0]);
    await client.close();
  });

  it("counts in all rules or in none", async () => {
    const rules = [
      { name: "in-flight", limit: 2, window: "concurrent" },
      { name: "minute", limit: 3, period: "minute", window: "rolling" },
      { name: "month", limit: 8, period: "month" },
    ] as const;
    const { client, reserve, check } = await on({ rules });
    const held = async () => (await check()).rules?.map((rule) => rule.held);
    await reserve("a", { amount: 2 });
    expect(await held()).toEqual([1, 2, 2]);
    const denied = await reserve("b", { amount: 2 });
    expect([denied.allowed, denied.rule]).toEqual([false, "minute"]);
    expect(await held()).toEqual([1, 2, 2]);
    await reserve("c", { amount: 1 });
    expect(await reserve("d", { amount: 0 })).toMatchObject({ allowed: false, rule: "in-flight" });
    expect(await held()).toEqual([2, 3, 3]);
    await client.close();
  });
});
