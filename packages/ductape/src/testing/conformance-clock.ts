import assert from "node:assert/strict";
import type { Client } from "../client/client.js";
import {
  admittedOf,
  BY_USER,
  DAY_MS,
  define,
  HOUR_MS,
  inputOf,
  run,
  usedOf,
  type Body,
} from "./conformance-bench.js";
import type { QuotaInput } from "../quota/request.js";

const TEN_YEARS_MS = 3_652 * DAY_MS;

/** A result that the store decided. */
async function decided(client: Client, input: Partial<QuotaInput>) {
  const result = await run(client, input);
  return result;
}

/** The promises of a store while its clock is wrong, and once it is right again. */
export const CLOCK_CASES: Readonly<Record<string, Body>> = {
  "starts a window at its first millisecond, and never goes back": async ({ client, clock }) => {
    await define(client, { limit: 3, period: "hour" });
    assert.equal(await admittedOf(client, 5), 3);
    clock.advance(HOUR_MS - 1);
    assert.equal(await admittedOf(client, 1), 0);
    clock.advance(1);
    assert.equal(await admittedOf(client, 5), 3);
    clock.advance(-HOUR_MS);
    assert.equal(await admittedOf(client, 1), 0);
    assert.equal(await usedOf(client), 3);
  },
  "frees a counter that a wrong clock moved years ahead, with reset or set": async (bench) => {
    const { client, clock } = bench;
    await define(client, { ...BY_USER, limit: 10, period: "month", alerts: [0.5] });
    for (const subject of ["a", "b"]) await run(client, { subject, amount: 4 });
    clock.advance(TEN_YEARS_MS);
    for (const subject of ["a", "b"]) {
      await run(client, { subject, amount: 7 });
      await run(client, { subject, action: "grant", amount: 1 });
    }
    clock.advance(-TEN_YEARS_MS);
    for (const subject of ["a", "b"]) {
      const stuck = await decided(client, { subject, amount: 5 });
      assert.deepEqual([stuck.allowed, stuck.used, stuck.limit], [false, 7, 11]);
      assert.equal(stuck.window?.start, "2036-01-01T00:00:00.000Z");
    }
    const reset = await decided(client, { subject: "a", action: "reset" });
    assert.deepEqual([reset.previous_used, reset.used, reset.limit], [7, 0, 10]);
    assert.equal(reset.window?.start, "2026-01-01T00:00:00.000Z");
    const set = await decided(client, { subject: "b", action: "set", amount: 6 });
    assert.deepEqual([set.previous_used, set.used, set.limit], [7, 6, 10]);
    assert.equal(set.resets_at, "2026-02-01T00:00:00.000Z");
    assert.deepEqual(set.alerts, [{ rule: "default", fraction: 0.5 }]);
    assert.equal(await admittedOf(client, 15, { subject: "a" }), 10);
    assert.equal(await admittedOf(client, 15, { subject: "b" }), 4);
    clock.advance(31 * DAY_MS);
    assert.equal(await admittedOf(client, 15, { subject: "a" }), 10);
  },
  "frees a rolling counter that a wrong clock filled years ahead": async ({ client, clock }) => {
    await define(client, { ...BY_USER, limit: 5, period: "hour", window: "rolling" });
    clock.advance(TEN_YEARS_MS);
    for (const subject of ["a", "b"]) assert.equal(await admittedOf(client, 9, { subject }), 5);
    clock.advance(-TEN_YEARS_MS);
    assert.equal(await admittedOf(client, 1, { subject: "a" }), 0);
    await run(client, { subject: "a", action: "reset" });
    await run(client, { subject: "b", action: "set", amount: 3 });
    assert.equal(await admittedOf(client, 9, { subject: "a" }), 5);
    assert.equal(await admittedOf(client, 9, { subject: "b" }), 2);
    clock.advance(HOUR_MS);
    assert.equal(await admittedOf(client, 9, { subject: "b" }), 5);
  },
  "resets only the named rule, and leaves the others where a wrong clock put them": async (
    bench,
  ) => {
    const { client, clock } = bench;
    await define(client, {
      rules: [
        { name: "day", limit: 5, period: "day" },
        { name: "month", limit: 9, period: "month" },
      ],
    });
    clock.advance(TEN_YEARS_MS);
    assert.equal(await admittedOf(client, 9), 5);
    clock.advance(-TEN_YEARS_MS);
    await run(client, { action: "reset", rule: "day" });
    assert.equal(await admittedOf(client, 9), 4);
    const { rules = [] } = await decided(client, { action: "check" });
    assert.deepEqual(
      rules.map(({ rule, used, window }) => [rule, used, window?.start.slice(0, 4)]),
      [
        ["day", 4, "2026"],
        ["month", 9, "2036"],
      ],
    );
    await run(client, { action: "reset", rule: "*" });
    assert.equal(await admittedOf(client, 9), 5);
  },
  "resets a counter of a wrong clock between other inputs of one decision": async (bench) => {
    const { client, clock } = bench;
    await define(client, { limit: 5, period: "day" });
    clock.advance(TEN_YEARS_MS);
    assert.equal(await admittedOf(client, 3), 3);
    clock.advance(-TEN_YEARS_MS);
    const inputs = [{ amount: 2 }, { action: "reset" }, { amount: 4 }] as const;
    const results = await client.processor.quota.runAll(inputs.map(inputOf), { atomic: true });
    assert.deepEqual(
      results.map((each) => [each.used, each.window?.start.slice(0, 4)]),
      [
        [5, "2036"],
        [0, "2026"],
        [4, "2026"],
      ],
    );
    assert.equal(await admittedOf(client, 9), 1);
  },
};
