// How many calls a rolling window refuses, beside a log of every amount.
import { describe, expect, it } from "vitest";
import { randomOf, seedOf } from "./support.js";
import { exactRefusals, hasLog, logTraffics, madeTraffics, refusals } from "./traffics.js";

const seed = seedOf();
const isThere = hasLog("a rolling window on a real access log");

describe.runIf(isThere)("a rolling window on a real access log", () => {
  it("refuses the 89 requests that an exact log of 60 an hour refuses", async () => {
    const [traffic] = logTraffics();
    if (traffic === undefined) throw new Error("there is no traffic");
    expect(exactRefusals(traffic)).toBe(89);
    expect(await refusals(traffic)).toBe(89);
  });

  it.each(isThere ? logTraffics() : [])(
    "refuses 1 % more than an exact log, at most: $name",
    async (traffic) => {
      const exact = exactRefusals(traffic);
      const refused = await refusals(traffic);
      expect(refused - exact).toBeLessThanOrEqual(traffic.calls.length / 100);
    },
  );
});

describe("a rolling window", () => {
  it.each(madeTraffics(randomOf(seed)))(
    `refuses 3 % more than an exact log, at most: $name (SEED=${seed})`,
    async (traffic) => {
      const exact = exactRefusals(traffic);
      const refused = await refusals(traffic);
      expect(refused - exact).toBeLessThanOrEqual((traffic.calls.length * 3) / 100);
      if (traffic.limit <= 64) expect(refused).toBe(exact);
    },
  );
});
