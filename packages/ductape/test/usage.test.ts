import { afterAll, describe, expect, it } from "vitest";
import {
  Ductape,
  type Action,
  type QuotaInput,
  type SubjectsInput,
  type SubjectUsage,
} from "ductape";
import { manualClock } from "ductape/testing";
import { openStore } from "../src/stores/url.js";
import { clientWith, contextOf, inputOf, storeUrls, temporaryFolder } from "./support.js";

const folder = temporaryFolder();
afterAll(folder.remove);
const HOUR_MS = 3_600_000;
const SCOPE = "$Session{userId}";
const asked = { product_tag: "shop", env: "prd", quota_tag: "q" };

let files = 0;
const fresh = (url: string) => url.replace("store.db", `usage-${files++}.db`);

async function count(ductape: Ductape, subject: QuotaInput["subject"], amount: number) {
  const result = await ductape.processor.quota.run(inputOf({ subject, amount }));
  expect(result.allowed).toBe(true);
}

const named = ({ subject, used }: SubjectUsage) => [subject, used];

describe.each(storeUrls(folder.path))("usage.subjects on %s", (url) => {
  it("lists who has used how much, most first, from the counters that decide", async () => {
    const clock = manualClock("2026-05-15T12:00:00Z");
    const quota = { tag: "q", scope: SCOPE, limit: 10, period: "day" } as const;
    await using ductape = await clientWith([quota], { store: fresh(url), clock });
    await count(ductape, "ada", 3);
    await count(ductape, "bob", 7);
    clock.advance(1_500);
    await count(ductape, "cem", 3);
    const { subjects, next } = await ductape.usage.subjects(asked);
    expect(next).toBeNull();
    expect(subjects.map(named)).toEqual([
      ["bob", 7],
      ["ada", 3],
      ["cem", 3],
    ]);
    expect(subjects[2]).toEqual({
      subject: "cem",
      used: 3,
      limit: 10,
      held: 0,
      remaining: 7,
      window: { start: "2026-05-15T00:00:00.000Z", end: "2026-05-16T00:00:00.000Z" },
      last_seen: "2026-05-15T12:00:01.500Z",
    });
    clock.advance(1_000);
    const denial = await ductape.processor.quota.run(inputOf({ subject: "bob", amount: 9 }));
    expect(denial.allowed).toBe(false);
    const again = await ductape.usage.subjects({ ...asked, limit: 1 });
    expect(again.subjects[0]).toMatchObject({ used: 7, last_seen: "2026-05-15T12:00:00.000Z" });
  });

  it("pages without losing or repeating anyone", async () => {
    const quota = { tag: "q", scope: SCOPE, limit: null, period: "lifetime" } as const;
    await using ductape = await clientWith([quota], { store: fresh(url) });
    const inputs = Array.from({ length: 250 }, (_, i) =>
      inputOf({ subject: `user-${i}`, amount: i % 7 }),
    );
    await ductape.processor.quota.runAll(inputs);
    const seen: (string | null)[] = [];
    let after: SubjectsInput["after"];
    let pages = 0;
    do {
      const page = await ductape.usage.subjects({ ...asked, limit: 40, after });
      seen.push(...page.subjects.map(({ subject }) => subject));
      after = page.next ?? undefined;
      pages++;
    } while (after !== undefined);
    // An amount of 0 makes no counter.
    const users = inputs.flatMap(({ amount, subject }) => (amount === 0 ? [] : [subject]));
    expect(seen).toHaveLength(users.length);
    expect(new Set(seen)).toEqual(new Set(users));
    expect(pages).toBe(Math.ceil(users.length / 40));
  });

  it("leaves out windows that have ended, also rolling ones", async () => {
    const clock = manualClock("2026-05-15T12:00:00Z");
    const rules = [
      { name: "calendar", scope: SCOPE, limit: 9, period: "hour" },
      { name: "rolling", scope: SCOPE, limit: 9, period: "hour", window: "rolling" },
    ] as const;
    await using ductape = await clientWith([{ tag: "q", rules }], { store: fresh(url), clock });
    await count(ductape, "ada", 2);
    clock.advance(HOUR_MS / 2);
    await count(ductape, "ada", 3);
    await count(ductape, "bob", 1);
    const of = async (rule: string) =>
      (await ductape.usage.subjects({ ...asked, rule })).subjects.map(named);
    const all = [
      ["ada", 5],
      ["bob", 1],
    ];
    expect(await of("calendar")).toEqual(all);
    expect(await of("rolling")).toEqual(all);
    clock.advance(HOUR_MS / 2);
    expect(await of("calendar")).toEqual([]);
    expect(await of("rolling")).toEqual([
      ["ada", 3],
      ["bob", 1],
    ]);
    clock.advance(HOUR_MS);
    expect(await of("rolling")).toEqual([]);
  });

  it("shows the limit that each subject's plan picked, in the units of the quota", async () => {
    const limit = { by: "$Session{plan}", values: { free: 1.5, team: null }, default: 2 } as const;
    const quota = { tag: "q", scope: SCOPE, limit, period: "day", decimals: 1 } as const;
    const store = fresh(url);
    await using ductape = await clientWith([quota], { store });
    await count(ductape, { userId: "ada", plan: "free" }, 0.5);
    await count(ductape, { userId: "bob", plan: "team" }, 3);
    await count(ductape, { userId: "cem" }, 1);
    const limits = async () =>
      (await ductape.usage.subjects(asked)).subjects.map((each) => [each.subject, each.limit]);
    expect(await limits()).toEqual([
      ["bob", null],
      ["cem", 2],
      ["ada", 1.5],
    ]);
    await count(ductape, { userId: "ada", plan: "gold" }, 0.1);
    expect((await limits())[2]).toEqual(["ada", 2]);
  });

  it("shows the current default for a counter whose plan is not known yet", async () => {
    const by = "$Session{plan}";
    const limit = { by, values: { pro: 100, team: null }, default: 5 } as const;
    const store = openStore(fresh(url), contextOf(Date.now));
    const quota = { tag: "q", scope: SCOPE, limit: 9, period: "lifetime" } as const;
    await using ductape = await clientWith([quota], { store });
    const { quotas } = ductape.product;
    const run = (userId: string, plan: string | undefined, action: Action) =>
      ductape.processor.quota.run(
        inputOf({ action, subject: { userId, plan }, amount: action === "reset" ? {} : 1 }),
      );
    const limits = async () => {
      const { subjects } = await ductape.usage.subjects(asked);
      return subjects.map((each) => [each.subject, each.limit]);
    };
    await run("before", undefined, "increment");
    await quotas.update("shop", "q", { limit });
    await run("set by nobody", undefined, "set");
    await run("set by pro", "pro", "set");
    await run("set by team", "team", "set");
    for (const action of ["increment", "set", "decrement", "reset"] as const) {
      await run("counted by pro", action === "increment" ? "pro" : undefined, action);
    }
    const known = [
      ["set by pro", 100],
      ["set by team", null],
      ["counted by pro", 100],
    ];
    const [first, second] = [
      ["before", 5],
      ["set by nobody", 5],
    ];
    expect(await limits()).toEqual([first, second, ...known]);
    await quotas.update("shop", "q", { limit: { ...limit, default: null } });
    expect(await limits()).toEqual([["before", null], ["set by nobody", null], ...known]);
    await quotas.update("shop", "q", { limit: { ...limit, default: 7 } });
    await using other = new Ductape({ store });
    const { subjects } = await other.usage.subjects(asked);
    expect(subjects.map((each) => each.limit)).toEqual([7, 7, 100, null, 100]);
  });

  it("lists the counter of the whole product without a subject", async () => {
    await using ductape = await clientWith([{ tag: "q", limit: 4, period: "day" }], {
      store: fresh(url),
    });
    expect((await ductape.usage.subjects(asked)).subjects).toEqual([]);
    await count(ductape, undefined, 4);
    const { subjects } = await ductape.usage.subjects(asked);
    expect(subjects).toMatchObject([{ subject: null, used: 4, limit: 4, remaining: 0 }]);
  });

  it("lets other calls go on while it reads many counters", async () => {
    const quota = { tag: "q", scope: SCOPE, limit: null, period: "lifetime" } as const;
    await using ductape = await clientWith([quota], { store: fresh(url) });
    for (let from = 0; from < 20_000; from += 1_000) {
      const inputs = Array.from({ length: 1_000 }, (_, i) => inputOf({ subject: `u${from + i}` }));
      await ductape.processor.quota.runAll(inputs);
    }
    let turns = 0;
    let isReading = true;
    const turn = (): void => {
      turns++;
      if (isReading) setImmediate(turn);
    };
    setImmediate(turn);
    const { subjects } = await ductape.usage.subjects({ ...asked, limit: 3 });
    isReading = false;
    expect(subjects).toHaveLength(3);
    expect(turns).toBeGreaterThanOrEqual(19);
  });

  it("refuses what it cannot read, naming the field", async () => {
    const rules = [
      { name: "a", limit: 1, period: "day" },
      { name: "b", limit: 1, period: "day" },
    ] as const;
    await using ductape = await clientWith([{ tag: "q", rules }], { store: fresh(url) });
    const refused = (input: Partial<SubjectsInput>, path: string) =>
      expect(ductape.usage.subjects({ ...asked, ...input })).rejects.toMatchObject({
        code: "VALIDATION",
        issues: [{ path }],
      });
    await refused({}, "rule");
    await refused({ rule: "c" }, "rule");
    await refused({ rule: "a", limit: 0 }, "limit");
    await refused({ rule: "a", limit: 1_001 }, "limit");
    await refused(Object({ rule: "a", limit: null }), "limit");
    await refused({ rule: "a", after: "[1]" }, "after");
    await refused({ env: "" }, "env");
    const unknown = ductape.usage.subjects({ ...asked, quota_tag: "none" });
    await expect(unknown).rejects.toMatchObject({ code: "QUOTA_NOT_FOUND" });
  });
});

it("lists counters in a window version that another client has just made", async () => {
  const clock = manualClock("2026-01-31T12:00:00Z");
  const options = { store: fresh(`sqlite:${folder.path}/store.db`), clock };
  const quota = { tag: "q", limit: 10, period: "day", scope: SCOPE } as const;
  await using first = await clientWith([quota], options);
  await using other = new Ductape(options);
  await count(first, "a", 3);
  expect((await other.usage.subjects(asked)).subjects.map(named)).toEqual([["a", 3]]);
  await first.product.quotas.update("shop", "q", { period: "month" });
  await count(first, "a", 3);
  expect((await other.usage.subjects(asked)).subjects.map(named)).toEqual([["a", 6]]);
});
