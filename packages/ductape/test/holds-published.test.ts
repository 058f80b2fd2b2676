// Reservations as others test them.
//
// No set of conformance tests for reservations was public in November 2026. The Cycles Protocol
// plans one (its CONFORMANCE.md), and has two lists instead: scenarios of a client that recovers
// (client-recovery/scenarios.yaml, 0.1), and pairs of requests and responses
// (impl/test-vectors.yaml, 0.1.26). RFC 8506, credit control in telephone networks, is the one
// standard; its interoperability tests never left the state of a draft
// (draft-fajardo-dime-dcc-test-suite-02). The tests here are named after the cases of these lists
// that a quota can meet, with their numbers.
//
// What differs, and why:
// - CR-CORE-002, CR-DURABLE-002: there, a commit after the expiry is refused, and the client sends
//   an event with the same key instead. Here the commit itself counts, so nothing is left to do
//   that a crash could interrupt.
// - CR-CORE-003: there, a failed heartbeat is reported and the work goes on. The same here, except
//   that a hold that has expired meanwhile is extended only while there is room.
// - CR-CORE-004: an answer of another shape is a matter of the HTTP client; see the tests of the
//   remote client.
// - CR-DURABLE-003, -004, -005: a journal of the client. Here the id of the hold is enough to
//   settle it from any process, so a client keeps no journal.
// - Vectors 2 and 3 (kinds of actions that a policy forbids), 7, 8 and 10 (observe only) are no
//   matter of quotas; a soft rule comes closest to the last three.
// - A denial is a value here, and status 409 there.
// - RFC 8506: a used-up grant may be replaced by a new one in the same message. Here that is a
//   `commit` of a part, then an `extend`.
import { afterAll, describe, expect, it } from "vitest";
import { Ductape } from "ductape";
import { callsOf, expiresMs, holdingOn } from "./holding.js";
import { testedStores } from "./tested.js";

const { stores, stop } = await testedStores();
afterAll(stop);

const TTL = { ttl_ms: 30_000 } as const;
const ACME = { subject: { tenant: "acme", agent: "support-bot" } } as const;
const BUDGETS = {
  rules: [
    { name: "tenant", scope: "$Session{tenant}", limit: 1_000_000, period: "month" },
    { name: "agent", scope: "$Session{agent}", limit: 50_000, period: "month" },
  ],
} as const;

describe.each(stores)("on $name, as the Cycles Protocol has it", ({ url, isShared }) => {
  let places = 0;
  const place = () => url(`p${places++}`);

  it("CR-CORE-001: a lost answer to a commit is asked for again, and settles once", async () => {
    const { client, reserve, commit, numbers } = await holdingOn(place(), BUDGETS);
    await reserve("r", { amount: 5_000, ...TTL, ...ACME });
    const first = await commit("r", { amount: 3_200, ...ACME });
    const again = await commit("r", { amount: 3_200, ...ACME });
    expect(again).toEqual({ ...first, replayed: true });
    expect(await numbers(ACME)).toEqual([3_200, 0, 46_800]);
    await client.close();
  });

  it("CR-CORE-002 differs: a commit after the expiry counts, at most once", async () => {
    const { client, clock, reserve, commit, numbers } = await holdingOn(place(), BUDGETS);
    clock.set(expiresMs(await reserve("r", { amount: 5_000, ...TTL, ...ACME })));
    const late = await commit("r", { amount: 3_200, ...ACME });
    expect(late.reservation).toMatchObject({ charged: 3_200, excess: 3_200, expired: true });
    expect((await commit("r", { amount: 3_200, ...ACME })).replayed).toBe(true);
    expect(await numbers(ACME)).toEqual([3_200, 0, 46_800]);
    await client.close();
  });

  it("CR-CORE-003: a heartbeat that failed leaves the hold to the next one", async () => {
    const { client, clock, reserve, extend, commit } = await holdingOn(place(), BUDGETS);
    await reserve("r", { amount: 5_000, ...TTL, ...ACME });
    // The heartbeats after 10 and after 20 seconds never reached the store.
    clock.advance(29_000);
    expect((await extend("r", { ...TTL, ...ACME })).allowed).toBe(true);
    clock.advance(29_000);
    const settled = await commit("r", ACME);
    expect(settled.reservation).toMatchObject({ held: 5_000, charged: 5_000, expired: false });
    await client.close();
  });

  it("CR-DURABLE-001: a commit is repeated by another process after a restart", async () => {
    if (!isShared) return;
    const store = place();
    const { client, clock, reserve, commit } = await holdingOn(store, BUDGETS);
    await reserve("r", { amount: 5_000, ...TTL, ...ACME });
    await commit("r", { amount: 3_200, ...ACME });
    await client.close();
    await using restarted = new Ductape({ store, clock });
    const calls = callsOf(restarted);
    expect((await calls.commit("r", { amount: 3_200, ...ACME })).replayed).toBe(true);
    expect(await calls.numbers(ACME)).toEqual([3_200, 0, 46_800]);
  });

  it("CR-DURABLE-006: two processes that repeat a commit at once settle it once", async () => {
    if (!isShared) return;
    const store = place();
    const { client, clock, reserve, numbers } = await holdingOn(store, BUDGETS);
    await reserve("r", { amount: 5_000, ...TTL, ...ACME });
    await using other = new Ductape({ store, clock });
    const answers = await Promise.all(
      [client, other, client, other].map((each) =>
        callsOf(each).commit("r", { amount: 3_200, ...ACME }),
      ),
    );
    expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1);
    expect(await numbers(ACME)).toEqual([3_200, 0, 46_800]);
    await client.close();
  });

  it("CR-BOUNDARY-001: a death before the cost is known charges nothing by itself", async () => {
    const { client, clock, reserve, numbers } = await holdingOn(place(), BUDGETS);
    clock.set(expiresMs(await reserve("r", { amount: 5_000, ...TTL, ...ACME })));
    expect(await numbers(ACME)).toEqual([0, 0, 1_000_000]);
    await client.close();
  });

  it("vector 1, allow: what is left of every budget, and when the hold expires", async () => {
    const { client, clock, run, reserve } = await holdingOn(place(), BUDGETS);
    await run({ amount: 0, ...ACME });
    const startMs = clock();
    const { allowed, rules, reservation } = await reserve("r", { amount: 5_000, ...TTL, ...ACME });
    expect(allowed).toBe(true);
    expect(rules?.map(({ rule, remaining }) => [rule, remaining])).toEqual([
      ["tenant", 995_000],
      ["agent", 45_000],
    ]);
    expect(reservation).toMatchObject({ id: "r", amount: 5_000 });
    const expiresInMs = Date.parse(reservation?.expires_at ?? "") - startMs;
    expect(expiresInMs).toBeGreaterThanOrEqual(30_000);
    expect(expiresInMs).toBeLessThanOrEqual(30_500);
    await client.close();
  });

  it("vectors 4, 5 and 6: a denial names the rule that has no room, and changes none", async () => {
    const { client, run, reserve, numbers } = await holdingOn(place(), BUDGETS);
    await run({ action: "increment", amount: 5_000, ...ACME });
    const denied = await reserve("r", { amount: 500_000, ...ACME });
    expect(denied).toMatchObject({ allowed: false, rule: "agent", remaining: 45_000 });
    expect(await numbers(ACME)).toEqual([5_000, 0, 45_000]);
    await client.close();
  });

  it("vector 9: the eighth of ten reports the threshold of 80 %, once", async () => {
    const emails = { limit: 10, period: "lifetime", alerts: [0.8] } as const;
    const { client, reserve, commit } = await holdingOn(place(), emails);
    const reports: number[] = [];
    for (let email = 1; email <= 10; email++) {
      await reserve(`email-${email}`);
      const { alerts } = await commit(`email-${email}`);
      if (alerts !== undefined) reports.push(email);
    }
    expect(reports).toEqual([8]);
    await client.close();
  });

  it("vector 11: a full minute denies although the hour has room", async () => {
    const rules = [
      { name: "per-minute", limit: 5, period: "minute" },
      { name: "per-hour", limit: 100, period: "hour" },
    ] as const;
    const { client, clock, reserve, commit } = await holdingOn(place(), { rules });
    for (let email = 1; email <= 5; email++) {
      await reserve(`email-${email}`);
      await commit(`email-${email}`);
    }
    const denied = await reserve("email-6");
    expect(denied).toMatchObject({ allowed: false, rule: "per-minute", retry_after_ms: 60_000 });
    clock.advance(60_000);
    expect((await reserve("email-6")).allowed).toBe(true);
    await client.close();
  });
});

describe.each(stores)("on $name, as RFC 8506 has it", ({ url }) => {
  const quota = { limit: 100, period: "month" } as const;

  it("session based: a first, an interim and a final interrogation", async () => {
    const { client, reserve, commit, extend, numbers } = await holdingOn(url("sessions"), quota);
    // INITIAL_REQUEST: units are granted.
    expect((await reserve("call", { amount: 40, at_least: 1 })).amount).toBe(40);
    // UPDATE_REQUEST: the used units are reported, and others are granted.
    await commit("call", { amount: 40, final: false });
    expect((await extend("call", { amount: 40 })).allowed).toBe(true);
    expect(await numbers()).toEqual([40, 40, 20]);
    // TERMINATION_REQUEST: the last used units; what is left of the grant is free again.
    await commit("call", { amount: 7 });
    expect(await numbers()).toEqual([47, 0, 53]);
    await client.close();
  });

  it("one-time events: balance check, direct debiting and refund", async () => {
    const { client, run, check, increment, numbers } = await holdingOn(url("events"), quota);
    // CHECK_BALANCE, DIRECT_DEBITING, REFUND_ACCOUNT.
    expect((await check(30)).allowed).toBe(true);
    await increment(30, { idempotency_key: "message-1" });
    expect(await numbers()).toEqual([30, 0, 70]);
    await run({ action: "decrement", of: "message-1" });
    expect(await numbers()).toEqual([0, 0, 100]);
    await client.close();
  });
});
