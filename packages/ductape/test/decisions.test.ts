import { afterAll, beforeEach, describe, expect, it } from "vitest";
import {
  DuctapeError,
  QuotaExceededError,
  type AlertEvent,
  type Decision,
  type Ductape,
  type EmbeddedOptions,
  type QuotaDefinition,
  type QuotaInput,
} from "ductape";
import { clientWith, inputOf, storeUrls, temporaryFolder } from "./support.js";

const folder = temporaryFolder();
afterAll(folder.remove);
const URLS = storeUrls(folder.path);

const DAY_MS = 86_400_000;
const MIDNIGHT_MS = Date.UTC(2026, 4, 16);
const NOON_MS = MIDNIGHT_MS - DAY_MS / 2;
const MAX = Number.MAX_SAFE_INTEGER;
let nowMs = NOON_MS;
beforeEach(() => {
  nowMs = NOON_MS;
});

let stores = 0;
/** A client with one quota `q` on a store of its own, under the clock of the test. */
function open(
  url: string,
  quota: Omit<QuotaDefinition, "tag">,
  options: EmbeddedOptions<"throw"> = {},
) {
  const store = url.replace("store.db", `${stores++}.db`);
  return clientWith([{ tag: "q", ...quota }], { store, clock: () => nowMs, ...options });
}

async function run(ductape: Ductape, input: Partial<QuotaInput> = {}): Promise<Decision> {
  const result = await ductape.processor.quota.run(inputOf(input));
  return result;
}

const check = (ductape: Ductape) => run(ductape, { action: "check" });
const fault = (path: string) => ({ code: "VALIDATION", issues: [{ path }] });

describe.each(URLS)("an action on %s", (url) => {
  it("check answers for its amount and changes nothing", async () => {
    await using ductape = await open(url, { limit: 2, period: "day" });
    const first = await check(ductape);
    expect(first).toMatchObject({ allowed: true, amount: 1, used: 0, remaining: 2 });
    expect(await check(ductape)).toEqual(first);
    const more = await run(ductape, { action: "check", amount: 3 });
    expect(more).toMatchObject({ allowed: false, exceeded: true, amount: 3, used: 0 });
    expect(await check(ductape)).toEqual(first);
  });

  it("increment denies the unit that would cross the limit, which costs nothing", async () => {
    await using ductape = await open(url, { limit: 3, period: "day" });
    expect(await run(ductape)).toMatchObject({ used: 1, remaining: 2, amount: 1 });
    const last = await run(ductape, { amount: 2 });
    expect(last).toMatchObject({ used: 3, remaining: 0, exceeded: false, retry_after_ms: 0 });
    const denial = await run(ductape);
    expect(denial).toEqual({
      ...last,
      amount: 1,
      allowed: false,
      success: false,
      exceeded: true,
      code: "QUOTA_EXCEEDED",
      retry_after_ms: MIDNIGHT_MS - NOON_MS,
    });
    expect(await run(ductape)).toEqual(denial);
  });

  it("increment admits a small amount after it denied a larger one", async () => {
    await using ductape = await open(url, { limit: 5, period: "day" });
    await run(ductape, { amount: 3 });
    expect(await run(ductape, { amount: 3 })).toMatchObject({ allowed: false, used: 3 });
    expect(await run(ductape, { amount: 2 })).toMatchObject({ allowed: true, used: 5 });
  });

  it("decrement lowers used, never under 0", async () => {
    await using ductape = await open(url, { limit: 5, period: "day" });
    expect(await run(ductape, { action: "decrement" })).toMatchObject({ used: 0, remaining: 5 });
    await run(ductape, { amount: 5 });
    expect(await run(ductape, { action: "decrement" })).toMatchObject({ used: 4, amount: 1 });
    const all = await run(ductape, { action: "decrement", amount: 100 });
    expect(all).toMatchObject({ allowed: true, used: 0, remaining: 5, amount: 100 });
    expect(await run(ductape, { amount: 5 })).toMatchObject({ allowed: true, used: 5 });
  });

  it("set writes used, also past the limit", async () => {
    await using ductape = await open(url, { limit: 5, period: "day" });
    expect(await run(ductape, { action: "set", amount: 4 })).toMatchObject({ used: 4 });
    const over = await run(ductape, { action: "set", amount: 8 });
    const numbers = { used: 8, remaining: 0, overage: 3 };
    expect(over).toMatchObject({ allowed: true, exceeded: true, ...numbers });
    expect(await run(ductape)).toMatchObject({ allowed: false, ...numbers });
    expect(await run(ductape, { action: "set", amount: 0 })).toMatchObject({ used: 0 });
  });

  it("reset sets used to 0 and returns what it was", async () => {
    await using ductape = await open(url, { limit: 5, period: "day" });
    await run(ductape, { amount: 4 });
    const reset = await run(ductape, { action: "reset" });
    expect(reset).toMatchObject({ allowed: true, used: 0, remaining: 5, previous_used: 4 });
    expect(await run(ductape, { action: "reset" })).toMatchObject({ previous_used: 0 });
    expect(await run(ductape)).toMatchObject({ used: 1 });
    expect(await check(ductape)).not.toHaveProperty("previous_used");
  });
});

describe.each(URLS)("an amount on %s", (url) => {
  it("of 0 is admitted, changes nothing and reports nothing", async () => {
    await using ductape = await open(url, { limit: 2, period: "day", alerts: [0.5] });
    await run(ductape, { action: "set", amount: 2 });
    const none = await run(ductape, { amount: 0 });
    expect(none).toMatchObject({ allowed: true, used: 2, amount: 0, exceeded: false });
    expect(none).not.toHaveProperty("alerts");
    expect(await run(ductape, { action: "check", amount: 0 })).toMatchObject({ allowed: true });
    expect(await check(ductape)).toMatchObject({ used: 2, allowed: false });
  });

  it("is 1 unless given, and required for set and grant", async () => {
    await using ductape = await open(url, { limit: 5, period: "day" });
    for (const action of ["increment", "check", "decrement"] as const) {
      expect(await run(ductape, { action, amount: {} })).toMatchObject({ amount: 1 });
    }
    for (const action of ["set", "grant"] as const) {
      await expect(run(ductape, { action })).rejects.toMatchObject(fault("amount"));
      await expect(run(ductape, { action, amount: {} })).rejects.toMatchObject(fault("amount"));
    }
    expect(await check(ductape)).toMatchObject({ used: 0, limit: 5 });
  });

  it("larger than the limit can never be admitted, so there is nothing to wait for", async () => {
    await using ductape = await open(url, { limit: 5, period: "day" });
    for (const action of ["increment", "check"] as const) {
      const denial = { allowed: false, code: "QUOTA_EXCEEDED", retry_after_ms: null };
      expect(await run(ductape, { action, amount: 6 })).toMatchObject(denial);
    }
    await run(ductape, { amount: 1 });
    expect(await run(ductape, { amount: 5 })).toMatchObject({ retry_after_ms: DAY_MS / 2 });
  });

  it("that a limit refuses is a denial however large it is", async () => {
    await using ductape = await open(url, { limit: 5, period: "day" });
    await run(ductape);
    const denial = { allowed: false, code: "QUOTA_EXCEEDED", used: 1, retry_after_ms: null };
    expect(await run(ductape, { action: "check", amount: MAX })).toMatchObject(denial);
    expect(await run(ductape, { amount: MAX })).toMatchObject(denial);
  });

  it("that takes a counter past 2^53-1 is a fault and changes nothing", async () => {
    await using ductape = await open(url, { limit: null, period: "day" });
    await run(ductape, { action: "set", amount: MAX - 1 });
    await expect(run(ductape, { amount: 2 })).rejects.toMatchObject(fault("amount"));
    expect(await check(ductape)).toMatchObject({ used: MAX - 1 });
    expect(await run(ductape)).toMatchObject({ used: MAX });
    await run(ductape, { action: "grant", amount: MAX });
    const grant = run(ductape, { action: "grant", amount: 1 });
    await expect(grant).rejects.toMatchObject(fault("amount"));
  });

  it("counts in exact decimals, and refuses more digits than the quota has", async () => {
    await using ductape = await open(url, { limit: 0.3, period: "day", decimals: 2 });
    await run(ductape, { amount: 0.1 });
    expect(await run(ductape, { amount: 0.2 })).toMatchObject({ used: 0.3, remaining: 0 });
    expect(await run(ductape, { amount: 0.01 })).toMatchObject({ allowed: false, used: 0.3 });
    await run(ductape, { action: "decrement", amount: 0.07 });
    expect(await check(ductape)).toMatchObject({ used: 0.23, remaining: 0.07, limit: 0.3 });
    for (const amount of [0.001, 1.005, MAX / 10, Number.MIN_VALUE]) {
      await expect(run(ductape, { amount })).rejects.toMatchObject(fault("amount"));
    }
    const most = await run(ductape, { action: "set", amount: 90_071_992_547_409.91 });
    expect(most).toMatchObject({ used: 90_071_992_547_409.91, overage: 90_071_992_547_409.61 });
    expect(await run(ductape, { action: "reset" })).toMatchObject({ previous_used: most.used });
  });
});

describe.each(URLS)("a limit on %s", (url) => {
  it("of 0 denies every amount but 0", async () => {
    await using ductape = await open(url, { limit: 0, period: "day" });
    const denial = { allowed: false, limit: 0, remaining: 0, used: 0, retry_after_ms: null };
    expect(await run(ductape)).toMatchObject(denial);
    expect(await check(ductape)).toMatchObject(denial);
    expect(await run(ductape, { amount: 0 })).toMatchObject({ allowed: true, exceeded: false });
  });

  it("of null only counts", async () => {
    await using ductape = await open(url, { limit: null, period: "day", alerts: [0.5] });
    const counted = { allowed: true, limit: null, remaining: null, overage: 0, exceeded: false };
    expect(await run(ductape, { amount: 1e12 })).toMatchObject({ ...counted, used: 1e12 });
    expect(await run(ductape)).toMatchObject({ ...counted, used: 1e12 + 1 });
  });

  it("that is soft admits past it, and reports the overage", async () => {
    await using ductape = await open(url, { limit: 3, period: "day", on_exceed: "allow" });
    expect(await run(ductape, { amount: 3 })).toMatchObject({ exceeded: false, overage: 0 });
    expect(await check(ductape)).toMatchObject({ allowed: true, exceeded: true, used: 3 });
    const over = { allowed: true, code: "OK", exceeded: true, remaining: 0, retry_after_ms: 0 };
    expect(await run(ductape, { amount: 4 })).toMatchObject({ ...over, used: 7, overage: 4 });
    const less = await run(ductape, { action: "decrement", amount: 4 });
    expect(less).toMatchObject({ used: 3, overage: 0, exceeded: false });
  });

  it("is lifted by a grant for its window only", async () => {
    await using ductape = await open(url, { limit: 2, period: "day" });
    await run(ductape, { amount: 2 });
    const grant = await run(ductape, { action: "grant", amount: 3 });
    expect(grant).toMatchObject({ allowed: true, amount: 3, limit: 5, used: 2, remaining: 3 });
    expect(await run(ductape, { action: "grant", amount: 1 })).toMatchObject({ limit: 6 });
    expect(await run(ductape, { amount: 4 })).toMatchObject({ allowed: true, used: 6, limit: 6 });
    expect(await run(ductape, { action: "reset" })).toMatchObject({ limit: 6, used: 0 });
    nowMs = MIDNIGHT_MS - 1;
    expect(await check(ductape)).toMatchObject({ limit: 6 });
    nowMs = MIDNIGHT_MS;
    expect(await run(ductape)).toMatchObject({ limit: 2, used: 1 });
    expect(await run(ductape, { amount: 2 })).toMatchObject({ allowed: false, used: 1 });
  });

  it("of a lifetime keeps its grants", async () => {
    await using ductape = await open(url, { limit: 2, period: "lifetime" });
    await run(ductape, { amount: 2 });
    await run(ductape, { action: "grant", amount: 3 });
    nowMs += 20 * 365 * DAY_MS;
    expect(await run(ductape, { amount: 3 })).toMatchObject({ allowed: true, limit: 5, used: 5 });
  });

  it("of a rolling window accepts no grant", async () => {
    await using ductape = await open(url, { limit: 2, period: "day", window: "rolling" });
    const grant = run(ductape, { action: "grant", amount: 1 });
    await expect(grant).rejects.toMatchObject(fault("action"));
    expect(await check(ductape)).toMatchObject({ limit: 2, used: 0 });
  });
});

/** The fractions that a decision reports; with none the field is absent. */
async function fractions(answer: Promise<Decision>): Promise<number[]> {
  const { alerts } = await answer;
  expect(alerts).not.toEqual([]);
  return (alerts ?? []).map(({ fraction }) => fraction);
}

const ALERTED = { limit: 10, period: "day", alerts: [1, 0.5, 0.8] } as const;

describe.each(URLS)("an alert on %s", (url) => {
  it("is reported by exactly one decision of each window", async () => {
    await using ductape = await open(url, ALERTED);
    for (const day of [0, 1]) {
      nowMs = NOON_MS + day * DAY_MS;
      const told: number[][] = [];
      for (let i = 0; i < 12; i++) {
        expect(await fractions(check(ductape))).toEqual([]);
        told.push(await fractions(run(ductape)));
      }
      expect(told).toEqual([[], [], [], [], [0.5], [], [], [0.8], [], [1], [], []]);
    }
  });

  it("is reported with the others that one decision crosses, also by set", async () => {
    await using ductape = await open(url, ALERTED);
    const alerts = [0.5, 0.8].map((fraction) => ({ rule: "default", fraction }));
    expect(await run(ductape, { amount: 9 })).toMatchObject({ alerts });
    expect(await fractions(run(ductape, { action: "set", amount: 30 }))).toEqual([1]);
    expect(await fractions(run(ductape, { action: "set", amount: 5 }))).toEqual([]);
  });

  it("is armed again by reset, not by decrement or grant", async () => {
    await using ductape = await open(url, ALERTED);
    expect(await fractions(run(ductape, { amount: 8 }))).toEqual([0.5, 0.8]);
    await run(ductape, { action: "decrement", amount: 8 });
    expect(await fractions(run(ductape, { amount: 9 }))).toEqual([]);
    expect(await fractions(run(ductape, { action: "grant", amount: 10 }))).toEqual([]);
    expect(await fractions(run(ductape, { amount: 10 }))).toEqual([]);
    expect(await fractions(run(ductape))).toEqual([1]);
    expect(await fractions(run(ductape, { action: "reset" }))).toEqual([]);
    expect(await fractions(run(ductape, { amount: 16 }))).toEqual([0.5, 0.8]);
  });

  it("is reported by the change that reaches its fraction, decimal or not", async () => {
    await using ductape = await open(url, { limit: 3, period: "day", alerts: [1 / 3, 2 / 3] });
    const told = [run(ductape), run(ductape), run(ductape)].map(fractions);
    expect((await Promise.all(told)).map(({ length }) => length)).toEqual([1, 1, 0]);
  });

  it("reports its fraction as defined", async () => {
    await using ductape = await open(url, { limit: 300, period: "day", alerts: [1 / 3, 2 / 3] });
    expect(await fractions(run(ductape, { amount: 299 }))).toEqual([1 / 3, 2 / 3]);
  });

  it("is one event for each listener, until it unsubscribes", async () => {
    await using ductape = await open(url, ALERTED);
    const events: AlertEvent[] = [];
    const stop = ductape.onAlert((event) => events.push(event));
    await run(ductape, { amount: 4 });
    const decision = await run(ductape, { amount: 4 });
    const [half, most] = decision.alerts ?? [];
    expect(events).toEqual([
      { alert: half, decision },
      { alert: most, decision },
    ]);
    await run(ductape, { amount: 1 });
    stop();
    expect(await fractions(run(ductape))).toEqual([1]);
    expect(events).toHaveLength(2);
  });
});

describe.each(URLS)("a listener that fails on %s", (url) => {
  const broken = new Error("the pager is broken");

  it("is logged, and fails neither the call nor another listener", async () => {
    const warnings: unknown[] = [];
    const logger = { warn: (_: string, error?: unknown) => warnings.push(error) };
    await using ductape = await open(url, ALERTED, { logger });
    let told = 0;
    ductape.onAlert(() => {
      throw broken;
    });
    ductape.onAlert(() => told++);
    expect(await run(ductape, { amount: 8 })).toMatchObject({ allowed: true, used: 8 });
    expect(warnings).toEqual([broken, broken]);
    expect(told).toBe(2);
  });

  it("is also logged if it fails later", async () => {
    const warnings: unknown[] = [];
    const logger = { warn: (_: string, error?: unknown) => warnings.push(error) };
    await using ductape = await open(url, ALERTED, { logger });
    const later = Promise.reject(broken);
    later.catch(() => undefined);
    ductape.onAlert(() => later);
    expect(await run(ductape, { amount: 5 })).toMatchObject({ allowed: true, used: 5 });
    await new Promise(setImmediate);
    expect(warnings).toEqual([broken]);
  });
});

describe.each(URLS)("time on %s", (url) => {
  it("keeps the window until its last millisecond and starts the next at its end", async () => {
    await using ductape = await open(url, { limit: 2, period: "day" });
    const window = { start: "2026-05-15T00:00:00.000Z", end: "2026-05-16T00:00:00.000Z" };
    await run(ductape, { amount: 2 });
    for (nowMs of [MIDNIGHT_MS - DAY_MS, NOON_MS, NOON_MS + 1, MIDNIGHT_MS - 1]) {
      const denial = await run(ductape);
      expect(denial).toMatchObject({ allowed: false, used: 2, window, resets_at: window.end });
      expect(denial.retry_after_ms).toBe(MIDNIGHT_MS - nowMs);
    }
    nowMs = MIDNIGHT_MS;
    const next = { start: window.end, end: "2026-05-17T00:00:00.000Z" };
    const fresh = await run(ductape);
    expect(fresh).toMatchObject({ allowed: true, used: 1, window: next, resets_at: next.end });
  });

  it("never runs backwards: an older instant is decided in the counter's window", async () => {
    await using ductape = await open(url, { limit: 3, period: "day" });
    nowMs = MIDNIGHT_MS;
    await run(ductape, { amount: 2 });
    nowMs = MIDNIGHT_MS - 1;
    const start = "2026-05-16T00:00:00.000Z";
    expect(await check(ductape)).toMatchObject({ used: 2, window: { start } });
    expect(await run(ductape)).toMatchObject({ allowed: true, used: 3, window: { start } });
    const denial = await run(ductape);
    expect(denial).toMatchObject({ allowed: false, window: { start } });
    expect(denial.retry_after_ms).toBe(DAY_MS + 1);
    nowMs = MIDNIGHT_MS;
    expect(await check(ductape)).toMatchObject({ used: 3, allowed: false });
  });

  it("ends no lifetime", async () => {
    await using ductape = await open(url, { limit: 1, period: "lifetime" });
    await run(ductape);
    for (const years of [0, 50]) {
      nowMs = NOON_MS + years * 365 * DAY_MS;
      const forever = { allowed: false, used: 1, resets_at: null, retry_after_ms: null };
      expect(await run(ductape)).toMatchObject({ ...forever, window: { end: null } });
    }
  });
});

describe.each(URLS)("enforce on %s", (url) => {
  it("throws the denial that run returns, and returns what run admits", async () => {
    await using ductape = await open(url, { limit: 1, period: "day" });
    const { quota } = ductape.processor;
    expect(await quota.enforce(inputOf())).toMatchObject({ allowed: true, used: 1 });
    const error: unknown = await quota.enforce(inputOf()).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(QuotaExceededError);
    expect(DuctapeError.is(error)).toBe(true);
    expect(error).toMatchObject({ code: "QUOTA_EXCEEDED", result: await run(ductape) });
    const unknown = quota.enforce(inputOf({ quota_tag: "nothing" }));
    await expect(unknown).rejects.toMatchObject({ code: "QUOTA_NOT_FOUND" });
  });
});
