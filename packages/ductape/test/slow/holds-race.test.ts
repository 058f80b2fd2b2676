import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { Ductape, type Decision } from "ductape";
import { callsOf } from "../holding.js";
import { testedStores } from "../tested.js";
import { prepareStore, startWorker } from "./processes.js";

const { stores, stop } = await testedStores();
afterAll(stop);

const HOLDER = fileURLToPath(new URL("holder.ts", import.meta.url));
const PROCESSES = 4;
/** Of each of the forty callers of a process. */
const ROUNDS = Number(process.env["ROUNDS"] ?? 12);

/** Lets processes race, and looks at what `check` says until they have ended. */
async function race(store: string, look: () => Promise<void>) {
  const state = { hasEnded: false };
  const watched = (async () => {
    for (let looks = 0; ; looks++) {
      if (state.hasEnded) return looks;
      await look();
    }
  })();
  const args = [store, "settle", String(ROUNDS)];
  const workers = Array.from({ length: PROCESSES }, () => startWorker(args, [], HOLDER));
  const ends = await Promise.all(workers.map(({ ended }) => ended));
  state.hasEnded = true;
  const looks = await watched;
  expect(ends.map(({ code, errors }) => (code === 0 ? "" : errors))).toEqual(ends.map(() => ""));
  const sums = ends.map(({ text }): readonly number[] => JSON.parse(text));
  const total = sums.flat().reduce((sum, each) => sum + each, 0);
  const bySubject = [0, 1, 2].map((user) => sums.reduce((sum, each) => sum + (each[user] ?? 0), 0));
  return { total, bySubject, looks };
}

/** Every rule of an answer has room for what is used and held. */
function expectWithin({ rules, ...only }: Decision): void {
  for (const { limit, used, held, rule } of rules ?? [only]) {
    expect(used + held, `of rule ${rule}`).toBeLessThanOrEqual(limit ?? Infinity);
  }
}

const shared = stores.filter(({ isShared }) => isShared);

describe.each(shared)("four processes of forty callers that hold on $name", ({ name, url }) => {
  it("never pass the limit of one counter, and leave what they committed", async () => {
    const store = url("one");
    await prepareStore(store, [{ tag: "q", limit: 400 + ROUNDS * 40, period: "lifetime" }]);
    await using ductape = new Ductape({ store });
    const { check } = callsOf(ductape);
    const { total, looks } = await race(store, async () => expectWithin(await check()));
    console.info(`${name}: ${total} committed, looked at ${looks} times`);
    expect(await check()).toMatchObject({ used: total, held: 0 });
    expect(total).toBeGreaterThan(ROUNDS * 40);
  }, 600_000);

  it("never pass the limit of any of three rules", async () => {
    const store = url("three");
    const user = { scope: "$Session{userId}" } as const;
    const rules = [
      { name: "slots", limit: 50, window: "concurrent" },
      { name: "user", ...user, limit: 150 + ROUNDS * 16, period: "lifetime" },
      { name: "all", limit: 300 + ROUNDS * 40, period: "lifetime" },
    ] as const;
    await prepareStore(store, [{ tag: "q", rules }]);
    await using ductape = new Ductape({ store });
    const { check } = callsOf(ductape);
    const subjects = ["user-0", "user-1", "user-2"];
    const { total, bySubject } = await race(store, async () => {
      for (const subject of subjects) expectWithin(await check(0, { subject }));
    });
    for (const [i, subject] of subjects.entries()) {
      const { rules: numbers = [] } = await check(0, { subject });
      expect(numbers.map(({ rule, used, held }) => [rule, used, held])).toEqual([
        ["slots", 0, 0],
        ["user", bySubject[i], 0],
        ["all", total, 0],
      ]);
    }
    expect(total).toBeGreaterThan(ROUNDS * 20);
  }, 600_000);
});
