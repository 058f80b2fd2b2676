import assert from "node:assert/strict";
import type { Client } from "../client/client.js";
import type { QuotaInput } from "../quota/request.js";
import { BY_USER, define, rejectsWith, run, usedOf, type Body } from "./conformance-bench.js";

type Rest = Partial<QuotaInput>;

const reserve = (client: Client, reservation: string, input: Rest = {}) =>
  run(client, { action: "reserve", reservation, ...input });

const commit = (client: Client, reservation: string, input: Rest = {}) =>
  run(client, { action: "commit", reservation, ...input });

/** What is used and what is held. */
async function countsOf(client: Client, input: Rest = {}): Promise<readonly [number, number]> {
  const result = await run(client, { ...input, action: "check", amount: 0 });
  assert.equal(result.degraded, false);
  return [result.used, result.held];
}

/** When the hold of an answer expires, epoch milliseconds. */
function expiresMs(result: Awaited<ReturnType<typeof run>>): number {
  assert.equal(result.degraded, false);
  assert.ok(result.reservation?.expires_at !== undefined);
  return Date.parse(result.reservation.expires_at);
}

/** The promises about holds. */
export const HOLD_CASES: Readonly<Record<string, Body>> = {
  "sets an amount aside until it is settled, and counts what was used": async ({ client }) => {
    await define(client, { limit: 10, period: "day" });
    assert.equal((await reserve(client, "a", { amount: 7 })).allowed, true);
    assert.deepEqual(await countsOf(client), [0, 7]);
    assert.equal((await run(client, { amount: 4 })).allowed, false);
    assert.equal((await reserve(client, "b", { amount: 4 })).allowed, false);
    assert.equal((await commit(client, "a", { amount: 2 })).allowed, true);
    assert.deepEqual(await countsOf(client), [2, 0]);
    await rejectsWith("RESERVATION_NOT_FOUND", commit(client, "b"));
  },
  "reserves once for an id, and settles it once": async ({ client, connect }) => {
    await define(client, { limit: 10, period: "day" });
    const other = client.guarantees.shared === "process" ? client : connect();
    const clients = Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? client : other));
    const reserved = await Promise.all(clients.map((each) => reserve(each, "a", { amount: 6 })));
    assert.equal(reserved.filter(({ replayed }) => replayed === true).length, 19);
    assert.deepEqual(await countsOf(client), [0, 6]);
    await rejectsWith("IDEMPOTENCY_CONFLICT", reserve(client, "a", { amount: 5 }));
    const settled = await Promise.all(clients.map((each) => commit(each, "a", { amount: 4 })));
    assert.equal(settled.filter(({ replayed }) => replayed === true).length, 19);
    assert.deepEqual(await countsOf(other), [4, 0]);
    await rejectsWith("IDEMPOTENCY_CONFLICT", commit(client, "a", { amount: 5 }));
  },
  "shares what is held exactly between connections": async ({ client, connect }) => {
    if (client.guarantees.shared === "process") return;
    await define(client, { limit: 50, period: "day" });
    const clients = [client, connect(), connect()];
    const work = clients.map(async (each, i) => {
      const calls = Array.from({ length: 30 }, (_, call) => reserve(each, `${i}-${call}`));
      return (await Promise.all(calls)).filter(({ allowed }) => allowed).length;
    });
    const admitted = (await Promise.all(work)).reduce((sum, count) => sum + count, 0);
    assert.equal(admitted, 50);
    for (const each of clients) assert.deepEqual(await countsOf(each), [0, 50]);
  },
  "frees what is held at its expiry, and not before": async ({ client, clock, connect }) => {
    await define(client, { limit: 10, period: "day" });
    const endMs = expiresMs(await reserve(client, "a", { amount: 8, ttl_ms: 90_000 }));
    const startMs = clock();
    assert.ok(endMs >= startMs + 90_000 && endMs <= startMs + 91_500);
    const other = client.guarantees.shared === "process" ? client : connect();
    clock.advance(endMs - startMs - 1);
    assert.deepEqual(await countsOf(other), [0, 8]);
    clock.advance(1);
    assert.deepEqual(await countsOf(other), [0, 0]);
    assert.equal((await commit(other, "a", { amount: 3 })).allowed, true);
    assert.deepEqual(await countsOf(client), [3, 0]);
  },
  "answers from a cache with what is held, and no longer than it is": async ({ client, clock }) => {
    await define(client, { limit: 10, period: "day" });
    await client.product.caches.create("shop", { tag: "c", expiry: 600_000 });
    const cache = "c";
    const check = () => run(client, { action: "check", amount: 5, cache });
    assert.equal((await check()).allowed, true);
    const endMs = expiresMs(await reserve(client, "a", { amount: 6, ttl_ms: 60_000, cache }));
    assert.equal((await check()).allowed, false);
    assert.equal((await run(client, { amount: 5, cache })).allowed, false);
    clock.advance(endMs - clock() - 1);
    assert.equal((await check()).allowed, false);
    clock.advance(1);
    assert.equal((await check()).allowed, true);
    assert.equal((await run(client, { amount: 5, cache })).allowed, true);
    assert.deepEqual(await countsOf(client), [5, 0]);
  },
  "counts open holds of a concurrency rule, and slots come back": async ({ client, clock }) => {
    const rules = [
      { name: "in-flight", ...BY_USER, limit: 2, window: "concurrent" },
      { name: "day", limit: 100, period: "day" },
    ] as const;
    await define(client, { rules });
    const hold = (id: string) => reserve(client, id, { subject: "u", amount: 9, ttl_ms: 60_000 });
    const endMs = expiresMs(await hold("a"));
    await hold("b");
    const denied = await hold("c");
    assert.deepEqual([denied.allowed, denied.degraded], [false, false]);
    assert.equal(denied.degraded === false ? denied.rule : null, "in-flight");
    assert.equal((await run(client, { subject: "u" })).allowed, true);
    await run(client, { action: "release", reservation: "b", subject: "u" });
    assert.equal((await hold("c")).allowed, true);
    clock.advance(endMs - clock());
    assert.equal((await hold("d")).allowed, true);
  },
  "counts in all rules of a hold or in none": async ({ client }) => {
    await define(client, {
      rules: [
        { name: "user", ...BY_USER, limit: 5, period: "day" },
        { name: "all", limit: 8, period: "month" },
      ],
    });
    assert.equal((await reserve(client, "a", { subject: "a", amount: 5 })).allowed, true);
    assert.equal((await reserve(client, "b", { subject: "b", amount: 4 })).allowed, false);
    assert.equal((await reserve(client, "b", { subject: "b", amount: 3 })).allowed, true);
    await commit(client, "a", { subject: "a", amount: 1 });
    const result = await run(client, { action: "check", subject: "a" });
    assert.equal(result.degraded, false);
    const numbers = result.rules?.map(({ rule, used, held }) => [rule, used, held]);
    assert.deepEqual(numbers, [
      ["user", 1, 0],
      ["all", 1, 3],
    ]);
  },
  "extends a hold, and books parts of it": async ({ client, clock }) => {
    await define(client, { limit: 10, period: "day" });
    await reserve(client, "a", { amount: 4, ttl_ms: 60_000 });
    clock.advance(50_000);
    const beat = { action: "extend", reservation: "a" } as const;
    const endMs = expiresMs(await run(client, { ...beat, amount: 6, ttl_ms: 60_000 }));
    assert.ok(endMs >= clock() + 60_000);
    assert.equal((await run(client, { ...beat, amount: 11 })).allowed, false);
    await commit(client, "a", { amount: 2, final: false });
    assert.deepEqual(await countsOf(client), [2, 4]);
    clock.advance(endMs - clock());
    assert.deepEqual(await countsOf(client), [2, 0]);
  },
  "counts a hold in the window that admitted it": async ({ client, clock }) => {
    await define(client, { limit: 10, period: "hour", history: 2 });
    await reserve(client, "a", { amount: 8, ttl_ms: 7_200_000 });
    clock.advance(3_600_000);
    assert.deepEqual(await countsOf(client), [0, 0]);
    await run(client, { amount: 5 });
    await commit(client, "a", { amount: 3 });
    assert.deepEqual(await countsOf(client), [5, 0]);
    const place = { product_tag: "shop", env: "prd", quota_tag: "q" } as const;
    const { windows } = await client.usage.history(place);
    assert.deepEqual(
      windows.map(({ used }) => used),
      [5, 3],
    );
  },
  "takes back what a charge counted, once": async ({ client, connect }) => {
    await define(client, { limit: 10, period: "day" });
    await run(client, { amount: 2 });
    await run(client, { amount: 5, idempotency_key: "k" });
    const other = client.guarantees.shared === "process" ? client : connect();
    const refund = { action: "decrement", of: "k" } as const;
    const answers = await Promise.all([client, other, client].map((each) => run(each, refund)));
    assert.equal(answers.filter(({ replayed }) => replayed === true).length, 2);
    assert.equal(await usedOf(client), 2);
  },
  "decides holds and counts of one call as one": async ({ client }) => {
    await define(client, { ...BY_USER, limit: 5, period: "day" });
    const place = { env: "prd", product_tag: "shop", quota_tag: "q" } as const;
    const inputs = (amount: number) =>
      [
        { ...place, action: "reserve", subject: "a", reservation: "r", amount: 3 },
        { ...place, action: "increment", subject: "b", amount },
      ] as const;
    const { quota } = client.processor;
    const refused = await quota.runAll(inputs(6), { atomic: true });
    assert.ok(refused.every(({ allowed }) => !allowed));
    await rejectsWith("RESERVATION_NOT_FOUND", commit(client, "r", { subject: "a" }));
    const admitted = await quota.runAll(inputs(5), { atomic: true });
    assert.ok(admitted.every(({ allowed }) => allowed));
    assert.deepEqual(await countsOf(client, { subject: "a" }), [0, 3]);
  },
};
