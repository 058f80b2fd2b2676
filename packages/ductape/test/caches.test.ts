import { afterAll, afterEach, describe, expect, it } from "vitest";
import { Ductape, StoreError } from "ductape";
import { ENTRIES_MAX } from "../src/stores/entries.js";
import { BY_USER, closeClients, decided, EXPIRY_MS, setUp } from "./caching.js";
import { inputOf, storeUrls, temporaryFolder } from "./support.js";

const folder = temporaryFolder();
afterEach(closeClients);
afterAll(folder.remove);

describe.each(storeUrls(folder.path))("a cache on %s", (url) => {
  it("answers a check within its expiry, and says how old the answer is", async () => {
    const { clock, check, askedBy } = await setUp(url, { limit: 10, period: "day" });
    expect(await check()).toMatchObject({ source: "store", age_ms: 0, used: 0 });
    const asked = await askedBy(async () => {
      expect(await check()).toMatchObject({ source: "cache", age_ms: 0 });
      clock.advance(EXPIRY_MS - 1);
      expect(await check()).toMatchObject({ source: "cache", age_ms: EXPIRY_MS - 1 });
    });
    expect(asked).toBe(0);
    clock.advance(1);
    expect(await check()).toMatchObject({ source: "store", age_ms: 0 });
  });

  it("decides a cached check for the amount and the limit that are asked", async () => {
    const { client, run, check, askedBy } = await setUp(url, { limit: 10, period: "day" });
    await run({ amount: 7 });
    const asked = await askedBy(async () => {
      expect(await check({ amount: 3 })).toMatchObject({ allowed: true, used: 7, remaining: 3 });
      const denied = { allowed: false, source: "cache", retry_after_ms: 43_200_000 };
      expect(await check({ amount: 4 })).toMatchObject(denied);
      expect(await check({ amount: 11 })).toMatchObject({ allowed: false, retry_after_ms: null });
      await client.product.quotas.update("shop", "q", { limit: 20 });
      expect(await check({ amount: 11 })).toMatchObject({ allowed: true, limit: 20 });
    });
    expect(asked).toBe(0);
  });

  it("counts each increment in the store, and knows the new count at once", async () => {
    const { run, check, askedBy } = await setUp(url, { limit: 10, period: "day" });
    const asked = await askedBy(async () => {
      for (let used = 1; used <= 10; used++) {
        expect(await run()).toMatchObject({ allowed: true, source: "store", age_ms: 0, used });
        expect(await check({ amount: 0 })).toMatchObject({ source: "cache", used });
      }
    });
    expect(asked).toBe(10);
  });

  it.each([
    ["increment", { amount: 2 }, 7],
    ["decrement", { amount: 2 }, 3],
    ["set", { amount: 9 }, 9],
    ["reset", {}, 0],
    ["grant", { amount: 5 }, 5],
  ] as const)("sends %s to the store and renews the copy", async (action, more, used) => {
    const { client, run, check } = await setUp(url, { limit: 10, period: "day" });
    await run({ amount: 5 });
    expect(await run({ action, ...more })).toMatchObject({ source: "store", used });
    const cached = await check({ amount: 0 });
    expect(cached).toMatchObject({ source: "cache", used, limit: action === "grant" ? 15 : 10 });
    const exact = await decided(client, { action: "check", amount: 0 });
    expect(exact).toMatchObject({ source: "store", used, limit: cached.limit });
  });

  it("repeats a refusal without the store, until the entry is old", async () => {
    const { clock, client, run, check, askedBy } = await setUp(url, { limit: 5, period: "day" });
    await run({ amount: 5 });
    const asked = await askedBy(async () => {
      for (let call = 0; call < 100; call++) {
        expect(await run()).toMatchObject({ allowed: false, source: "cache", used: 5 });
      }
    });
    expect(asked).toBe(0);
    // The copies that were decided on are as they were.
    expect(await check({ amount: 0 })).toMatchObject({ used: 5, source: "cache" });
    expect(await decided(client, { action: "check", amount: 0 })).toMatchObject({ used: 5 });
    clock.advance(EXPIRY_MS);
    expect(await run()).toMatchObject({ allowed: false, source: "store" });
  });

  it("shows no increment that is still in progress", async () => {
    const { client, run, check } = await setUp(url, { limit: 5, period: "day" });
    await check();
    const [counted, told] = await Promise.all([run(), check({ amount: 0 })]);
    expect(counted).toMatchObject({ source: "store", used: 1 });
    // A store in this process has counted before the check is asked for.
    const used = client.guarantees.shared === "process" ? 1 : 0;
    expect(told).toMatchObject({ source: "cache", used });
  });

  it("repeats no refusal past the window's end", async () => {
    const { clock, run } = await setUp(url, { limit: 5, period: "minute" });
    clock.advance(59_500);
    await run({ amount: 5 });
    expect(await run()).toMatchObject({ allowed: false, source: "cache", retry_after_ms: 500 });
    clock.advance(500);
    expect(await run()).toMatchObject({ allowed: true, source: "store", used: 1 });
  });

  it("asks the store if a smaller amount may fit, although a larger one was denied", async () => {
    const { run, check } = await setUp(url, { limit: 5, period: "day" });
    await run({ amount: 3 });
    expect(await run({ amount: 3 })).toMatchObject({ allowed: false, source: "cache" });
    expect(await run({ amount: 2 })).toMatchObject({ allowed: true, source: "store", used: 5 });
    expect(await check({ amount: 0 })).toMatchObject({ source: "cache", used: 5 });
  });

  it("never answers a request with an idempotency key", async () => {
    const { run, check, askedBy } = await setUp(url, { limit: 5, period: "day" });
    await run({ amount: 5 });
    const asked = await askedBy(async () => {
      const key = { idempotency_key: "k" };
      expect(await run(key)).toMatchObject({ allowed: false, source: "store", replayed: false });
      expect(await run(key)).toMatchObject({ allowed: false, source: "store", replayed: true });
      expect(await check({ idempotency_key: "l" })).toMatchObject({
        source: "store",
        replayed: false,
      });
    });
    expect(asked).toBe(3);
  });

  it("drops copies that a call without the cache changed", async () => {
    const { client, run, check } = await setUp(url, { limit: 9, period: "day", ...BY_USER });
    for (const subject of ["a", "b"]) await run({ subject, amount: 5 });
    await decided(client, { subject: "a", amount: 2 });
    expect(await check({ subject: "a" })).toMatchObject({ source: "store", used: 7 });
    expect(await check({ subject: "b" })).toMatchObject({ source: "cache", used: 5 });
    const inputs = ["a", "b"].map((subject) => inputOf({ subject, cache: "c" }));
    await client.processor.quota.runAll(inputs, { atomic: true });
    expect(await check({ subject: "a" })).toMatchObject({ source: "store", used: 8 });
    expect(await check({ subject: "b" })).toMatchObject({ source: "store", used: 6 });
    await client.processor.quota.runAll(
      inputs.map((input) => ({ ...input, action: "check" as const })),
      { atomic: true },
    );
    expect(await check({ subject: "b" })).toMatchObject({ source: "cache", used: 6 });
  });

  it("answers for several rules only if it has all of their counters", async () => {
    const { clock, run, check } = await setUp(url, {
      rules: [
        { name: "user", ...BY_USER, limit: 5, period: "day" },
        { name: "all", limit: 8, period: "day" },
      ],
    });
    await run({ subject: "a", amount: 4 });
    expect(await check({ subject: "b" })).toMatchObject({ source: "store", age_ms: 0 });
    clock.advance(300);
    await run({ subject: "b", amount: 4 });
    clock.advance(100);
    const told = await check({ subject: "a" });
    // The older of the two copies is that of user a.
    expect(told).toMatchObject({ source: "cache", age_ms: 400, allowed: false, rule: "all" });
    expect(told.rules?.map(({ used }) => used)).toEqual([4, 8]);
  });

  it("keeps a rolling window moving in a cached answer", async () => {
    const quota = { limit: 6, period: "second", window: "rolling" } as const;
    const { client, clock, run, check } = await setUp(url, quota);
    await client.product.caches.update("shop", "c", { expiry: 60_000 });
    await run({ amount: 4 });
    clock.advance(500);
    await run({ amount: 2 });
    expect(await run()).toMatchObject({ source: "cache", allowed: false, retry_after_ms: 500 });
    clock.advance(500);
    expect(await check({ amount: 4 })).toMatchObject({ source: "cache", used: 2, allowed: true });
    expect(await run()).toMatchObject({ source: "store", allowed: true, used: 3 });
  });

  it("shows what another client changed no later than its expiry", async () => {
    const { client, clock, path, run, check } = await setUp(url, { limit: 5, period: "day" });
    if (client.guarantees.shared === "process") return;
    await using other = new Ductape({ store: path, clock });
    await run({ amount: 5 });
    await decided(other, { action: "reset" });
    expect(await check()).toMatchObject({ allowed: false, source: "cache" });
    clock.advance(EXPIRY_MS);
    expect(await run()).toMatchObject({ allowed: true, source: "store", used: 1 });
  });

  it("asks the store once, however many checks wait for the same counter", async () => {
    const { check, run, askedBy } = await setUp(url, { limit: 5, period: "day" });
    const asked = await askedBy(async () => {
      const results = await Promise.all(Array.from({ length: 100 }, () => check()));
      expect(results.filter(({ source }) => source === "store")).toHaveLength(1);
    });
    expect(asked).toBe(1);
    const [, ...later] = await Promise.all([run(), ...Array.from({ length: 10 }, () => check())]);
    for (const { used } of later) expect(used).toBeLessThanOrEqual(1);
    expect(await check({ amount: 0 })).toMatchObject({ used: 1 });
  });

  it("fails all waiting calls, and keeps no trace of the fault", async () => {
    const { clock, check, counted, askedBy } = await setUp(url, { limit: 5, period: "day" });
    await check();
    counted.fault = new StoreError("STORE_UNAVAILABLE", "it is down");
    expect(await check()).toMatchObject({ source: "cache" });
    clock.advance(EXPIRY_MS);
    const down = await Promise.allSettled([check(), check(), check()]);
    expect(down.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
    counted.fault = null;
    expect(await askedBy(check)).toBe(1);
  });

  it("forgets a counter whose change failed, as it may have been counted", async () => {
    const { check, run, counted } = await setUp(url, { limit: 5, period: "day" });
    for (const cache of ["c", {}]) {
      await check();
      counted.fault = new StoreError("OUTCOME_UNKNOWN", "no answer came");
      await expect(run({ cache })).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN" });
      counted.fault = null;
      expect(await check()).toMatchObject({ source: "store" });
    }
  });

  it("does not answer a call that is aborted, nor one after close", async () => {
    const { client, check } = await setUp(url, { limit: 5, period: "day" });
    await check();
    const input = inputOf({ action: "check", cache: "c" });
    const aborted = client.processor.quota.run(input, { signal: AbortSignal.abort() });
    await expect(aborted).rejects.toMatchObject({ code: "ABORTED" });
    expect(await check()).toMatchObject({ source: "cache" });
    await client.close();
    await expect(check()).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
  });

  it("uses no copy from the future if the clock was set back", async () => {
    const { check, clock } = await setUp(url, { limit: 5, period: "day" });
    await check();
    clock.advance(-1);
    expect(await check()).toMatchObject({ source: "store" });
    expect(await check()).toMatchObject({ source: "cache", age_ms: 0 });
  });

  it("follows a changed window at once, whoever changes it", async () => {
    const { client, clock, counted, run, check } = await setUp(url, { limit: 5, period: "day" });
    await run({ amount: 4 });
    await client.product.quotas.update("shop", "q", { limit: 5, period: "month" });
    const exact = await decided(client, { action: "check" });
    expect(exact).toMatchObject({ used: 4, period: "month" });
    expect(await check()).toEqual(exact);
    // Another client leaves the copy as it is: its count is carried as that of the counter was.
    const other = new Ductape({ store: counted, clock });
    await other.product.quotas.update("shop", "q", { limit: 5, period: "year" });
    await client.product.fetchAll();
    expect(await check()).toEqual({ ...exact, ...(await yearOf(client)), source: "cache" });
  });
});

/** The part of a decision about the window. */
async function yearOf(client: Ductape) {
  const { period, window, resets_at } = await decided(client, { action: "check" });
  expect(period).toBe("year");
  return { period, window, resets_at };
}

it("keeps a bounded number of counters, those of the last uses", async () => {
  const { client, check, run } = await setUp("memory:", { limit: 5, period: "day", ...BY_USER });
  for (let i = 0; i < ENTRIES_MAX * 3; i++) {
    await run({ subject: `user-${i}` });
    if (i % 1_000 === 0) await check({ subject: "user-0" });
  }
  const kept = await client.product.caches.values("shop", { cache_tag: "c" });
  expect(kept.length).toBeLessThanOrEqual(ENTRIES_MAX);
  expect(kept.length).toBeGreaterThanOrEqual(ENTRIES_MAX / 2);
  expect(await check({ subject: "user-0" })).toMatchObject({ source: "cache" });
  expect(await check({ subject: "user-1" })).toMatchObject({ source: "store" });
  const newest = `user-${ENTRIES_MAX * 3 - ENTRIES_MAX / 2 + 2}`;
  expect(await check({ subject: newest })).toMatchObject({ source: "cache" });
});
