import { afterAll, describe, expect, it } from "vitest";
import {
  type Decision,
  type Patch,
  type QuotaDefinition,
  type QuotaInput,
  type RuleInput,
} from "ductape";
import { manualClock } from "ductape/testing";
import { openStore } from "../src/stores/url.js";
import {
  contextOf,
  clientWith,
  faultOf,
  inputOf,
  randomOf,
  seedOf,
  storeUrls,
  temporaryFolder,
} from "./support.js";

const folder = temporaryFolder();
afterAll(folder.remove);
const URLS = storeUrls(folder.path);

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** A Friday. */
const NOON = "2026-05-15T12:00:00Z";
const userId = "$Session{userId}";
const BY_USER = { name: "user", scope: userId, limit: 10, period: "day" } as const;
const BY_ORG = { name: "org", scope: "$Session{orgId}", limit: 20, period: "month" } as const;
const ann = { userId: "ann", orgId: "acme" };

const seed = seedOf();
let files = 0;
/** A client with quota `q`, the clock it reads, and its counters as the store has them. */
async function open(url: string, quota: Omit<QuotaDefinition, "tag">) {
  const clock = manualClock(NOON);
  const store = openStore(url.replace("store.db", `${files++}.db`), contextOf(clock));
  const ductape = await clientWith([{ tag: "q", ...quota }], { store, clock });
  const change = (patch: Patch<QuotaDefinition>) =>
    ductape.product.quotas.update("shop", "q", patch);
  const run = async (input: Partial<QuotaInput> = {}): Promise<Decision> => {
    const result = await ductape.processor.quota.run(inputOf(input));
    return result;
  };
  const check = (input: Partial<QuotaInput> = {}) => run({ ...input, action: "check" });
  const counters = async () => {
    const rows: string[] = [];
    for await (const { space, subject } of store.scan("")) rows.push(`${space}${subject}`);
    return rows;
  };
  return { ductape, clock, change, run, check, counters, [Symbol.asyncDispose]: close };
  function close() {
    return ductape.close();
  }
}

const usedOf = ({ rules = [] }: Decision) => rules.map(({ rule, used }) => [rule, used]);
const spanOf = (start: string, end: string) => ({ start: `${start}.000Z`, end: `${end}.000Z` });

describe.each(URLS)("a changed limit on %s", (url) => {
  it("applies from the next decision, raised, lowered, lifted and set again", async () => {
    await using quota = await open(url, { limit: 5, period: "day" });
    await quota.run({ amount: 5 });
    expect(await quota.check()).toMatchObject({ allowed: false, used: 5, limit: 5 });
    await quota.change({ limit: 7 });
    expect(await quota.run({ amount: 2 })).toMatchObject({ allowed: true, used: 7, remaining: 0 });
    await quota.change({ limit: 3 });
    const passed = { allowed: false, exceeded: true, used: 7, limit: 3, remaining: 0, overage: 4 };
    expect(await quota.run()).toMatchObject(passed);
    await quota.change({ limit: null });
    expect(await quota.run()).toMatchObject({ allowed: true, used: 8, limit: null });
    await quota.change({ limit: 8 });
    expect(await quota.run()).toMatchObject({ allowed: false, used: 8 });
  });

  it("of a plan, and the plan's selector, apply at once", async () => {
    const limit = { by: "$Session{plan}", values: { pro: 5 }, default: 2 };
    await using quota = await open(url, { limit, period: "day", scope: userId });
    const subject = { userId: "ann", plan: "pro", tier: "gold" };
    await quota.run({ subject, amount: 4 });
    await quota.change({ limit: { ...limit, values: { pro: 4, free: 1 } } });
    expect(await quota.run({ subject })).toMatchObject({ allowed: false, used: 4, limit: 4 });
    await quota.change({ limit: { by: "$Session{tier}", values: { gold: 6 }, default: 0 } });
    expect(await quota.run({ subject })).toMatchObject({ allowed: true, used: 5, limit: 6 });
    await quota.change({ limit: 5 });
    expect(await quota.run({ subject })).toMatchObject({ allowed: false, used: 5, limit: 5 });
  });

  it("keeps the grants of the window, and re-arms no alert", async () => {
    await using quota = await open(url, { limit: 10, period: "day", alerts: [0.5] });
    await quota.run({ action: "grant", amount: 3 });
    expect(await quota.run({ amount: 7 })).toMatchObject({ alerts: [{ fraction: 0.5 }] });
    await quota.change({ limit: 20 });
    const more = await quota.run({ amount: 10 });
    expect(more).toMatchObject({ used: 17, limit: 23 });
    expect(more.alerts).toBeUndefined();
  });

  it("turns into a soft one and back with on_exceed, at once", async () => {
    await using quota = await open(url, { limit: 1, period: "day" });
    await quota.run();
    expect(await quota.run()).toMatchObject({ allowed: false });
    await quota.change({ on_exceed: "allow" });
    expect(await quota.run()).toMatchObject({ allowed: true, exceeded: true, overage: 1 });
    await quota.change({ on_exceed: null });
    expect(await quota.run()).toMatchObject({ allowed: false, used: 2 });
  });

  it("leaves the answers to idempotency keys as they were", async () => {
    await using quota = await open(url, { limit: 1, period: "day" });
    const keyed = { idempotency_key: "k" };
    const first = await quota.run(keyed);
    await quota.change({ limit: 9, period: "month", on_exceed: "allow" });
    expect(await quota.run(keyed)).toEqual({ ...first, replayed: true });
    expect(await quota.check()).toMatchObject({ used: 1 });
  });
});

describe.each(URLS)("changed rules on %s", (url) => {
  it("keep their counters by name and scope, in whatever order", async () => {
    await using quota = await open(url, { rules: [BY_USER, BY_ORG] });
    await quota.run({ subject: ann, amount: 3 });
    await quota.change({ rules: [BY_ORG, { ...BY_USER, limit: 4 }] });
    const check = await quota.check({ subject: ann });
    expect(usedOf(check)).toEqual([
      ["org", 3],
      ["user", 3],
    ]);
    expect(await quota.run({ subject: ann, amount: 2 })).toMatchObject({ rule: "user" });
  });

  it.each([
    ["renamed", { rules: [{ ...BY_USER, name: "person" }, BY_ORG] }],
    ["given another scope", { rules: [{ ...BY_USER, scope: "$Session{orgId}" }, BY_ORG] }],
    ["given the scope of the product", { rules: [{ ...BY_USER, scope: "product" }, BY_ORG] }],
  ])("start at zero where one is %s, and its counters are forgotten", async (_, patch) => {
    await using quota = await open(url, { rules: [BY_USER, BY_ORG] });
    await quota.run({ subject: ann, amount: 3 });
    await quota.run({ subject: { userId: "bob", orgId: "acme" }, amount: 4 });
    const before = await quota.counters();
    expect(before.length).toBe(3);
    await quota.change(patch);
    const [first, second] = usedOf(await quota.check({ subject: ann }));
    expect([first?.[1], second]).toEqual([0, ["org", 7]]);
    await quota.change({ rules: [BY_USER, BY_ORG] });
    expect(usedOf(await quota.check({ subject: ann }))).toEqual([
      ["user", 0],
      ["org", 7],
    ]);
    // A file forgets a few rows with each new counter.
    for (let i = 0; i < 9; i++) await quota.run({ subject: { userId: `u${i}`, orgId: "acme" } });
    const after = await quota.counters();
    const kept = before.filter((row) => after.includes(row));
    expect(kept).toEqual([expect.stringContaining("/q/org/")]);
  });

  it("start at zero if one is removed and comes back", async () => {
    await using quota = await open(url, { rules: [BY_USER, BY_ORG] });
    await quota.run({ subject: ann, amount: 3 });
    await quota.change({ rules: [BY_ORG] });
    expect(await quota.check({ subject: ann })).toMatchObject({ rule: "org", used: 3 });
    await quota.change({ rules: [BY_USER, BY_ORG] });
    expect(usedOf(await quota.check({ subject: ann }))).toEqual([
      ["user", 0],
      ["org", 3],
    ]);
  });

  it("must all be given if there are several; a single one changes field by field", async () => {
    await using quota = await open(url, { rules: [BY_USER, BY_ORG] });
    const fault = await faultOf(() => quota.change({ limit: 1, alerts: [1] }));
    expect(fault.issues?.map(({ path }) => path)).toEqual(["limit", "alerts"]);
    expect(fault.message).toContain("several rules: give all of rules");
    await quota.change({ rules: [BY_USER] });
    await quota.run({ subject: ann, amount: 2 });
    const { rules } = await quota.change({ limit: 9, time_zone: {}, name: "Tokens" });
    expect(rules).toEqual([expect.objectContaining({ ...BY_USER, limit: 9 })]);
    expect(await quota.check({ subject: ann })).toMatchObject({ rule: "user", used: 2, limit: 9 });
    const only = await quota.change({ rules: null, limit: 8, period: "day", scope: userId });
    expect(only.rules).toEqual([expect.objectContaining({ ...BY_USER, limit: 8 })]);
    expect(await quota.check({ subject: ann })).toMatchObject({ rule: "user", used: 2, limit: 8 });
  });

  it("cannot change their unit", async () => {
    await using quota = await open(url, { limit: 1.5, period: "day", decimals: 1 });
    const before = await quota.ductape.product.quotas.fetch("shop", "q");
    for (const decimals of [0, 2, null]) {
      const fault = await faultOf(() => quota.change({ decimals, limit: 1 }));
      expect(fault).toMatchObject({ code: "VALIDATION", issues: [{ path: "decimals" }] });
      expect(fault.message).toContain("cannot change from 1 after creation: make a new quota");
    }
    expect(await quota.ductape.product.quotas.fetch("shop", "q")).toEqual(before);
    for (const decimals of [1, {}, undefined]) await quota.change({ decimals });
    expect(await quota.run({ amount: 1.5 })).toMatchObject({ allowed: true, limit: 1.5 });
  });
});

type Form = Omit<RuleInput, "limit">;
const DAY: Form = { period: "day" };
const ROLLING: Form = { period: "day", window: "rolling" };
const HOURLY: Form = { period: "hour", window: "rolling" };
const today = spanOf("2026-05-15T00:00:00", "2026-05-16T00:00:00");
const month = spanOf("2026-05-01T00:00:00", "2026-06-01T00:00:00");
const rolled = spanOf("2026-05-14T12:00:00", "2026-05-15T12:00:00");
const FORMS: readonly (readonly [string, Form, Form, object])[] = [
  ["a day into a month", DAY, { period: "month" }, month],
  ["a month into a day", { period: "month" }, DAY, today],
  ["an hour into a day", { period: "hour" }, DAY, today],
  ["a lifetime into a day", { period: "lifetime" }, DAY, today],
  [
    "a day into a lifetime",
    DAY,
    { period: "lifetime" },
    { start: "1970-01-01T00:00:00.000Z", end: null },
  ],
  ["a day into a rolling one", DAY, ROLLING, rolled],
  ["a rolling day into one of the calendar", ROLLING, { ...DAY, window: "calendar" }, today],
  [
    "a rolling day into a rolling hour",
    ROLLING,
    { period: "hour" },
    spanOf("2026-05-15T11:00:00", "2026-05-15T12:00:00"),
  ],
  [
    "a day into one of another zone",
    DAY,
    { period: "day", time_zone: "Asia/Tokyo" },
    spanOf("2026-05-14T15:00:00", "2026-05-15T15:00:00"),
  ],
  [
    "a week into one that starts on Friday",
    { period: "week" },
    { period: "week", week_start: "friday" },
    spanOf("2026-05-15T00:00:00", "2026-05-22T00:00:00"),
  ],
  [
    "a month into one from an anchor",
    { period: "month" },
    { period: "month", anchor: "2026-01-31T06:00:00Z" },
    spanOf("2026-04-30T06:00:00", "2026-05-31T06:00:00"),
  ],
  [
    "an anchored month into one from another anchor",
    { period: "month", anchor: "2026-01-31T06:00:00Z" },
    { period: "month", anchor: "2026-01-10T00:00:00Z" },
    spanOf("2026-05-10T00:00:00", "2026-06-10T00:00:00"),
  ],
  [
    "an anchored month into one of the calendar",
    { period: "month", anchor: "2026-01-31T06:00:00Z" },
    { period: "month", anchor: null },
    month,
  ],
  [
    "a month into two",
    { period: "month" },
    { period: { every: 2, unit: "month" } },
    spanOf("2026-05-01T00:00:00", "2026-07-01T00:00:00"),
  ],
];

describe.each(URLS)("a changed window on %s", (url) => {
  it.each(FORMS)("of %s transfers what is used, but no grant", async (_, from, to, window) => {
    await using quota = await open(url, { limit: 10, ...from });
    if (from.window !== "rolling") await quota.run({ action: "grant", amount: 5 });
    expect(await quota.run({ amount: 7 })).toMatchObject({ allowed: true, used: 7 });
    await quota.change(to);
    const check = await quota.check({ amount: 3 });
    expect(check).toMatchObject({ allowed: true, used: 7, limit: 10, remaining: 3, window });
    expect(await quota.check({ amount: 4 })).toMatchObject({ allowed: false, used: 7 });
    expect(await quota.run({ amount: 3 })).toMatchObject({ allowed: true, used: 10, window });
    expect(await quota.run()).toMatchObject({ allowed: false, used: 10 });
  });

  it("never gives a fresh allowance, however often it is changed", async () => {
    await using quota = await open(url, { limit: 10, ...DAY });
    for (const form of [...FORMS, ...FORMS.toReversed()]) {
      await quota.change({ window: null, time_zone: null, week_start: null, anchor: null });
      await quota.change(form[2]);
      await quota.run({ amount: 1 });
    }
    expect(await quota.check()).toMatchObject({ allowed: false, used: 10, limit: 10 });
  });

  it("carries nothing of a window that is past", async () => {
    await using quota = await open(url, { limit: 10, ...DAY });
    await quota.run({ amount: 7 });
    quota.clock.advance(DAY_MS);
    await quota.change({ period: "month" });
    expect(await quota.check()).toMatchObject({ used: 0, window: month });
    await quota.run({ amount: 4 });
    await quota.change({ period: "hour" });
    quota.clock.advance(31 * DAY_MS);
    expect(await quota.check()).toMatchObject({ used: 0 });
  });

  it("carries into the window that held at the change, which may end unasked", async () => {
    await using quota = await open(url, { limit: 10, period: "month" });
    await quota.run({ amount: 10 });
    await quota.change({ period: "day" });
    expect(await quota.run()).toMatchObject({ allowed: false, used: 10 });
    quota.clock.advance(DAY_MS);
    expect(await quota.run()).toMatchObject({ allowed: true, used: 1 });
  });

  it.each([
    ["day", "month", 13],
    ["hour", "day", 1.5],
  ] as const)("carries what a %s has used into the %s, after any time", async (from, to, hours) => {
    await using quota = await open(url, { limit: 10, period: from });
    await quota.run({ amount: 10 });
    await quota.change({ period: to });
    quota.clock.advance(hours * HOUR_MS);
    expect(await quota.run()).toMatchObject({ allowed: false, used: 10 });
  });

  it.each([
    ["a month, and the month into a year", DAY, { period: "month" }, 10 * DAY_MS, "year", 7],
    ["a rolling hour that still counts it", DAY, HOURLY, HOUR_MS - 1, "month", 7],
    ["a rolling hour that it has left", DAY, HOURLY, HOUR_MS, "month", 0],
    ["a day that has ended, of all time", { period: "lifetime" }, DAY, DAY_MS, "month", 0],
  ] as const)("carries through %s, though nobody asked", async (_, from, by, afterMs, to, used) => {
    await using quota = await open(url, { limit: 10, ...from });
    await quota.run({ amount: 7 });
    await quota.change(by);
    quota.clock.advance(afterMs);
    await quota.change({ period: to, window: null });
    expect(await quota.check()).toMatchObject({ used });
    await quota.run();
    expect(await quota.check()).toMatchObject({ used: used + 1 });
  });

  it(`transfers idle counters like used ones (SEED=${seed})`, async () => {
    const random = randomOf(seed);
    for (let chain = 0; chain < 8; chain++) {
      await using quota = await open(url, { scope: userId, limit: null, ...DAY });
      const used = async (subject: string) => (await quota.check({ subject })).used;
      for (const subject of ["asks", "sleeps"]) await quota.run({ subject, amount: 7 });
      for (let change = 0; change < 12; change++) {
        quota.clock.advance(random.pick([0, 1, HOUR_MS / 2, HOUR_MS, 13 * HOUR_MS, DAY_MS]));
        await quota.change({ window: null, time_zone: null, week_start: null, anchor: null });
        await quota.change(random.pick(FORMS)[2]);
        await quota.run({ subject: "asks", action: "decrement", amount: 0 });
        const about = `SEED=${seed}, chain ${chain}, change ${change}`;
        expect(await used("sleeps"), about).toBe(await used("asks"));
        quota.clock.advance(random.pick([0, HOUR_MS]));
        expect(await used("sleeps"), about).toBe(await used("asks"));
      }
    }
  });

  it("carries into a rolling window as one amount at the change", async () => {
    await using quota = await open(url, { limit: 10, period: "day" });
    await quota.run({ amount: 10 });
    await quota.change({ period: "hour", window: "rolling" });
    quota.clock.advance(HOUR_MS - 1);
    expect(await quota.run()).toMatchObject({ allowed: false, used: 10, retry_after_ms: 1 });
    quota.clock.advance(1);
    expect(await quota.run()).toMatchObject({ allowed: true, used: 1 });
  });

  it.each([
    ["an anchor in other words", { anchor: "2026-01-31T07:00:00.000+01:00" }],
    ["a zone in another case", { time_zone: "utc" }],
    ["the start of a week, where months are counted", { week_start: "sunday" }],
    ["its name, limit and alerts", { name: "N", limit: 10, alerts: [1] }],
  ] as const)("is none where only %s is given, so grants stay", async (_, patch) => {
    await using quota = await open(url, {
      limit: 10,
      period: "month",
      anchor: "2026-01-31T06:00Z",
    });
    await quota.run({ action: "grant", amount: 5 });
    await quota.change(patch);
    expect(await quota.run({ amount: 12 })).toMatchObject({ allowed: true, used: 12, limit: 15 });
  });

  it("with the limit, rules and zone of one change is one change", async () => {
    await using quota = await open(url, { rules: [BY_USER] });
    await quota.run({ subject: ann, amount: 7 });
    const changed = { ...BY_USER, period: "month", limit: 8, time_zone: "Asia/Tokyo" } as const;
    const made = await quota.change({ rules: [BY_ORG, changed] });
    expect(made.revision).toBe(2);
    const subject = ann;
    expect(await quota.run({ subject, amount: 2 })).toMatchObject({ allowed: false, rule: "user" });
    expect(usedOf(await quota.run({ subject }))).toEqual([
      ["org", 1],
      ["user", 8],
    ]);
  });
});
