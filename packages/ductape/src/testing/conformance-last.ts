import assert from "node:assert/strict";
import type { Client } from "../client/client.js";
import { BY_USER, DAY_MS, define, rejectsWith, run, type Body } from "./conformance-bench.js";
import type { SubjectsInput } from "../usage/usage.js";

const names = { product_tag: "shop", env: "prd", quota_tag: "q" } as const;
const asked = { ...names, window: "last" } as const;

/** Who used how much in the last window, under which limit. */
async function lastOf(client: Client, input: Partial<SubjectsInput> = {}) {
  const { subjects } = await client.usage.subjects({ ...asked, ...input });
  return subjects.map(({ subject, used, limit }) => [subject, used, limit]);
}

/** The promises about windows that have ended. */
export const LAST_CASES: Readonly<Record<string, Body>> = {
  "keeps what was used in windows that have ended": async ({ client, clock }) => {
    await define(client, { ...BY_USER, limit: 5, period: "day", history: 3 });
    for (const amount of [4, 2, 0, 5, 3]) {
      await run(client, { subject: "a", amount, idempotency_key: `day ${amount}` });
      assert.equal((await run(client, { subject: "a", amount: 6 })).allowed, false);
      clock.advance(DAY_MS);
    }
    const { windows } = await client.usage.history({ ...names, subject: "a" });
    assert.deepEqual(
      windows.map(({ start, used, limit }) => [start.slice(0, 10), used, limit]),
      [
        ["2026-01-20", 0, 5],
        ["2026-01-19", 3, 5],
        ["2026-01-18", 5, 5],
      ],
    );
  },
  "sets one of several rules that keep a history, and its history with it": async ({
    client,
    clock,
  }) => {
    await define(client, {
      rules: [
        { name: "day", limit: 5, period: "day", history: 2 },
        { name: "month", limit: 50, period: "month", history: 2 },
      ],
    });
    await run(client, { amount: 3 });
    await run(client, { action: "set", amount: 4, rule: "day" });
    const { rules = [] } = await run(client, { action: "check" });
    assert.deepEqual(
      rules.map(({ used }) => used),
      [4, 3],
    );
    clock.advance(DAY_MS);
    const keptOf = async (rule: string) => {
      const { windows } = await client.usage.history({ ...names, rule });
      return windows.map(({ used }) => used);
    };
    assert.deepEqual([await keptOf("day"), await keptOf("month")], [[0, 4], [3]]);
  },
  "lists what each subject used in the window that ended last": async ({ client, clock }) => {
    await define(client, { ...BY_USER, limit: 10, period: "day" });
    await run(client, { subject: "a", amount: 4 });
    await run(client, { subject: "b", amount: 6 });
    assert.deepEqual(await lastOf(client), []);
    clock.advance(DAY_MS);
    await run(client, { subject: "a", amount: 9 });
    await run(client, { subject: "c", amount: 1 });
    const wanted = [
      ["b", 6, 10],
      ["a", 4, 10],
    ];
    assert.deepEqual(await lastOf(client), wanted);
    const { subjects } = await client.usage.subjects(asked);
    for (const { window } of subjects) {
      assert.deepEqual(window, {
        start: "2026-01-15T00:00:00.000Z",
        end: "2026-01-16T00:00:00.000Z",
      });
    }
    clock.advance(DAY_MS / 2 - 1);
    assert.deepEqual(await lastOf(client), wanted);
    clock.advance(1);
    assert.deepEqual(await lastOf(client), [
      ["a", 9, 10],
      ["c", 1, 10],
    ]);
  },
  "lists nobody who used nothing in the window that ended last": async ({ client, clock }) => {
    await define(client, { ...BY_USER, limit: 10, period: "day" });
    await run(client, { subject: "a", amount: 4 });
    clock.advance(2 * DAY_MS);
    assert.deepEqual(await lastOf(client), []);
    await run(client, { subject: "a", amount: 2 });
    assert.deepEqual(await lastOf(client), []);
    await run(client, { subject: "b", amount: 2 });
    await run(client, { subject: "b", action: "reset" });
    clock.advance(DAY_MS);
    await run(client, { subject: "b" });
    assert.deepEqual(await lastOf(client), [["a", 2, 10]]);
  },
  "keeps the last window unchanged by later changes": async ({ client, clock }) => {
    await define(client, { ...BY_USER, limit: 10, period: "day" });
    const actions = ["set", "reset", "decrement", "grant"] as const;
    for (const subject of actions) await run(client, { subject, amount: 5 });
    await run(client, { subject: "set", action: "set", amount: 7 });
    clock.advance(DAY_MS);
    for (const action of actions) await run(client, { subject: action, action, amount: 1 });
    assert.deepEqual(await lastOf(client), [
      ["set", 7, 10],
      ["decrement", 5, 10],
      ["grant", 5, 10],
      ["reset", 5, 10],
    ]);
  },
  "shows for the last window the limit with its grants, by the last known plan": async (bench) => {
    const { client, clock } = bench;
    const limit = { by: "$Session{plan}", values: { pro: 9, team: null }, default: 3 } as const;
    await define(client, { ...BY_USER, limit, period: "month" });
    for (const plan of ["pro", "team", "free"]) {
      for (const userId of [`${plan} idle`, `${plan} busy`]) {
        await run(client, { subject: { userId, plan }, amount: 2 });
        await run(client, { subject: { userId }, action: "grant", amount: 4 });
      }
    }
    clock.advance(20 * DAY_MS);
    for (const plan of ["pro", "team", "free"]) {
      await run(client, { subject: { userId: `${plan} busy`, plan: "another" } });
    }
    assert.deepEqual(await lastOf(client), [
      ["free busy", 2, 7],
      ["free idle", 2, 7],
      ["pro busy", 2, 13],
      ["pro idle", 2, 13],
      ["team busy", 2, null],
      ["team idle", 2, null],
    ]);
  },
  "lists a last window only in the rule's current window version": async (bench) => {
    const { client, clock } = bench;
    await define(client, { ...BY_USER, limit: 10, period: "day" });
    await run(client, { subject: "a", amount: 4 });
    clock.advance(DAY_MS);
    await run(client, { subject: "a", amount: 1 });
    await client.product.quotas.update("shop", "q", { limit: 20 });
    assert.deepEqual(await lastOf(client), [["a", 4, 10]]);
    await client.product.quotas.update("shop", "q", { period: "month" });
    assert.deepEqual(await lastOf(client), []);
    await run(client, { subject: "a", amount: 2 });
    clock.advance(31 * DAY_MS);
    await run(client, { subject: "a" });
    assert.deepEqual(await lastOf(client), [["a", 3, 20]]);
  },
  "keeps an idle counter until the window after its own has ended": async ({ client, clock }) => {
    await define(client, { ...BY_USER, limit: null, period: "month" });
    clock.advance(20 * DAY_MS);
    for (let i = 0; i < 20; i++) await run(client, { subject: `idle-${i}` });
    // The last moment of March, which has 31 days, after February with 28.
    clock.advance(Date.UTC(2026, 3, 1) - 1 - clock());
    for (let i = 0; i < 60; i++) await run(client, { subject: `new-${i}`, amount: 2 });
    assert.equal((await lastOf(client)).length, 20);
    clock.advance(1);
    assert.equal((await lastOf(client)).length, 60);
  },
  "lists the last window page by page, without mixing two windows": async ({ client, clock }) => {
    await define(client, { ...BY_USER, limit: null, period: "day" });
    for (const [i, subject] of ["a", "b", "c"].entries()) {
      await run(client, { subject, amount: 1 + i });
    }
    clock.advance(DAY_MS);
    const first = await client.usage.subjects({ ...asked, limit: 2 });
    assert.deepEqual(
      first.subjects.map(({ subject }) => subject),
      ["c", "b"],
    );
    const after = first.next ?? undefined;
    assert.deepEqual(await lastOf(client, { after }), [["a", 1, null]]);
    await rejectsWith("VALIDATION", client.usage.subjects({ ...asked, window: "now", after }));
    clock.advance(DAY_MS);
    await rejectsWith("VALIDATION", client.usage.subjects({ ...asked, after }));
  },
  "refuses to list a last window that is not kept, and says why": async ({ client }) => {
    const limit = 1;
    await define(client, {
      rules: [
        { name: "rolling", limit, period: "month", window: "rolling" },
        { name: "hour", limit, period: "hour" },
        { name: "ever", limit, period: "lifetime" },
        { name: "hours", limit, period: { every: 24, unit: "hour" } },
      ],
    });
    const whys = { rolling: /is rolling/, ever: /never ends/, hour: /shorter/ };
    for (const [rule, why] of Object.entries(whys)) {
      await assert.rejects(client.usage.subjects({ ...asked, rule }), {
        code: "VALIDATION",
        message: why,
      });
    }
    assert.deepEqual(await lastOf(client, { rule: "hours" }), []);
  },
};
