import { afterAll, describe, expect, it } from "vitest";
import { Ductape, type HistoryInput, type QuotaInput, type UsageHistory } from "ductape";
import { manualClock } from "ductape/testing";
import { clientWith, inputOf, randomOf, seedOf, storeUrls, temporaryFolder } from "./support.js";

const folder = temporaryFolder();
afterAll(folder.remove);
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const SCOPE = "$Session{userId}";
const asked = { product_tag: "shop", env: "prd", quota_tag: "q" };

let files = 0;
const fresh = (url: string) => url.replace("store.db", `history-${files++}.db`);

const run = (ductape: Ductape, input: Partial<QuotaInput>) =>
  ductape.processor.quota.run(inputOf(input));

const told = ({ windows }: UsageHistory) =>
  windows.map(({ start, used, limit }) => [start.slice(0, 10), used, limit]);

const DAILY = { tag: "q", limit: 9, period: "day", history: 5 } as const;

/** A client that counted 4 in the day before. */
async function dayAfter(url: string) {
  const clock = manualClock("2026-01-01T00:00:00Z");
  const ductape = await clientWith([DAILY], { store: fresh(url), clock });
  await run(ductape, { amount: 4 });
  clock.advance(DAY_MS);
  return { ductape, clock };
}

describe.each(storeUrls(folder.path))("usage.history on %s", (url) => {
  it("lists the current window and those before, each with its limit at the time", async () => {
    const clock = manualClock("2026-01-10T00:00:00Z");
    const quota = { tag: "q", limit: 10, period: "month", history: 12, decimals: 1 } as const;
    await using ductape = await clientWith([quota], { store: fresh(url), clock });
    const { quotas } = ductape.product;
    await run(ductape, { amount: 8.5 });
    clock.set("2026-03-10T00:00:00Z");
    await run(ductape, { amount: 2 });
    await run(ductape, { action: "grant", amount: 5 });
    await run(ductape, { amount: 12 });
    await run(ductape, { action: "decrement", amount: 0.5 });
    clock.set("2026-04-10T00:00:00Z");
    await quotas.update("shop", "q", { limit: null });
    await run(ductape, { amount: 1 });
    clock.set("2026-05-10T00:00:00Z");
    await quotas.update("shop", "q", { limit: 7 });
    await run(ductape, { action: "set", amount: 6 });
    const history = await ductape.usage.history(asked);
    expect(history).toMatchObject({ rule: "default", subject: null, keeps: 12 });
    expect(told(history)).toEqual([
      ["2026-05-01", 6, 7],
      ["2026-04-01", 1, null],
      ["2026-03-01", 13.5, 15],
      // Nothing was counted, so that no limit is kept.
      ["2026-02-01", 0, 7],
      ["2026-01-01", 8.5, 10],
    ]);
    expect(history.windows[2]).toEqual({
      start: "2026-03-01T00:00:00.000Z",
      end: "2026-04-01T00:00:00.000Z",
      used: 13.5,
      held: 0,
      limit: 15,
      remaining: 1.5,
    });
    await run(ductape, { action: "reset" });
    expect(told(await ductape.usage.history(asked))[0]).toEqual(["2026-05-01", 0, 7]);
  });

  it("keeps as many windows as the rule says, of each subject and by its plan", async () => {
    const clock = manualClock("2026-01-01T00:00:00Z");
    const limit = { by: "$Session{plan}", values: { pro: 9, team: null }, default: 3 } as const;
    const quota = { tag: "q", scope: SCOPE, limit, period: "day", history: 2 } as const;
    await using ductape = await clientWith([quota], { store: fresh(url), clock });
    const plans = ["pro", "team", "free", "pro"];
    for (const [day, plan] of plans.entries()) {
      const amount = 1 + (day % 3);
      await run(ductape, { subject: { userId: "ada", plan }, amount });
      await run(ductape, { subject: { userId: "ada/1", plan }, amount: 1 });
      // Others come and go: what is past its time is dropped.
      for (let i = 0; i < 40; i++) await run(ductape, { subject: { userId: `u${day}-${i}` } });
      clock.advance(DAY_MS);
    }
    expect(told(await ductape.usage.history({ ...asked, subject: "ada" }))).toEqual([
      ["2026-01-05", 0, 9],
      ["2026-01-04", 1, 9],
      ["2026-01-03", 3, 3],
    ]);
    expect(told(await ductape.usage.history({ ...asked, subject: "ada/1" }))).toEqual([
      ["2026-01-05", 0, 9],
      ["2026-01-04", 1, 9],
      ["2026-01-03", 1, 3],
    ]);
    expect(told(await ductape.usage.history({ ...asked, subject: "nobody" }))).toEqual([
      ["2026-01-05", 0, 3],
    ]);
  });

  it("counts a retry once, even in the next window", async () => {
    const clock = manualClock("2026-01-01T23:00:00Z");
    const quota = { tag: "q", scope: SCOPE, limit: 9, period: "day", history: 2 } as const;
    await using ductape = await clientWith([quota], { store: fresh(url), clock });
    const once = { subject: "ada", amount: 4, idempotency_key: "k" };
    const first = await run(ductape, once);
    clock.advance(2 * HOUR_MS);
    expect(await run(ductape, once)).toEqual({ ...first, replayed: true });
    expect(first).not.toHaveProperty("rules");
    const { windows } = await ductape.usage.history({ ...asked, subject: "ada" });
    expect(windows.map(({ used }) => used)).toEqual([0, 4]);
  });

  it("starts again with a new window version, and lists one window without history", async () => {
    const clock = manualClock("2026-01-30T12:00:00Z");
    const quota = { tag: "q", limit: 9, period: "day", history: 5 } as const;
    await using ductape = await clientWith([quota], { store: fresh(url), clock });
    const { quotas } = ductape.product;
    await run(ductape, { amount: 4 });
    await quotas.update("shop", "q", { period: "month" });
    await run(ductape, { amount: 2 });
    expect(told(await ductape.usage.history(asked))).toEqual([["2026-01-01", 6, 9]]);
    clock.set("2026-02-01T00:00:00Z");
    // The 4 are in the history of days, and in no other.
    expect(told(await ductape.usage.history(asked))).toEqual([
      ["2026-02-01", 0, 9],
      ["2026-01-01", 2, 9],
    ]);
    await quotas.update("shop", "q", { period: "day" });
    expect((await ductape.usage.history(asked)).windows.at(-1)).toMatchObject({
      start: "2026-01-30T00:00:00.000Z",
      used: 4,
    });
  });

  it("discards what it kept when history ends, and starts again", async () => {
    const { ductape, clock } = await dayAfter(url);
    await using _ = ductape;
    const { quotas, environments } = ductape.product;
    await quotas.update("shop", "q", { history: 3 });
    expect(told(await ductape.usage.history(asked))).toHaveLength(2);
    await quotas.update("shop", "q", { history: 0 });
    expect(await ductape.usage.history(asked)).toMatchObject({ keeps: 0, windows: [{ used: 0 }] });
    await run(ductape, { amount: 3 });
    await quotas.update("shop", "q", { history: 5 });
    await run(ductape, { amount: 1 });
    clock.advance(DAY_MS);
    expect(told(await ductape.usage.history(asked))).toEqual([
      ["2026-01-03", 0, 9],
      // What is counted once it is set.
      ["2026-01-02", 1, 9],
    ]);
    await quotas.update("shop", "q", { history: 0 });
    await environments.delete("shop", "prd");
  });

  it("keeps the limit of a window that was only set, and of a plan", async () => {
    const clock = manualClock("2026-01-10T00:00:00Z");
    const by = "$Session{plan}";
    const limit = { by, values: { pro: 50, team: null }, default: 10 } as const;
    const rules = [
      { name: "all", limit: null, period: "month", history: 2 },
      { name: "user", scope: SCOPE, limit, period: "month", history: 2 },
    ] as const;
    await using ductape = await clientWith([{ tag: "q", rules }], { store: fresh(url), clock });
    await run(ductape, { action: "set", rule: "all", amount: 5, subject: "ada" });
    await run(ductape, { amount: 1, subject: { userId: "ada", plan: "pro" } });
    clock.set("2026-02-10T00:00:00Z");
    const [, user] = rules;
    await ductape.product.quotas.update("shop", "q", {
      rules: [{ name: "all", limit: 7, period: "month", history: 2 }, user],
    });
    expect(told(await ductape.usage.history({ ...asked, rule: "all" }))).toEqual([
      ["2026-02-01", 0, 7],
      ["2026-01-01", 6, null],
    ]);
    clock.set("2026-03-10T00:00:00Z");
    // Others come, so that the counter of January may be dropped.
    for (let i = 0; i < 40; i++) await run(ductape, { subject: `u${i}` });
    expect(told(await ductape.usage.history({ ...asked, rule: "user", subject: "ada" }))).toEqual([
      ["2026-03-01", 0, 50],
      ["2026-02-01", 0, 50],
      ["2026-01-01", 1, 50],
    ]);
  });

  it("lists what it keeps at any hour, when clocks are set forward and back", async () => {
    const clock = manualClock("2025-09-20T00:00:00Z");
    const rules = (
      [
        ["day", "Europe/Paris", 1],
        ["day", "Europe/Paris", 4],
        ["week", "America/New_York", 1],
        ["month", "Europe/Paris", 1],
      ] as const
    ).map(([period, time_zone, history], i) => {
      return { name: `r${i}`, limit: null, period, time_zone, history };
    });
    await using ductape = await clientWith([{ tag: "q", rules }], { store: fresh(url), clock });
    for (let day = 0; day < 30; day++) {
      await run(ductape, {});
      clock.advance(DAY_MS);
    }
    for (let half = 0; half < 48 * 16; half++) {
      if (half % 48 === 0) await run(ductape, {});
      for (const { name, history } of rules) {
        const { windows } = await ductape.usage.history({ ...asked, rule: name });
        expect(windows).toHaveLength(1 + history);
        expect(windows[1]?.used).toBeGreaterThan(0);
      }
      clock.advance(HOUR_MS / 2);
    }
  });

  it("lists the counter's window if a clock stepped back", async () => {
    const clock = manualClock("2026-01-31T12:00:00Z");
    const quota = { tag: "q", limit: 9, period: "month", history: 2 } as const;
    await using ductape = await clientWith([quota], { store: fresh(url), clock });
    await run(ductape, { amount: 4 });
    clock.set("2026-02-01T00:00:00Z");
    await run(ductape, { amount: 2 });
    clock.set("2026-01-31T23:00:00Z");
    expect(told(await ductape.usage.history(asked))).toEqual([
      ["2026-02-01", 2, 9],
      ["2026-01-01", 4, 9],
    ]);
  });

  it("is deleted with the quota, and needs force for an environment that has some", async () => {
    const { ductape } = await dayAfter(url);
    await using _ = ductape;
    const { quotas, environments } = ductape.product;
    const refused = environments.delete("shop", "prd");
    await expect(refused).rejects.toMatchObject({ issues: [{ path: "options.force" }] });
    await quotas.delete("shop", "q");
    await quotas.create("shop", DAILY);
    expect(told(await ductape.usage.history(asked))).toEqual([["2026-01-02", 0, 9]]);
    await environments.delete("shop", "prd");
  });

  it("agrees with a recount of random calls", async () => {
    const seed = seedOf();
    const random = randomOf(seed);
    const clock = manualClock(random.pick(["2026-03-26T00:00:00Z", "2026-10-22T00:00:00Z"]));
    const rules = [
      {
        name: "day",
        scope: SCOPE,
        limit: 40,
        period: "day",
        time_zone: "Europe/Paris",
        history: 4,
      },
      { name: "all", limit: 90, period: "week", history: 3 },
      { name: "roll", scope: SCOPE, limit: 60, period: "day", window: "rolling" },
    ] as const;
    await using ductape = await clientWith([{ tag: "q", rules }], { store: fresh(url), clock });
    const counted: { subject: string; atMs: number; amount: number }[] = [];
    for (let call = 0; call < 1000; call++) {
      const subject = random.pick(["a", "b", "c"]);
      const amount = 1 + random.below(9);
      const result = await run(ductape, { subject, amount });
      if (result.allowed) counted.push({ subject, atMs: clock(), amount });
      if (random.below(3) === 0) clock.advance(random.below(6) * HOUR_MS);
      if (call % 40 > 0) continue;
      for (const rule of ["day", "all"]) {
        const { windows } = await ductape.usage.history({
          ...asked,
          rule,
          ...(rule === "all" ? {} : { subject }),
        });
        const sums = windows.map(({ start, end }) => {
          const [fromMs, toMs] = [Date.parse(start), Date.parse(String(end))];
          return counted
            .filter((each) => rule === "all" || each.subject === subject)
            .filter(({ atMs }) => atMs >= fromMs && atMs < toMs)
            .reduce((sum, each) => sum + each.amount, 0);
        });
        expect(
          windows.map(({ used }) => used),
          `SEED=${seed}`,
        ).toEqual(sums);
      }
    }
    expect(counted.length).toBeGreaterThan(50);
  });

  it("is kept by calls through a cache too, and listed by none", async () => {
    const clock = manualClock("2026-01-01T00:00:00Z");
    const quota = { tag: "q", limit: 5, period: "day", history: 1 } as const;
    await using ductape = await clientWith([quota], { store: fresh(url), clock });
    await ductape.product.caches.create("shop", { tag: "c", expiry: 60_000 });
    const cached = { cache: "c" };
    for (const amount of [3, 2, 1]) await run(ductape, { ...cached, amount });
    const denied = await run(ductape, { ...cached, amount: 1 });
    expect(denied).toMatchObject({ allowed: false, source: "cache", used: 5 });
    const values = await ductape.product.caches.values("shop", { cache_tag: "c" });
    expect(values.map(({ value }) => value.used)).toEqual([5]);
    clock.advance(DAY_MS);
    expect((await ductape.usage.history(asked)).windows[1]).toMatchObject({ used: 5 });
  });

  it("refuses what it cannot read, naming the field", async () => {
    const rules = [
      { name: "a", limit: 1, period: "day", history: 1 },
      { name: "b", limit: 1, period: "day", scope: SCOPE },
    ] as const;
    await using ductape = await clientWith([{ tag: "q", rules }], { store: fresh(url) });
    const refused = (input: object, code: string, path: string) => {
      const wrong: HistoryInput = Object({ ...asked, ...input });
      const error = { code, issues: [{ path }] };
      return expect(ductape.usage.history(wrong)).rejects.toMatchObject(error);
    };
    await refused({}, "VALIDATION", "rule");
    await refused({ rule: "c" }, "VALIDATION", "rule");
    await refused({ rule: "a", subject: "ada" }, "VALIDATION", "subject");
    await refused({ rule: "b", subject: 7 }, "VALIDATION", "subject");
    await refused({ rule: "b", subject: "" }, "VALIDATION", "subject");
    await refused({ rule: "b" }, "SUBJECT_REQUIRED", "subject.userId");
    await refused({ rule: "b", subject: { user: "ada" } }, "SUBJECT_REQUIRED", "subject.userId");
    await refused({ rule: "b", subject: { userId: [] } }, "VALIDATION", "subject.userId");
    await refused({ rule: "b", limit: 7 }, "VALIDATION", "limit");
    const unknown = ductape.usage.history({ ...asked, quota_tag: "none" });
    await expect(unknown).rejects.toMatchObject({ code: "QUOTA_NOT_FOUND" });
  });
});

it.each([
  [{ period: "day", history: 1.5 }, "expects an integer from 0 to 400, got 1.5"],
  [{ period: "day", history: 401 }, "expects an integer from 0 to 400, got 401"],
  [{ period: "day", history: "12" }, 'expects an integer from 0 to 400, got "12"'],
  [{ period: "lifetime", history: 1 }, "expects 0 for a rolling window or a lifetime, got 1"],
  [
    { period: "day", window: "rolling", history: 1 },
    "expects 0 for a rolling window or a lifetime, got 1",
  ],
])("refuses a rule of %j", async (rule, message) => {
  const quota = Object({ tag: "q", limit: 1, ...rule });
  const made = clientWith([quota]);
  await expect(made).rejects.toMatchObject({ issues: [{ path: "history", message }] });
});

it("keeps windows that are as long, and as many, as a rule may have", async () => {
  const clock = manualClock("2026-01-01T00:00:00Z");
  const period = { every: 10_000, unit: "year" } as const;
  const quotas = [
    { tag: "q", limit: 5, period, history: 400 },
    { tag: "seconds", limit: 5, period: "second", history: 400 },
  ] as const;
  await using ductape = await clientWith(quotas, { clock });
  await run(ductape, { amount: 3 });
  expect((await ductape.usage.history(asked)).windows).toMatchObject([{ used: 3 }]);
  await run(ductape, { quota_tag: "seconds", amount: 3 });
  clock.advance(400_000);
  const { windows } = await ductape.usage.history({ ...asked, quota_tag: "seconds" });
  expect([windows.length, windows.at(-1)?.used]).toEqual([401, 3]);
  clock.advance(1_000);
  const later = await ductape.usage.history({ ...asked, quota_tag: "seconds" });
  expect(later.windows).toMatchObject([{ used: 0 }]);
});
