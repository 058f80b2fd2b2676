import { afterAll, beforeEach, describe, expect, it } from "vitest";
import type { Decision, Ductape, Period, QuotaDefinition, QuotaInput } from "ductape";
import { clientWith, inputOf, randomOf, seedOf, storeUrls, temporaryFolder } from "./support.js";

const folder = temporaryFolder();
afterAll(folder.remove);
const URLS = storeUrls(folder.path);

const MINUTE_MS = 60_000;
const PART_MS = 1_000;
const START_MS = Date.UTC(2026, 4, 15, 12);
let nowMs = START_MS;
beforeEach(() => {
  nowMs = START_MS;
});

let stores = 0;
/** A client with one rolling quota `q` on a store of its own, under the clock of the test. */
function open(url: string, quota: Omit<QuotaDefinition, "tag">) {
  const store = url.replace("store.db", `${stores++}.db`);
  const rolling = { tag: "q", window: "rolling", ...quota } as const;
  return clientWith([rolling], { store, clock: () => nowMs });
}

async function run(ductape: Ductape, input: Partial<QuotaInput> = {}): Promise<Decision> {
  const result = await ductape.processor.quota.run(inputOf(input));
  return result;
}

const check = (ductape: Ductape) => run(ductape, { action: "check" });
const iso = (atMs: number) => new Date(atMs).toISOString();

interface Admission {
  readonly atMs: number;
  readonly amount: number;
}

/** The sum of what was admitted in `(fromMs, toMs]`. */
function sumIn(admitted: readonly Admission[], fromMs: number, toMs: number): number {
  const inside = admitted.filter(({ atMs }) => atMs > fromMs && atMs <= toMs);
  return inside.reduce((sum, { amount }) => sum + amount, 0);
}

const PERIODS: readonly (readonly [Period, number])[] = [
  ["second", 1_000],
  ["minute", MINUTE_MS],
  [{ every: 7, unit: "minute" }, 7 * MINUTE_MS],
  ["day", 1_440 * MINUTE_MS],
  ["month", 31 * 1_440 * MINUTE_MS],
];
const seed = seedOf();
const CALLS = 250;

/** Mostly within a part or two, on a grid that meets boundaries; sometimes a long pause. */
function stepMs(random: ReturnType<typeof randomOf>, periodMs: number): number {
  const gridMs = Math.max(1, Math.floor(periodMs / 120));
  return random.below(40) === 0 ? random.below(periodMs * 2) : random.below(6) * 2 * gridMs;
}

describe.each(URLS)(`random amounts on %s (SEED=${seed})`, (url) => {
  it.each(PERIODS)("%j: no interval of its length holds more than the limit", async (...given) => {
    const [period, periodMs] = given;
    const random = randomOf(seed);
    const limit = 4 + random.below(20);
    await using ductape = await open(url, { limit, period });
    const admitted: Admission[] = [];
    let denials = 0;
    for (let i = 0; i < CALLS; i++) {
      nowMs += stepMs(random, periodMs);
      const amount = 1 + random.below(4);
      const { allowed, used } = await run(ductape, { amount });
      if (allowed) admitted.push({ atMs: nowMs, amount });
      else denials++;
      const exact = sumIn(admitted, nowMs - periodMs, nowMs);
      const atMost = sumIn(admitted, nowMs - periodMs - periodMs / 60, nowMs);
      expect(exact, `call ${i}`).toBeLessThanOrEqual(limit);
      expect(used, `call ${i}`).toBeGreaterThanOrEqual(exact);
      expect(used, `call ${i}`).toBeLessThanOrEqual(atMost);
      if (!allowed) expect(atMost + amount, `denial ${i}`).toBeGreaterThan(limit);
    }
    expect(Math.min(denials, admitted.length)).toBeGreaterThan(9);
  });

  it("admits a denied caller after retry_after_ms, and not a millisecond earlier", async () => {
    const random = randomOf(seed);
    await using ductape = await open(url, { limit: 9, period: "minute" });
    let waits = 0;
    for (let i = 0; i < CALLS; i++) {
      nowMs += random.below(8) * 500;
      const amount = 1 + random.below(9);
      const { allowed, retry_after_ms } = await run(ductape, { amount });
      if (allowed) {
        expect(retry_after_ms).toBe(0);
        continue;
      }
      if (retry_after_ms === null) throw new Error(`call ${i} may never be admitted`);
      waits++;
      nowMs += retry_after_ms - 1;
      const again = await run(ductape, { action: "check", amount });
      expect(again, `call ${i}`).toMatchObject({ allowed: false, retry_after_ms: 1 });
      nowMs += 1;
      expect(await run(ductape, { amount }), `call ${i}`).toMatchObject({ allowed: true });
    }
    expect(waits).toBeGreaterThan(9);
  });
});

describe.each(URLS)("a rolling window on %s", (url) => {
  it("ends now, and resets when its oldest amount leaves", async () => {
    await using ductape = await open(url, { limit: 3, period: "minute" });
    const here = () => ({ start: iso(nowMs - MINUTE_MS), end: iso(nowMs) });
    expect(await check(ductape)).toMatchObject({ used: 0, window: here(), resets_at: iso(nowMs) });
    const resets_at = iso(START_MS + MINUTE_MS);
    expect(await run(ductape)).toMatchObject({ used: 1, window: here(), resets_at });
    nowMs += 10 * PART_MS;
    expect(await run(ductape, { amount: 2 })).toMatchObject({ window: here(), resets_at });
    expect(await run(ductape)).toMatchObject({ allowed: false, window: here(), resets_at });
    nowMs = START_MS + MINUTE_MS;
    const later = iso(nowMs + 10 * PART_MS);
    expect(await check(ductape)).toMatchObject({ used: 2, window: here(), resets_at: later });
  });

  it("lets an amount leave when the period has passed, not a millisecond earlier", async () => {
    await using ductape = await open(url, { limit: 1, period: "minute" });
    await run(ductape);
    nowMs = START_MS + MINUTE_MS - 1;
    expect(await run(ductape)).toMatchObject({ allowed: false, used: 1, retry_after_ms: 1 });
    nowMs = START_MS + MINUTE_MS;
    expect(await run(ductape)).toMatchObject({ allowed: true, used: 1 });
  });

  it("waits until enough has left for the amount", async () => {
    await using ductape = await open(url, { limit: 10, period: "minute" });
    for (const amount of [2, 3, 5]) {
      await run(ductape, { amount });
      nowMs += 10 * PART_MS;
    }
    const waits = [];
    for (const amount of [1, 2, 3, 5, 6, 10, 11]) {
      waits.push((await run(ductape, { action: "check", amount })).retry_after_ms);
    }
    const [two, three, five] = [30, 40, 50].map((seconds) => seconds * PART_MS);
    expect(waits).toEqual([two, two, three, three, five, five, null]);
  });

  it("admits a job that spends the whole limit in the first minute of each hour", async () => {
    await using ductape = await open(url, { limit: 60, period: "hour" });
    const admitted = [];
    for (let hour = 0; hour < 5; hour++) {
      let count = 0;
      for (let second = 0; second < 60; second++) {
        nowMs = START_MS + hour * 60 * MINUTE_MS + second * 1_000;
        if ((await run(ductape)).allowed) count++;
      }
      admitted.push(count);
    }
    expect(admitted).toEqual([60, 60, 60, 60, 60]);
  });

  it("lets each of 64 amounts leave on its own millisecond", async () => {
    await using ductape = await open(url, { limit: 64, period: "minute" });
    for (let i = 0; i < 64; i++, nowMs += 3) await run(ductape);
    const left = [];
    for (const ms of [-1, 0, 2, 3, 63 * 3 - 1, 63 * 3]) {
      nowMs = START_MS + MINUTE_MS + ms;
      left.push((await check(ductape)).used);
    }
    expect(left).toEqual([64, 63, 63, 62, 1, 0]);
  });

  it("joins the two amounts of a part that it delays least, past 64", async () => {
    await using ductape = await open(url, { limit: 1_000, period: "minute" });
    // 10 ms apart, and 10 each but for these: 30, 31 and 32 would be delayed by 20, 20 and 10.
    for (let i = 0; i < 65; i++, nowMs += 10) {
      await run(ductape, { amount: i === 30 || i === 31 ? 2 : i === 32 ? 1 : 10 });
    }
    const leftAt = async (ms: number) => {
      nowMs = START_MS + MINUTE_MS + ms;
      return (await check(ductape)).used;
    };
    expect(await leftAt(310)).toBe(321);
    expect(await leftAt(320)).toBe(321);
    expect(await leftAt(330)).toBe(310);
    expect(await leftAt(340)).toBe(300);
  });

  it("joins no amounts of two parts, so none stays longer than a part past its time", async () => {
    await using ductape = await open(url, { limit: 1_000, period: "minute" });
    // Two in each part but the last; the latest of one part and the first of the next are closest.
    for (let i = 0; i < 65; i++) {
      nowMs = START_MS + Math.floor(i / 2) * PART_MS + (i % 2) * (PART_MS - 1);
      await run(ductape);
    }
    const left = [];
    for (const ms of [0, PART_MS - 1, PART_MS, 2 * PART_MS - 1]) {
      nowMs = START_MS + MINUTE_MS + ms;
      left.push((await check(ductape)).used);
    }
    // The pair of the first part is joined: of equal delays the oldest.
    expect(left).toEqual([65, 63, 62, 61]);
  });

  it("decrement takes from the newest amounts first", async () => {
    await using ductape = await open(url, { limit: 10, period: "minute" });
    for (const amount of [4, 3, 2]) {
      await run(ductape, { amount });
      nowMs += 10 * PART_MS;
    }
    expect(await run(ductape, { action: "decrement", amount: 3 })).toMatchObject({ used: 6 });
    nowMs = START_MS + MINUTE_MS;
    expect(await check(ductape)).toMatchObject({ used: 2 });
    nowMs = START_MS + MINUTE_MS + 10 * PART_MS;
    expect(await check(ductape)).toMatchObject({ used: 0, resets_at: iso(nowMs) });
    expect(await run(ductape, { action: "decrement" })).toMatchObject({ used: 0 });
  });

  it("set replaces all amounts by one of now, and reset by none", async () => {
    await using ductape = await open(url, { limit: 5, period: "minute" });
    await run(ductape, { amount: 5 });
    nowMs += 20 * PART_MS;
    const set = await run(ductape, { action: "set", amount: 3 });
    expect(set).toMatchObject({ used: 3, resets_at: iso(nowMs + MINUTE_MS) });
    nowMs = START_MS + MINUTE_MS;
    expect(await check(ductape)).toMatchObject({ used: 3 });
    const over = await run(ductape, { action: "set", amount: 7 });
    expect(over).toMatchObject({ allowed: true, used: 7, overage: 2, exceeded: true });
    const reset = await run(ductape, { action: "reset" });
    expect(reset).toMatchObject({ used: 0, previous_used: 7, resets_at: iso(nowMs) });
    expect(await run(ductape, { amount: 5 })).toMatchObject({ allowed: true, used: 5 });
  });

  it("that is soft admits past its limit, and reports the overage", async () => {
    await using ductape = await open(url, { limit: 1, period: "minute", on_exceed: "allow" });
    const over = { allowed: true, exceeded: true, used: 3, overage: 2, retry_after_ms: 0 };
    expect(await run(ductape, { amount: 3 })).toMatchObject(over);
    nowMs += MINUTE_MS;
    expect(await check(ductape)).toMatchObject({ exceeded: false, used: 0, overage: 0 });
  });

  it("reports an alert again only after it was empty", async () => {
    await using ductape = await open(url, { limit: 4, period: "minute", alerts: [0.5] });
    const alerts = [{ rule: "default", fraction: 0.5 }];
    await run(ductape);
    nowMs += 10 * PART_MS;
    expect(await run(ductape)).toMatchObject({ alerts });
    nowMs = START_MS + MINUTE_MS;
    expect(await check(ductape)).toMatchObject({ used: 1 });
    expect(await run(ductape)).not.toHaveProperty("alerts");
    nowMs += 2 * MINUTE_MS;
    expect(await run(ductape, { amount: 2 })).toMatchObject({ alerts });
  });

  it("keeps every amount while the clock is behind", async () => {
    await using ductape = await open(url, { limit: 2, period: "minute" });
    await run(ductape);
    nowMs -= 30 * PART_MS;
    expect(await run(ductape)).toMatchObject({ allowed: true, used: 2 });
    expect(await run(ductape)).toMatchObject({ allowed: false, retry_after_ms: 90 * PART_MS });
    nowMs = START_MS + MINUTE_MS - 1;
    expect(await check(ductape)).toMatchObject({ used: 2 });
    nowMs = START_MS + MINUTE_MS;
    expect(await check(ductape)).toMatchObject({ used: 0 });
  });
});
