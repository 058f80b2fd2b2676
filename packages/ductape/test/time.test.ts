import { afterAll, afterEach, describe, expect, it, vi } from "vitest";
import type { Decision, Period, QuotaInput } from "ductape";
import { manualClock } from "ductape/testing";
import { callAny, clientWith, faultOf, inputOf, storeUrls, temporaryFolder } from "./support.js";

const folder = temporaryFolder();
afterAll(folder.remove);
afterEach(() => {
  vi.useRealTimers();
});

const START = "2026-05-15T12:00:00Z";
const DAY_MS = 86_400_000;
const YEAR_MS = 366 * DAY_MS;
const PERIODS = ["second", "hour", "week", "month", "year", "lifetime"] as const;
let files = 0;

/** A client on a clock, with a quota of each period and a rolling one. */
async function open(url: string, clock: () => number) {
  const store = url.replace("store.db", `${++files}.db`);
  const each = PERIODS.map((period: Period) => ({ tag: String(period), period, limit: 5 }));
  const rolling = { tag: "q", period: "hour", window: "rolling", limit: 5 } as const;
  const ductape = await clientWith([...each, rolling], { store, clock });
  const run = async (input: Partial<QuotaInput> = {}): Promise<Decision> => {
    const result = await ductape.processor.quota.run(inputOf(input));
    return result;
  };
  return { ductape, run, [Symbol.asyncDispose]: () => ductape.close() };
}

describe.each(storeUrls(folder.path))("a client with a clock, on %s", (url) => {
  it("is the only clock: for windows, waits, keys, stamps and cleaning up", async () => {
    // The system's own time is long past: it would show in every instant.
    vi.useFakeTimers({ toFake: ["Date"], now: Date.UTC(1999, 0, 1) });
    const clock = manualClock(START);
    await using bench = await open(url, clock);
    const { product } = bench.ductape;
    const told: unknown[] = [await product.fetchAll(), await product.quotas.fetchAll("shop")];
    for (const quota_tag of [...PERIODS, "q"]) {
      for (const amount of [4, 2]) {
        told.push(await bench.run({ quota_tag, amount, idempotency_key: `${amount}` }));
      }
    }
    expect(JSON.stringify(told)).not.toContain("1999");
    expect(await bench.run({ quota_tag: "hour", amount: 2 })).toMatchObject({
      window: { start: "2026-05-15T12:00:00.000Z", end: "2026-05-15T13:00:00.000Z" },
      retry_after_ms: 3_600_000,
    });
    const weekMs = 7 * DAY_MS;
    clock.advance(weekMs);
    expect(await bench.run({ quota_tag: "hour", amount: 5 })).toMatchObject({ allowed: true });
    expect(await bench.run({ amount: 4, idempotency_key: "4" })).toMatchObject({ replayed: false });
    await product.quotas.update("shop", "q", { limit: 9 });
    const { created_at, updated_at } = await product.quotas.fetch("shop", "q");
    expect(Date.parse(created_at)).toBe(Date.parse(START));
    expect(Date.parse(updated_at)).toBe(Date.parse(START) + weekMs);
  });

  it("reads no other for sessions: they begin, are renewed and end by it", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: Date.UTC(1999, 0, 1) });
    const clock = manualClock(START);
    await using bench = await open(url, clock);
    const { product, processor } = bench.ductape;
    const schema = { userId: "u" };
    const session = { tag: "user", selector: "$Session{userId}", expiry: 1, period: "hours" };
    await product.sessions.create("shop", { ...session, period: "hours", schema });
    const target = { product: "shop", env: "prd", tag: "user" };
    const first = await processor.sessions.start({ ...target, data: schema });
    expect(first.expiresAt).toBe("2026-05-15T13:00:00.000Z");
    const asked = { quota_tag: "week", session: { tag: "user", token: first.token } };
    expect(await bench.run(asked)).toMatchObject({ used: 1 });
    clock.advance(3_599_000);
    const next = await processor.sessions.refresh({ ...target, refreshToken: first.refreshToken });
    expect(JSON.stringify([next, await processor.sessions.list(target)])).not.toContain("1999");
    clock.advance(1_000);
    expect(await faultOf(bench.run(asked))).toMatchObject({ code: "SESSION_EXPIRED" });
  });

  it("refuses a value that is not an instant, naming the clock, and counts nothing", async () => {
    const given: object = { now: Date.parse(START) };
    const clock = (): number => Reflect.get(given, "now");
    await using bench = await open(url, clock);
    await bench.run();
    const wrong = [1.5, Number.NaN, Infinity, -Infinity, "0", null, undefined, new Date(0), 5n];
    const outside = [-1, Date.UTC(10_000, 0), 8.64e15, 2 ** 53];
    for (const now of [...wrong, ...outside]) {
      Reflect.set(given, "now", now);
      const { product, processor } = bench.ductape;
      const calls = [
        processor.quota.run(inputOf()),
        processor.quota.runAll([inputOf(), inputOf()], { atomic: true }),
        callAny(product, "create", { tag: "another" }),
      ];
      for (const call of calls) {
        const fault = await faultOf(call);
        expect(fault.code).toBe("VALIDATION");
        expect(fault.message).toContain("options.clock: must give epoch milliseconds");
      }
    }
    Reflect.set(given, "now", Date.parse(START) + 1);
    expect(await bench.run()).toMatchObject({ used: 2 });
    expect(await bench.ductape.product.fetchAll()).toHaveLength(1);
  });

  it.each(["1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z"])(
    "takes the first and the last instant: %s",
    async (start) => {
      await using bench = await open(url, manualClock(start));
      for (const quota_tag of [...PERIODS, "q"]) {
        const { used, window } = await bench.run({ quota_tag });
        expect(used).toBe(1);
        if (quota_tag === "lifetime") continue;
        expect(Date.parse(window?.start ?? "")).toBeLessThanOrEqual(Date.parse(start));
        expect(Date.parse(window?.end ?? "")).toBeGreaterThanOrEqual(Date.parse(start));
        expect(Date.parse(window?.end ?? "")).toBeLessThanOrEqual(Date.parse(start) + YEAR_MS);
        expect(await bench.run({ quota_tag, amount: 5 })).toMatchObject({ allowed: false });
      }
    },
  );

  it("that steps back grants nothing afresh, and forgets neither counts nor keys", async () => {
    const clock = manualClock(START);
    await using bench = await open(url, clock);
    for (const quota_tag of [...PERIODS, "q"]) {
      await bench.run({ quota_tag, amount: 4, idempotency_key: "k" });
    }
    for (const backMs of [1, 999, 3_600_000, DAY_MS, 40 * DAY_MS]) {
      clock.set(Date.parse(START) - backMs);
      for (const quota_tag of [...PERIODS, "q"]) {
        const at = `${quota_tag}, ${backMs} ms back`;
        const denied = await bench.run({ quota_tag, amount: 2 });
        expect([denied.allowed, denied.used], at).toEqual([false, 4]);
        const again = await bench.run({ quota_tag, amount: 4, idempotency_key: "k" });
        expect([again.replayed, again.used], at).toEqual([true, 4]);
      }
    }
  });
});
