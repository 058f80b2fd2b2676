import { afterAll, describe, expect, it } from "vitest";
import type { QuotaDefinition, QuotaInput, Store } from "ductape";
import { manualClock } from "ductape/testing";
import { openSqlite } from "../src/stores/sqlite/driver.js";
import { openStore } from "../src/stores/url.js";
import { contextOf, clientWith, faultOf, inputOf } from "./support.js";
import { testedStores, type TestedStore } from "./tested.js";

// Redis drops what has expired by itself, and by its own clock.
const { stores, stop } = await testedStores({ redis: false });
afterAll(stop);

const DAY_MS = 86_400_000;
const START = "2026-01-15T12:00:00Z";
const BY_USER = { scope: "$Session{userId}", limit: null } as const;
let opened = 0;

/** A client with quotas, the clock it reads and its store. */
async function open(tested: TestedStore, quotas: readonly QuotaDefinition[]) {
  const clock = manualClock(START);
  const place = `place_${++opened}`;
  const url = tested.url(place);
  const store = openStore(url, contextOf(clock));
  const ductape = await clientWith(quotas, { store, clock });
  const run = async (input: Partial<QuotaInput>) => {
    const result = await ductape.processor.quota.run(inputOf(input));
    return result;
  };
  /** Counts one for each of `count` new subjects, at most ten a batch. */
  const countNew = async (name: string, count: number, quota_tag = "q") => {
    for (let first = 0; first < count; first += 10) {
      const length = Math.min(10, count - first);
      const subjects = Array.from({ length }, (_, i) => `${name}-${first + i}`);
      await Promise.all(subjects.map((subject) => run({ quota_tag, subject })));
    }
  };
  const rows = (table: string) => tested.rows(place, table);
  return { ductape, clock, store, url, rows, run, countNew, [Symbol.asyncDispose]: close };
  function close() {
    return ductape.close();
  }
}

/** The subjects whose counters the store has, by their first word. */
async function subjectsOf(store: Store): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for await (const { subject } of store.scan("")) {
    const name = subject.split("-")[0] ?? "";
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

describe.each(stores)("counters of past windows on $name", (tested) => {
  it("go as new ones come, and those of windows that last stay", async () => {
    await using bench = await open(tested, [
      { tag: "q", period: "day", ...BY_USER },
      { tag: "for-ever", period: "lifetime", ...BY_USER },
      { tag: "year", period: "year", ...BY_USER },
    ]);
    await bench.countNew("kept", 50, "for-ever");
    await bench.countNew("yearly", 50, "year");
    await bench.countNew("old", 200);
    expect(await subjectsOf(bench.store)).toEqual({ kept: 50, yearly: 50, old: 200 });
    for (let day = 1; day <= 5; day++) {
      bench.clock.advance(DAY_MS);
      await bench.countNew(`day${day}`, 320);
    }
    const { kept, yearly, old, day1, day2, day4, day5 } = await subjectsOf(bench.store);
    expect({ kept, yearly, old, day1, day2 }).toEqual({ kept: 50, yearly: 50 });
    // The window that ended last can still be listed.
    expect({ day4, day5 }).toEqual({ day4: 320, day5: 320 });
    const check = { action: "check", subject: "kept-7" } as const;
    expect(await bench.run({ ...check, quota_tag: "for-ever" })).toMatchObject({ used: 1 });
  });

  it("stay a minute longer than their window, for a clock that is set back", async () => {
    await using bench = await open(tested, [{ tag: "q", period: "minute", ...BY_USER }]);
    await bench.countNew("old", 20);
    bench.clock.advance(119_000);
    await bench.countNew("later", 60);
    expect(await subjectsOf(bench.store)).toEqual({ old: 20, later: 60 });
    bench.clock.advance(-60_000);
    expect(await bench.run({ subject: "old-3" })).toMatchObject({ used: 2 });
    bench.clock.advance(61_000);
    await bench.countNew("latest", 100);
    expect(await subjectsOf(bench.store)).toMatchObject({ later: 60, latest: 100 });
    expect((await subjectsOf(bench.store))["old"]).toBeUndefined();
  });

  it("that roll over under the same subjects become no more", async () => {
    await using bench = await open(tested, [{ tag: "q", period: "day", ...BY_USER }]);
    for (let day = 0; day < 20; day++) {
      await bench.countNew("same", 30);
      expect(await bench.run({ action: "check", subject: "same-3" })).toMatchObject({ used: 1 });
      bench.clock.advance(DAY_MS);
    }
    expect(await subjectsOf(bench.store)).toEqual({ same: 30 });
  });

  it("are looked at two for each new one, never swept", async () => {
    await using bench = await open(tested, [{ tag: "q", period: "day", ...BY_USER }]);
    await bench.countNew("old", 300);
    // Pays what batches that went on at once left to look at.
    await bench.run({ subject: "settle" });
    bench.clock.advance(2 * DAY_MS);
    let left = 300;
    for (let i = 0; i < 400; i++) {
      await bench.run({ subject: `new-${i}` });
      const { old = 0 } = await subjectsOf(bench.store);
      expect(left - old, "dropped by one call").toBeLessThanOrEqual(2);
      left = old;
    }
    expect(left).toBe(0);
  });

  it("of a rolling rule go when their newest amount has left, wherever the clock was", async () => {
    const rolling = { tag: "q", ...BY_USER, limit: 10, period: "hour", window: "rolling" } as const;
    await using bench = await open(tested, [rolling, { tag: "other", period: "day", ...BY_USER }]);
    await bench.run({ subject: "rolling-1", amount: 9 });
    bench.clock.advance(-1_800_000);
    await bench.run({ subject: "rolling-1", amount: 1 });
    bench.clock.advance(1_800_000 + 3_599_000);
    await bench.countNew("new", 20, "other");
    const denied = await bench.run({ subject: "rolling-1" });
    expect(denied).toMatchObject({ allowed: false, used: 10 });
    bench.clock.advance(3_600_000 + 61_000);
    await bench.countNew("newer", 60, "other");
    expect((await subjectsOf(bench.store))["rolling"]).toBeUndefined();
  });
});

describe.each(stores)("what is deleted on $name", (tested) => {
  it("deletes its counters too, some with each batch that changes something", async () => {
    await using bench = await open(tested, [
      { tag: "q", period: "lifetime", ...BY_USER },
      { tag: "gone", period: "lifetime", ...BY_USER },
    ]);
    const { quota } = bench.ductape.processor;
    const subjects = Array.from({ length: 900 }, (_, i) => `gone-${i}`);
    await quota.runAll(subjects.map((subject) => inputOf({ quota_tag: "gone", subject })));
    await bench.run({ subject: "kept-1" });
    await bench.ductape.product.quotas.delete("shop", "gone");
    let { gone: left = 0 } = await subjectsOf(bench.store);
    if (bench.url !== "memory:") expect(left).toBe(900);
    for (let batches = 0; left > 0; batches++) {
      expect(batches).toBeLessThan(10);
      await bench.run({ subject: "kept-1" });
      const { gone = 0 } = await subjectsOf(bench.store);
      expect(left - gone).toBeLessThanOrEqual(200);
      left = gone;
    }
    expect(await subjectsOf(bench.store)).toEqual({ kept: 1 });
    if (bench.url === "memory:") return;
    for (let i = 0; i < 3; i++) await bench.run({ subject: "kept-1" });
    expect(await bench.rows("forgotten")).toBe(0);
  });

  it("is a rule as well: its counters go, those of the other rules stay", async () => {
    const user = { name: "user", period: "lifetime", ...BY_USER } as const;
    const all = { name: "all", period: "lifetime", limit: null } as const;
    await using bench = await open(tested, [{ tag: "q", rules: [user, all] }]);
    await bench.countNew("user", 5);
    await bench.ductape.product.quotas.update("shop", "q", { rules: [all] });
    for (let i = 0; i < 3; i++) await bench.run({});
    expect(await subjectsOf(bench.store)).toEqual({ "": 1 });
    expect(await bench.run({ action: "check" })).toMatchObject({ used: 8 });
  });
});

describe.each(stores)("an idempotency key on $name", (tested) => {
  const quota = { tag: "q", period: "hour", limit: 5 } as const;

  it("is kept for 24 hours, over ends of windows and resets, then counts again", async () => {
    await using bench = await open(tested, [quota]);
    const first = await bench.run({ idempotency_key: "k", amount: 2 });
    await bench.run({ action: "reset" });
    bench.clock.advance(DAY_MS - 1);
    const again = await bench.run({ idempotency_key: "k", amount: 2 });
    expect(again).toEqual({ ...first, replayed: true });
    expect(await bench.run({ action: "check" })).toMatchObject({ used: 0 });
    bench.clock.advance(1);
    expect(await bench.run({ idempotency_key: "k", amount: 2 })).toMatchObject({
      replayed: false,
      used: 2,
    });
    bench.clock.advance(-3_600_000);
    expect(await bench.run({ idempotency_key: "k", amount: 2 })).toMatchObject({ replayed: true });
  });

  it("is another one in each product, environment and quota", async () => {
    await using bench = await open(tested, [quota, { ...quota, tag: "other" }]);
    const { product } = bench.ductape;
    await product.environments.create("shop", { slug: "dev" });
    await product.create({ tag: "shop/prd" });
    await product.environments.create("shop/prd", { slug: "prd" });
    await product.quotas.create("shop/prd", quota);
    const places: readonly Partial<QuotaInput>[] = [
      {},
      { quota_tag: "other" },
      { env: "dev" },
      { product_tag: "shop/prd" },
    ];
    for (const isAgain of [false, true]) {
      for (const place of places) {
        const result = await bench.run({ ...place, idempotency_key: "k" });
        expect(result).toMatchObject({ replayed: isAgain, used: 1 });
      }
    }
  });

  it("is not spent by a fault", async () => {
    await using bench = await open(tested, [{ ...quota, limit: null }]);
    await bench.run({ amount: Number.MAX_SAFE_INTEGER });
    const over = bench.ductape.processor.quota.run(inputOf({ idempotency_key: "k" }));
    expect(await faultOf(over)).toMatchObject({ code: "VALIDATION" });
    const signal = AbortSignal.abort();
    const given = bench.ductape.processor.quota.run(inputOf({ idempotency_key: "k" }), { signal });
    expect(await faultOf(given)).toMatchObject({ code: "ABORTED" });
    await bench.run({ action: "reset" });
    expect(await bench.run({ idempotency_key: "k" })).toMatchObject({ used: 1, replayed: false });
  });

  // In memory they go in groups: memory-answers.test.ts.
  it.runIf(tested.name !== "memory")("goes after its time, two for each new one", async () => {
    await using bench = await open(tested, [{ ...quota, limit: null }]);
    for (let i = 0; i < 100; i++) await bench.run({ idempotency_key: `old-${i}` });
    bench.clock.advance(DAY_MS + 1);
    let dropped = 0;
    for (let i = 0; i < 60; i++) {
      await bench.run({ idempotency_key: `new-${i}` });
      const left = (await bench.rows("answers")) - i - 1;
      expect(100 - left - dropped).toBeLessThanOrEqual(2);
      dropped = 100 - left;
    }
    expect(dropped).toBe(100);
  });

  it("is kept for as long as its first use says", async () => {
    await using bench = await open(tested, [quota]);
    const key = { idempotency_key: "k", idempotency_ttl_ms: 1_500 };
    await bench.run(key);
    bench.clock.advance(1_499);
    expect(await bench.run(key)).toMatchObject({ replayed: true });
    const longer = { ...key, idempotency_ttl_ms: 60_000 };
    expect(await bench.run(longer)).toMatchObject({ replayed: true });
    bench.clock.advance(1);
    expect(await bench.run(longer)).toMatchObject({ replayed: false, used: 2 });
  });
});

it("an idempotency key is not spent by a call that waits too long for a lock", async () => {
  const tested = stores.find(({ name }) => name === "sqlite");
  if (tested === undefined) throw new Error("there is no SQLite");
  await using bench = await open(tested, [{ tag: "q", period: "day", limit: 5 }]);
  await bench.run({});
  const other = await openSqlite(bench.url.slice("sqlite:".length));
  other.exec("BEGIN IMMEDIATE");
  const input = inputOf({ idempotency_key: "k" });
  const late = bench.ductape.processor.quota.run(input, { timeoutMs: 20 });
  expect(await faultOf(late)).toMatchObject({ code: "TIMEOUT" });
  other.close();
  expect(await bench.run(input)).toMatchObject({ used: 2, replayed: false });
  expect(await bench.run(input)).toMatchObject({ used: 2, replayed: true });
});
