// Zone rules change while counters stand: a government moves the clock, or a newer Node knows it.
import { afterAll, describe, expect, it } from "vitest";
import type { Decision, QuotaInput } from "ductape";
import { manualClock } from "ductape/testing";
import type { RuleTerms } from "../src/decide/plan.js";
import type { Span } from "../src/decide/period.js";
import { openStore } from "../src/stores/url.js";
import { stepOf } from "./random-plans.js";
import { clientWith, contextOf, inputOf, storeOver } from "./support.js";
import { testedStores } from "./tested.js";

const { stores, stop } = await testedStores();
afterAll(stop);

const spanOf = (start: string, end: string): Span => ({
  startMs: Date.parse(start),
  endMs: Date.parse(end),
});
const textOf = ({ startMs, endMs }: Span) => ({
  start: new Date(startMs).toISOString(),
  end: new Date(endMs).toISOString(),
});
/** New York's are from 04:00 to 10:00 and so on, in UTC: an hour before these, of other rules. */
const BEFORE = spanOf("2026-07-01T23:00Z", "2026-07-02T05:00Z");
const FIRST = spanOf("2026-07-02T04:00Z", "2026-07-02T10:00Z");
const SECOND = spanOf("2026-07-02T10:00Z", "2026-07-02T16:00Z");
let places = 0;

describe.each(stores)("a counter in a window of other zone rules, on $name", ({ url }) => {
  /** A client whose counter has used 4 of 10 in a window, and 2 of what was granted. */
  async function counted(window: Span, now: string, alerts: readonly number[] = [0.4]) {
    const clock = manualClock(window.startMs);
    const store = openStore(url(`zone${++places}`), contextOf(clock));
    let rule: RuleTerms | null = null;
    const watched = storeOver(store, {
      apply(plan, options) {
        ({ rule } = plan[0].checks[0]);
        return store.apply(plan, options);
      },
    });
    const time_zone = "America/New_York";
    const period = { every: 6, unit: "hour" } as const;
    const quota = { tag: "q", limit: 10, period, time_zone, history: 3, alerts } as const;
    const client = await clientWith([quota], { store: watched, clock });
    const run = async (input: Partial<QuotaInput> = {}): Promise<Decision> => {
      const result = await client.processor.quota.run(inputOf(input));
      return result;
    };
    await run({ action: "check" });
    if (rule === null) throw new Error("nothing was planned");
    const check = { rule, subject: "", window, limit: 10 };
    const plannedMs = clock();
    for (const [action, amount] of [
      ["increment", 4],
      ["grant", 2],
    ] as const) {
      const step = stepOf({ action, amount, rule: null, answerKey: null, plannedMs }, [check]);
      expect(await store.apply([step])).toMatchObject([{ status: "done" }]);
    }
    clock.set(now);
    return { clock, client, run, [Symbol.asyncDispose]: () => client.close() };
  }

  it("runs to its end, with its count, its grants and its alerts", async () => {
    await using counter = await counted(BEFORE, "2026-07-02T04:30Z");
    const held = { used: 4, limit: 12, window: textOf(BEFORE) };
    expect(await counter.run({ action: "check", amount: 8 })).toMatchObject(held);
    const denied = { allowed: false, retry_after_ms: 30 * 60_000 };
    expect(await counter.run({ amount: 9 })).toMatchObject(denied);
    const admitted = await counter.run({ amount: 8 });
    expect(admitted).toMatchObject({ allowed: true, used: 12, remaining: 0 });
    expect(admitted.alerts).toBeUndefined();
  });

  it("begins the next window when it has ended, and grants nothing twice in it", async () => {
    await using counter = await counted(BEFORE, "2026-07-02T04:30Z");
    await counter.run({ amount: 8 });
    counter.clock.set("2026-07-02T05:00Z");
    const next = { allowed: true, used: 10, limit: 10, window: textOf(FIRST) };
    expect(await counter.run({ amount: 10 })).toMatchObject(next);
    expect(await counter.run()).toMatchObject({ allowed: false });
    counter.clock.set("2026-07-02T10:00Z");
    expect(await counter.run()).toMatchObject({ used: 1, window: textOf(SECOND) });
  });

  it("continues across a boundary of the new rules", async () => {
    const window = spanOf("2026-07-02T04:30Z", "2026-07-02T10:30Z");
    await using counter = await counted(window, "2026-07-02T05:00Z");
    const held = { used: 4, limit: 12, window: textOf(window) };
    expect(await counter.run({ action: "check" })).toMatchObject(held);
    const reset = { ...held, used: 0, previous_used: 4 };
    expect(await counter.run({ action: "reset" })).toMatchObject(reset);
    expect(await counter.run({ amount: 4 })).toMatchObject(held);
    counter.clock.set("2026-07-02T10:29Z");
    expect(await counter.run({ action: "check" })).toMatchObject(held);
    counter.clock.set("2026-07-02T10:30Z");
    expect(await counter.run()).toMatchObject({ used: 1, limit: 10, window: textOf(SECOND) });
  });

  it.each([[[]], [[0.4]]])(
    "hands over its count where it ended early, with alerts at %j",
    async (at) => {
      const window = spanOf("2026-07-02T04:00Z", "2026-07-02T05:00Z");
      await using counter = await counted(window, "2026-07-02T05:00Z", at);
      const over = { used: 4, limit: 12, window: textOf(FIRST) };
      expect(await counter.run({ action: "check", amount: 8 })).toMatchObject(over);
      const denied = { allowed: false, retry_after_ms: 5 * 3_600_000 };
      expect(await counter.run({ amount: 9 })).toMatchObject(denied);
      expect(await counter.run({ amount: 8 })).toMatchObject({ used: 12, window: textOf(FIRST) });
      counter.clock.set("2026-07-02T10:00Z");
      expect(await counter.run()).toMatchObject({ used: 1, limit: 10, window: textOf(SECOND) });
    },
  );

  it("is what usage and its history show", async () => {
    await using counter = await counted(BEFORE, "2026-07-02T04:30Z");
    const target = { product_tag: "shop", env: "prd", quota_tag: "q" };
    const { usage } = counter.client;
    const now = { used: 4, limit: 12 };
    const { subjects } = await usage.subjects(target);
    expect(subjects).toMatchObject([{ ...now, window: textOf(BEFORE) }]);
    const { windows } = await usage.history(target);
    expect(windows[0]).toMatchObject({ ...now, ...textOf(BEFORE) });
    counter.clock.set("2026-07-02T11:00Z");
    await counter.run();
    const later = await usage.history(target);
    expect(later.windows[0]).toMatchObject({ used: 1, ...textOf(SECOND) });
  });
});
