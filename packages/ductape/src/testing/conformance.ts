import assert from "node:assert/strict";
import type { Client } from "../client/client.js";
import {
  admittedOf,
  BY_USER,
  DAY_MS,
  define,
  HOUR_MS,
  inputOf,
  rejectsWith,
  run,
  usedOf,
  type Body,
  type DrivenClock,
} from "./conformance-bench.js";
import { CLOCK_CASES } from "./conformance-clock.js";
import { HOLD_CASES } from "./conformance-holds.js";
import { LAST_CASES } from "./conformance-last.js";
import { Ductape } from "../ductape.js";
import type { QuotaResult } from "../quota/decision.js";
import type { Clock } from "../base/call.js";
import type { Store } from "../stores/store.js";

/** An empty place for counters, such as a new file or an empty database. */
export interface StorePlace {
  /**
   * Returns the URL of the place, or a new store or client on it. Called once for each connection
   * that a case needs.
   */
  connect(clock: Clock): string | Store | Client;
  /** Removes the place, after all connections are closed. */
  remove(): void | Promise<void>;
}

/** One promise, as a sentence, and its test. */
export interface StoreCase {
  readonly name: string;
  readonly run: () => Promise<void>;
}

const START_MS = Date.UTC(2026, 0, 15, 12);

/** All cases, each with its own place and time. */
export function storeCases(
  place: () => StorePlace | Promise<StorePlace>,
  clockAt: (startMs: number) => DrivenClock,
): readonly StoreCase[] {
  return Object.entries({ ...CASES, ...CLOCK_CASES, ...LAST_CASES, ...HOLD_CASES }).map(
    ([name, body]) => ({
      name,
      run: async () => runIn(await place(), clockAt(START_MS), body),
    }),
  );
}

async function runIn(place: StorePlace, clock: DrivenClock, body: Body): Promise<void> {
  const clients: Client[] = [];
  const connect = (): Client => {
    const made = place.connect(clock);
    const client = isClient(made) ? made : new Ductape({ store: made, clock });
    clients.push(client);
    return client;
  };
  try {
    const client = connect();
    await client.product.create({ tag: "shop" });
    await client.product.environments.create("shop", { slug: "prd" });
    await body({ client, clock, connect });
  } finally {
    await Promise.all(clients.map((client) => client.close()));
    await place.remove();
  }
}

function isClient(made: string | Store | Client): made is Client {
  return typeof made === "object" && "processor" in made;
}

const CASES: Readonly<Record<string, Body>> = {
  "admits exactly the limit, however many ask at once": async ({ client }) => {
    await define(client, { limit: 100, period: "day" });
    assert.equal(await admittedOf(client, 250), 100);
    assert.equal(await usedOf(client), 100);
  },
  "charges nothing for a refusal": async ({ client }) => {
    await define(client, { limit: 10, period: "day" });
    await run(client, { amount: 8 });
    assert.equal((await run(client, { amount: 3 })).allowed, false);
    assert.equal((await run(client, { amount: 2 })).allowed, true);
    assert.equal(await usedOf(client), 10);
  },
  "decides the same through a bound quota as with whole inputs": async ({ client }) => {
    await define(client, { ...BY_USER, limit: 10, period: "day" });
    const bound = client.quota({ product_tag: "shop", env: "prd", quota_tag: "q" });
    const subject = "u";
    assert.equal((await bound.increment({ subject, amount: 8 })).allowed, true);
    assert.equal((await bound.increment({ subject, amount: 3 })).allowed, false);
    const checked = await run(client, { action: "check", subject });
    assert.deepEqual(await bound.check({ subject }), checked);
    await bound.grant({ subject, amount: 5 });
    assert.equal((await bound.increment({ subject, amount: 7 })).allowed, true);
    await bound.decrement({ subject });
    assert.equal(await usedOf(client, { subject }), 14);
    await bound.set({ subject, amount: 2 });
    assert.equal(await usedOf(client, { subject }), 2);
    await bound.reset({ subject });
    assert.equal(await usedOf(client, { subject }), 0);
  },
  "counts in all rules or in none": async ({ client }) => {
    await define(client, {
      rules: [
        { name: "user", ...BY_USER, limit: 5, period: "day" },
        { name: "all", limit: 8, period: "month" },
      ],
    });
    assert.equal(await admittedOf(client, 7, { subject: "a" }), 5);
    assert.equal(await admittedOf(client, 7, { subject: "b" }), 3);
    const result = await run(client, { action: "check", subject: "b" });
    assert.ok(result.rules !== undefined);
    assert.deepEqual(
      result.rules.map(({ rule, used }) => [rule, used]),
      [
        ["user", 3],
        ["all", 8],
      ],
    );
  },
  "keeps subjects apart that look alike": async ({ client }) => {
    await define(client, { ...BY_USER, limit: null, period: "day" });
    const subjects = [
      "a",
      "A",
      "a/",
      "a%2F",
      "a%252F",
      "a/b",
      "é",
      "e\u0301",
      "😀",
      "__proto__",
      " a",
    ];
    for (const [i, subject] of subjects.entries()) await run(client, { subject, amount: i + 1 });
    for (const [i, subject] of subjects.entries()) {
      assert.equal(await usedOf(client, { subject }), i + 1, subject);
    }
  },
  "never admits more than the limit in any stretch of a rolling window": async (bench) => {
    const { client, clock } = bench;
    await define(client, { limit: 90, period: "hour", window: "rolling" });
    const admittedMs: number[] = [];
    const since = (leftMs: number) => admittedMs.filter((atMs) => atMs > leftMs).length;
    for (let step = 0; step < 300; step++, clock.advance(1 + ((step * 7_919) % 60_000))) {
      const { allowed } = await run(client);
      if (allowed) admittedMs.push(clock());
      else assert.ok(since(clock() - HOUR_MS - HOUR_MS / 60) >= 90, `${step} is denied too early`);
      assert.ok(since(clock() - HOUR_MS) <= 90, `${step} passes the limit`);
    }
    assert.ok(admittedMs.length > 180 && admittedMs.length < 300);
  },
  "counts an idempotency key once, and repeats its answer": async ({ client, clock }) => {
    await define(client, { limit: 5, period: "hour" });
    const key = { idempotency_key: "k", amount: 4 };
    const results = await Promise.all(Array.from({ length: 20 }, () => run(client, key)));
    assert.equal(results.filter((each) => each.replayed).length, 19);
    assert.equal(await usedOf(client), 4);
    const denied = { idempotency_key: "d", amount: 2 };
    assert.equal((await run(client, denied)).allowed, false);
    clock.advance(HOUR_MS);
    assert.equal((await run(client, denied)).allowed, false);
    assert.equal((await run(client, key)).allowed, true);
    assert.equal(await usedOf(client), 0);
    await rejectsWith("IDEMPOTENCY_CONFLICT", run(client, { ...key, amount: 3 }));
    clock.advance(DAY_MS);
    assert.equal((await run(client, denied)).allowed, true);
    for (const advanceMs of [1_999, 1, 0]) {
      await run(client, { idempotency_key: "b", idempotency_ttl_ms: 2_000 });
      clock.advance(advanceMs);
    }
    assert.equal(await usedOf(client), 4);
  },
  "sets, lowers, resets and grants": async ({ client, clock }) => {
    await define(client, { limit: 10, period: "hour" });
    await run(client, { action: "set", amount: 9 });
    await run(client, { action: "decrement", amount: 2 });
    assert.equal(await usedOf(client), 7);
    const taken = await run(client, { action: "decrement", amount: 20, idempotency_key: "taken" });
    assert.deepEqual([taken.amount, taken.applied, taken.used], [20, 7, 0]);
    await run(client);
    const again = await run(client, { action: "decrement", amount: 20, idempotency_key: "taken" });
    assert.deepEqual(again, { ...taken, replayed: true });
    assert.equal(await usedOf(client), 1);
    await run(client, { action: "reset" });
    await run(client, { action: "grant", amount: 5 });
    assert.equal(await admittedOf(client, 20), 15);
    const reset = await run(client, { action: "reset" });
    assert.deepEqual([reset.previous_used, reset.used, reset.limit], [15, 0, 15]);
    clock.advance(HOUR_MS);
    assert.equal(await admittedOf(client, 20), 10);
  },
  "answers in the order in which it decides": async ({ client }) => {
    await define(client, { limit: null, period: "day" });
    await run(client);
    const counts: number[] = [];
    const note = (result: QuotaResult) => void counts.push(result.used);
    const calls: Promise<void>[] = [];
    // Waves of every size: some are one batch, some are many, and some come while one is under way.
    for (const count of [1, 300, 7, 4_500, 40, 1, 900, 2]) {
      for (let call = 0; call < count; call++) calls.push(run(client).then(note));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(calls);
    assert.deepEqual(
      counts,
      calls.map((_, i) => i + 2),
    );
  },
  "keeps the limit of each subject's plan beside its count": async ({ client, connect }) => {
    const limit = { by: "$Session{plan}", values: { pro: 9, team: null }, default: 3 } as const;
    await define(client, { ...BY_USER, limit, period: "day" });
    for (const plan of ["pro", "team", "free"]) {
      await run(client, { subject: { userId: plan, plan }, amount: 2 });
      await run(client, { subject: { userId: plan }, action: "set", amount: 1 });
    }
    const { shared } = client.guarantees;
    for (const each of shared === "process" ? [client] : [client, connect()]) {
      const { subjects } = await each.usage.subjects({
        product_tag: "shop",
        env: "prd",
        quota_tag: "q",
      });
      assert.deepEqual(
        subjects.map((listed) => [listed.subject, listed.used, listed.limit]),
        [
          ["free", 1, 3],
          ["pro", 1, 9],
          ["team", 1, null],
        ],
      );
    }
  },
  "reports an alert by exactly one decision of a window": async ({ client, clock }) => {
    await define(client, { limit: 10, period: "hour", alerts: [0.5, 1] });
    const fractions = async () => {
      const results = await Promise.all(Array.from({ length: 12 }, () => run(client)));
      return results.flatMap((each) => each.alerts ?? []);
    };
    assert.deepEqual((await fractions()).map(({ fraction }) => fraction).toSorted(), [0.5, 1]);
    assert.deepEqual(await fractions(), []);
    clock.advance(HOUR_MS);
    assert.equal((await fractions()).length, 2);
  },
  "decides several inputs as one, each seeing those before it": async ({ client }) => {
    await define(client, { ...BY_USER, limit: 5, period: "day" });
    const { quota } = client.processor;
    const inputs = ["a", "a", "b"].map((subject) => inputOf({ subject, amount: 3 }));
    const refused = await quota.runAll(inputs, { atomic: true });
    assert.deepEqual(
      refused.map(({ allowed }) => allowed),
      [false, false, false],
    );
    assert.deepEqual(
      [await usedOf(client, { subject: "a" }), await usedOf(client, { subject: "b" })],
      [0, 0],
    );
    const admitted = await quota.runAll(inputs.slice(1), { atomic: true });
    assert.ok(admitted.every(({ allowed }) => allowed));
    assert.equal(await usedOf(client, { subject: "a" }), 3);
  },
  "counts fractions to the last digit, and rounds if the quota says so": async (bench) => {
    const { client } = bench;
    await define(client, { limit: 9_000, period: "day", decimals: 12 });
    await rejectsWith("VALIDATION", run(client, { amount: 0.1 + 0.2 }));
    await client.product.quotas.update("shop", "q", { rounding: "nearest" });
    for (const amount of [0.1 + 0.2, 1_234 * 1.5e-7, 1e-12, 8_999.7]) await run(client, { amount });
    assert.equal((await run(client, { amount: 0 })).amount, 0);
    assert.equal(await usedOf(client), 0.300185100001);
    await run(client, { action: "decrement", amount: 0.3 });
    assert.equal(await usedOf(client), 0.000185100001);
    await client.product.quotas.update("shop", "q", { rounding: "up" });
    assert.equal((await run(client, { amount: 1e-13 })).amount, 1e-12);
    assert.equal(await usedOf(client), 0.000185100002);
  },
  "refuses a count past 2^53-1 and keeps the one it has": async ({ client }) => {
    await define(client, { limit: null, period: "lifetime" });
    await run(client, { amount: Number.MAX_SAFE_INTEGER });
    await rejectsWith("VALIDATION", run(client, { amount: 1 }));
    assert.equal(await usedOf(client), Number.MAX_SAFE_INTEGER);
  },
  "transfers a count into a changed window, without a fresh allowance": async ({ client }) => {
    await define(client, { limit: 10, period: "day" });
    await run(client, { amount: 7 });
    await client.product.quotas.update("shop", "q", { limit: 10, period: "month" });
    assert.equal(await usedOf(client), 7);
    assert.equal(await admittedOf(client, 9), 3);
  },
  "keeps a transferred count, although the old window is long past": async ({ client, clock }) => {
    await define(client, { ...BY_USER, limit: 10, period: "day" });
    for (const subject of ["a", "b", "c"]) await run(client, { subject, amount: 7 });
    await client.product.quotas.update("shop", "q", { period: "month" });
    clock.advance(3 * DAY_MS);
    for (let i = 0; i < 30; i++) await run(client, { subject: `another-${i}` });
    for (const subject of ["a", "b", "c"]) {
      assert.equal(await usedOf(client, { subject }), 7);
      assert.equal((await run(client, { subject, amount: 4 })).allowed, false);
    }
  },
  "starts at zero for a quota that is created again": async ({ client }) => {
    await define(client, { limit: 10, period: "day" });
    await run(client, { amount: 7, idempotency_key: "k" });
    await client.product.quotas.delete("shop", "q");
    await rejectsWith("QUOTA_NOT_FOUND", run(client));
    await define(client, { limit: 10, period: "day" });
    assert.equal(await usedOf(client), 0);
    assert.equal((await run(client, { amount: 9, idempotency_key: "k" })).allowed, true);
  },
  "refuses a change of a definition that has changed since": async ({ client }) => {
    await define(client, { limit: 10, period: "day" });
    await client.product.quotas.update("shop", "q", { limit: 11, if_revision: 1 });
    const late = client.product.quotas.update("shop", "q", { limit: 12, if_revision: 1 });
    await rejectsWith("REVISION_CONFLICT", late);
    await rejectsWith("ALREADY_EXISTS", define(client, { limit: 1, period: "day" }));
    const quota = await client.product.quotas.fetch("shop", "q");
    assert.deepEqual([quota.revision, quota.rules[0]?.limit], [2, 11]);
  },
  "gives up a call whose signal is aborted, and counts nothing": async ({ client }) => {
    await define(client, { limit: 10, period: "day" });
    await run(client);
    const signal = AbortSignal.abort();
    await rejectsWith("ABORTED", client.processor.quota.run(inputOf({}), { signal }));
    assert.equal(await usedOf(client), 1);
  },
  "finishes accepted calls before it closes, and accepts no more": async ({ client, connect }) => {
    await define(client, { limit: null, period: "day" });
    const calls = Array.from({ length: 50 }, () => run(client));
    const { durable } = client.guarantees;
    await run(client);
    await Promise.all([client.close(), ...calls]);
    await assert.rejects(run(client), { code: "STORE_UNAVAILABLE", retryable: false });
    if (durable) assert.equal(await usedOf(connect()), 51);
  },
  "lets one of several connections change a definition at a revision": async (bench) => {
    const { client, connect } = bench;
    if (client.guarantees.shared === "process") return;
    await define(client, { limit: 1, period: "day" });
    const clients = [client, connect(), connect()];
    for (const each of clients) assert.equal(await usedOf(each), 0);
    const changes = clients.map((each, i) =>
      each.product.quotas.update("shop", "q", { limit: 2 + i, if_revision: 1 }),
    );
    const settled = await Promise.allSettled(changes);
    const refused = settled.filter((each) => each.status === "rejected");
    assert.equal(refused.length, clients.length - 1);
    for (const { reason } of refused) {
      await rejectsWith("REVISION_CONFLICT", Promise.reject(reason));
    }
    const limit = 2 + settled.findIndex(({ status }) => status === "fulfilled");
    const quota = await client.product.quotas.fetch("shop", "q");
    assert.deepEqual([quota.revision, quota.rules[0]?.limit], [2, limit]);
  },
  "shares one limit exactly between connections": async ({ client, connect }) => {
    if (client.guarantees.shared === "process") return;
    await define(client, { limit: 100, period: "day" });
    const clients = [client, connect(), connect()];
    const admitted = await Promise.all(clients.map((each) => admittedOf(each, 60)));
    assert.equal(
      admitted.reduce((sum, count) => sum + count, 0),
      100,
    );
    for (const each of clients) assert.equal(await usedOf(each), 100);
  },
  "shows a changed definition to other connections within a second": async (bench) => {
    const { client, connect } = bench;
    if (client.guarantees.shared === "process") return;
    await define(client, { limit: 1, period: "day" });
    const other = connect();
    await run(other);
    await client.product.quotas.update("shop", "q", { limit: 2 });
    const deadlineMs = performance.now() + 1_000;
    while (!(await run(other, { action: "check" })).allowed) {
      assert.ok(performance.now() < deadlineMs, "the change was not seen within a second");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  },
};
