// quota.reservations: what is open, and what usage shows of it.
import { afterAll, describe, expect, it } from "vitest";
import type { Ductape, ReservationsInput } from "ductape";
import { manualClock } from "ductape/testing";
import { callAny, clientWith, faultOf, inputOf, storeUrls, temporaryFolder } from "./support.js";

const folder = temporaryFolder();
afterAll(folder.remove);

const START = "2026-05-15T12:00:00.000Z";
const AT = { env: "prd", product_tag: "shop" };
const scope = "$Session{userId}";
const QUOTAS = [
  { tag: "jobs", scope, limit: 100, period: "day", decimals: 1 },
  {
    tag: "team",
    rules: [
      { name: "user", scope, limit: 50, period: "day" },
      { name: "org", scope: "$Session{orgId}", limit: 80, period: "month" },
      { name: "slots", scope, limit: 3, window: "concurrent" },
    ],
  },
] as const;

let stores = 0;
function open(url: string) {
  const clock = manualClock(START);
  const store = url.replace("store.db", `${stores++}.db`);
  return clientWith(QUOTAS, { store, clock }).then((ductape) => ({ ductape, clock }));
}

const list = (ductape: Ductape, input: Partial<ReservationsInput> = {}) =>
  ductape.processor.quota.reservations({ ...AT, ...input });

describe.each(storeUrls(folder.path))("quota.reservations on %s", (url) => {
  it("lists the open holds of all quotas, the oldest first, until they are settled", async () => {
    const { ductape, clock } = await open(url);
    const { quota } = ductape.processor;
    const ada = { userId: "ada", orgId: "acme" };
    const reserve = (quota_tag: string, reservation: string, amount: number, subject = ada) =>
      quota.run(inputOf({ action: "reserve", quota_tag, reservation, amount, subject }));
    await reserve("team", "second", 4);
    await reserve("jobs", "first", 2.5);
    clock.advance(1_000);
    await reserve("team", "third", 6, { userId: "bob", orgId: "acme" });
    const page = await list(ductape);
    expect(page.next).toBe(null);
    expect(page.reservations).toMatchObject([
      { quota_tag: "jobs", id: "first", subject: "ada", amount: 2.5, held: 2.5, age_ms: 1_000 },
      { quota_tag: "team", id: "second", subjects: ["ada", "acme"], opened_at: START },
      { quota_tag: "team", id: "third", subjects: ["bob", "acme"], age_ms: 0, state: "open" },
    ]);
    const part = {
      action: "commit",
      quota_tag: "team",
      reservation: "second",
      final: false,
    } as const;
    await quota.run(inputOf({ ...part, amount: 1 }));
    const only = await list(ductape, { quota_tag: "team", subject: "ada" });
    expect(only.reservations).toMatchObject([{ id: "second", amount: 4, held: 3 }]);
    await quota.run(inputOf({ action: "release", quota_tag: "team", reservation: "second" }));
    const ids = async (input: Partial<ReservationsInput>) =>
      (await list(ductape, input)).reservations.map(({ id }) => id);
    expect(await ids({})).toEqual(["first", "third"]);
    expect(await ids({ older_than_ms: 1_000 })).toEqual(["first"]);
    expect(await ids({ subject: "acme" })).toEqual(["third"]);
    clock.advance(700_000);
    expect(await ids({})).toEqual([]);
    await ductape.close();
  });

  it("pages over several quotas without a gap or a double", async () => {
    const { ductape, clock } = await open(url);
    const all: string[] = [];
    for (let i = 0; i < 30; i++) {
      const quota_tag = i % 3 === 0 ? "team" : "jobs";
      const subject = { userId: `u${i}`, orgId: "acme" };
      const reservation = `hold-${String(i).padStart(2, "0")}`;
      await ductape.processor.quota.run(
        inputOf({ action: "reserve", quota_tag, reservation, amount: 1, subject }),
      );
      all.push(reservation);
      if (i % 4 === 0) clock.advance(1);
    }
    const seen: string[] = [];
    let after: string | undefined;
    do {
      const page = await list(ductape, { limit: 7, after });
      expect(page.reservations.length).toBeLessThanOrEqual(7);
      seen.push(...page.reservations.map(({ id }) => id));
      after = page.next ?? undefined;
    } while (after !== undefined);
    expect(seen.toSorted()).toEqual(all);
    const whole = await list(ductape, { limit: 1_000 });
    expect(seen).toEqual(whole.reservations.map(({ id }) => id));
    await ductape.close();
  });

  it("is beside what usage shows as held, of amounts and of slots", async () => {
    const { ductape } = await open(url);
    const subject = { userId: "ada", orgId: "acme" };
    const run = (input: object) => ductape.processor.quota.run({ ...inputOf(), ...input });
    await run({ quota_tag: "team", amount: 10, subject });
    await run({ quota_tag: "team", action: "reserve", amount: 4, subject });
    await run({ quota_tag: "jobs", action: "reserve", amount: 1.5, subject: "ada" });
    const target = { ...AT, quota_tag: "team" };
    expect(await ductape.usage.subjects({ ...target, rule: "user" })).toMatchObject({
      subjects: [{ subject: "ada", used: 10, held: 4, remaining: 36 }],
    });
    expect(await ductape.usage.subjects({ ...target, rule: "slots" })).toMatchObject({
      subjects: [{ subject: "ada", used: 0, held: 1, limit: 3, remaining: 2, window: null }],
    });
    const jobs = { ...AT, quota_tag: "jobs", subject: "ada" };
    expect(await ductape.usage.history(jobs)).toMatchObject({
      windows: [{ used: 0, held: 1.5, remaining: 98.5 }],
    });
    const history = ductape.usage.history({ ...target, rule: "slots", subject: "ada" });
    expect(await faultOf(history)).toMatchObject({ issues: [{ path: "rule" }] });
    // Deleting the quota would lose what is only held, too.
    expect(await ductape.usage.counters({ ...AT, quota_tag: "jobs" })).toMatchObject({ in_use: 1 });
    await ductape.close();
  });
});

describe("quota.reservations", () => {
  it("names each wrong field, and what does not exist", async () => {
    const { ductape } = await open("memory:");
    const wrong: readonly [string, unknown][] = [
      ["product_tag", 1],
      ["env", ""],
      ["quota_tag", null],
      ["subject", { userId: "u" }],
      ["older_than_ms", -1],
      ["older_than_ms", "5"],
      ["limit", 0],
      ["limit", 1_001],
      ["after", "[1]"],
      ["after", "{"],
      ["age", 1],
    ];
    for (const [path, value] of wrong) {
      const call = () => callAny(ductape.processor.quota, "reservations", { ...AT, [path]: value });
      expect(await faultOf(call)).toMatchObject({ code: "VALIDATION", issues: [{ path }] });
    }
    expect(await faultOf(list(ductape, { quota_tag: "x" }))).toMatchObject({
      code: "QUOTA_NOT_FOUND",
    });
    expect(await faultOf(list(ductape, { env: "x" }))).toMatchObject({
      code: "ENVIRONMENT_NOT_FOUND",
    });
    await ductape.close();
  });
});
