import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { testedStores } from "../tested.js";
import { prepareStore, startWorker } from "./processes.js";
import type { ToldOfQuota } from "./shifted.js";

const SHIFTED = fileURLToPath(new URL("shifted.ts", import.meta.url));
const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;
/** Of both processes together. */
const ANSWERS = 100_000;
const CALLS = 50;
const LIMIT = 70;

const { stores, stop } = await testedStores();
afterAll(stop);
const withClock = stores.filter(({ hasClock }) => hasClock);

interface Told {
  readonly nowMs: number;
  readonly newMs: number;
  readonly told: Readonly<Record<string, ToldOfQuota>>;
}

/** Both processes at once, each with a clock of its own. */
async function tellBoth(store: string, shiftsMs: readonly number[]): Promise<readonly Told[]> {
  const workers = shiftsMs.map((shiftMs) => {
    const args = [store, String(shiftMs), String(ANSWERS / shiftsMs.length)];
    return startWorker(args, [], SHIFTED);
  });
  const ends = await Promise.all(workers.map(({ ended }) => ended));
  return ends.map(({ text, errors, code }): Told => {
    expect({ code, errors: code === 0 ? "" : errors }).toEqual({ code: 0, errors: "" });
    return JSON.parse(text);
  });
}

const dayOf = (atMs: number): string => {
  const startMs = Math.floor(atMs / DAY_MS) * DAY_MS;
  return `${new Date(startMs).toISOString()}/${new Date(startMs + DAY_MS).toISOString()}`;
};

describe.each(withClock)("clients of $name whose clocks are two days apart", ({ url }) => {
  it(`share the server's windows, with one reset in ${ANSWERS} answers`, async () => {
    const store = url("clocks");
    await prepareStore(store, [
      { tag: "limited", limit: LIMIT, period: "year" },
      { tag: "day", limit: null, period: "day" },
      { tag: "year", limit: null, period: "year" },
    ]);
    // The servers run on this machine, so their clock is ours.
    const sinceMs = Date.now();
    const shiftsMs = [-DAY_MS, DAY_MS];
    const both = await tellBoth(store, shiftsMs);
    const untilMs = Date.now();
    const days = new Set([dayOf(sinceMs), dayOf(untilMs)]);
    let [allowed, answers] = [0, 0];
    const resets = new Set<string>();
    for (const [i, { nowMs, newMs, told }] of both.entries()) {
      for (const theirMs of [nowMs, newMs]) {
        expect(Math.abs(theirMs - untilMs - (shiftsMs[i] ?? 0))).toBeLessThan(10 * MINUTE_MS);
      }
      const { limited, day, year } = told;
      expect((limited?.allowed ?? 0) + (limited?.denied ?? 0)).toBe(CALLS);
      allowed += limited?.allowed ?? 0;
      for (const window of day?.windows ?? ["none"]) expect(days).toContain(window);
      answers += year?.allowed ?? 0;
      for (const reset of [...(year?.resets ?? []), ...(limited?.resets ?? [])]) resets.add(reset);
    }
    expect(allowed).toBe(LIMIT);
    expect(answers).toBe(ANSWERS);
    const year = new Date(sinceMs).getUTCFullYear();
    expect([...resets]).toEqual([`${year + 1}-01-01T00:00:00.000Z`]);
  });
});
