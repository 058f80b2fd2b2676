import { afterAll, describe, expect, it } from "vitest";
import { copyStore, Ductape, type CopyProgress, type StoreMaker } from "ductape";
import { manualClock } from "ductape/testing";
import { MemoryStore } from "../src/stores/memory/memory.js";
import { clientWith, faultOf, inputOf } from "./support.js";
import { testedStores } from "./tested.js";

const { stores, stop } = await testedStores();
afterAll(stop);
const shared = stores.filter(({ isShared }) => isShared);
let places = 0;
const newStore = (store = shared[0]) => store?.url(`copy_${places++}`) ?? "";
const PAIRS = shared.flatMap((from) => shared.map((to) => ({ from, to })));

const TARGET = { product: "shop", env: "prd", tag: "user" } as const;
const USERS = 2_500;

/** A store with counters of every kind, sessions and answers; and what it answers. */
async function fill(store: string) {
  await using client = await clientWith(
    [
      { tag: "q", limit: 10, period: "month", scope: "$Session{userId}", alerts: [0.5] },
      { tag: "burst", limit: 100, period: "day", window: "rolling" },
      { tag: "costs", limit: 9_000, period: "lifetime", decimals: 12, rounding: "nearest" },
      {
        tag: "plans",
        limit: { by: "$Session{plan}", values: { free: 3, pro: null }, default: 1 },
        period: "lifetime",
        scope: "$Session{userId}",
      },
    ],
    { store },
  );
  await client.product.sessions.create("shop", {
    tag: "user",
    schema: { userId: "u", plan: "free" },
    selector: "$Session{userId}",
    expiry: 7,
  });
  await client.product.quotas.update("shop", "q", { name: "Second revision" });
  const { quota, sessions } = client.processor;
  await Promise.all(
    Array.from({ length: USERS }, (_, i) =>
      quota.run(inputOf({ amount: (i % 10) + 1, subject: `user-${i}` })),
    ),
  );
  await quota.run(inputOf({ action: "grant", amount: 5, subject: "user-9" }));
  for (const amount of [3, 4]) await quota.run(inputOf({ quota_tag: "burst", amount }));
  await quota.run(inputOf({ quota_tag: "costs", amount: 0.1 + 0.2 }));
  const session = await sessions.start({ ...TARGET, data: { userId: "ada", plan: "pro" } });
  const token = { tag: "user", token: session.token };
  await quota.run(inputOf({ quota_tag: "plans", amount: 7, session: token }));
  const keyed = inputOf({ subject: "ada", idempotency_key: "once" });
  return { session, token, keyed, first: await quota.run(keyed) };
}

describe("a copy", () => {
  it.each(PAIRS)("from $from.name to $to.name goes on from there", async (pair) => {
    const [from, to] = [newStore(pair.from), newStore(pair.to)];
    const { session, token, keyed, first } = await fill(from);
    const told: CopyProgress[] = [];
    const copied = await copyStore(from, to, { onProgress: (progress) => told.push(progress) });
    expect(copied).toMatchObject({ counters: USERS + 4, answers: 1 });
    expect(told.filter(({ phase }) => phase === "copying").length).toBeGreaterThanOrEqual(3);
    expect(told.at(-1)).toEqual({ ...copied, phase: "comparing" });

    await using client = new Ductape({ store: to });
    const { quota, sessions } = client.processor;
    const input = inputOf({ action: "check", amount: 0, subject: "user-9" });
    expect(await quota.run(input)).toMatchObject({ used: 10, limit: 15 });
    expect(await quota.run(keyed)).toEqual({ ...first, replayed: true });
    const plans = inputOf({ quota_tag: "plans", session: token });
    expect(await quota.run(plans)).toMatchObject({ used: 8, limit: null });
    const burst = inputOf({ quota_tag: "burst" });
    expect(await quota.run(burst)).toMatchObject({ used: 8, limit: 100 });
    const costs = inputOf({ quota_tag: "costs", amount: 1_234 * 1.5e-7 });
    expect(await quota.run(costs)).toMatchObject({ used: 0.3001851, remaining: 8_999.6998149 });
    const { refreshToken } = session;
    expect(await sessions.refresh({ ...TARGET, refreshToken })).toHaveProperty("token");
    const subjects = await client.usage.subjects({
      product_tag: "shop",
      env: "prd",
      quota_tag: "plans",
    });
    expect(subjects.subjects).toMatchObject([{ subject: "ada", used: 8, limit: null }]);
    await client.product.quotas.update("shop", "q", { limit: 20, if_revision: 2 });
  });

  it("leaves the store that it was made from as it is", async () => {
    const [from, to] = [newStore(), newStore()];
    const { keyed } = await fill(from);
    await copyStore(from, to);
    await using old = new Ductape({ store: from });
    expect(await old.processor.quota.run(keyed)).toMatchObject({ used: 1, replayed: true });
    expect(await copyStore(from, newStore())).toMatchObject({ counters: USERS + 4 });
  });

  it("is refused if the target store is not empty, and changes nothing", async () => {
    const [from, to] = [newStore(), newStore()];
    await fill(from);
    const client = await clientWith([{ tag: "own", limit: 1, period: "day" }], { store: to });
    await client.close();
    expect(await faultOf(copyStore(from, to))).toMatchObject({
      code: "ALREADY_EXISTS",
      message: "to: expects an empty store, but this one has counters or definitions",
    });
    await using again = new Ductape({ store: to });
    expect(await again.product.quotas.fetchAll("shop")).toMatchObject([{ tag: "own" }]);
  });

  it("names the store that it cannot take", async () => {
    const store = newStore();
    expect(await faultOf(copyStore(store, store))).toMatchObject({ code: "VALIDATION" });
    expect((await faultOf(copyStore("nonsense", store))).message).toMatch(/^from: expects/);
    expect((await faultOf(copyStore(store, "sqlite:"))).message).toMatch(/^to: expects/);
  });

  it("is refused if a store has no dump or no load", async () => {
    const without = (name: "dump" | "load"): StoreMaker => {
      const store = new MemoryStore(Date.now);
      return () => Object.assign(store, { [name]: undefined });
    };
    for (const name of ["dump", "load"] as const) {
      expect(await faultOf(copyStore(without(name), newStore()))).toMatchObject({
        code: "VALIDATION",
        message: 'from: expects a store with dump and load, got "memory"',
      });
      expect((await faultOf(copyStore(newStore(), without(name)))).message).toMatch(/^to: /);
    }
  });
});

describe("a store that changes while it is copied", () => {
  /** Counts once more each time that it is read to its end. */
  function restless(changes: number): StoreMaker {
    const clock = manualClock(Date.now());
    let left = changes;
    return () => {
      const store = new MemoryStore(clock);
      const dump = store.dump.bind(store);
      store.dump = async function* () {
        yield* dump();
        if (left-- > 0) {
          const counter = { ...COUNTER, used: left };
          const counters = [{ ...PLACE, counter }];
          await store.load({ counters, answers: [], holds: [], documents: [] });
        }
      };
      return store;
    };
  }
  const PLACE = { space: "1/shop/prd/q/default/uid/", subject: "u" };
  const COUNTER = {
    windowVersion: 1,
    window: { startMs: 0, endMs: Date.UTC(2100, 0) },
    used: 0,
    granted: 0,
    alerted: 0,
    entries: null,
    holds: null,
    seenMs: 1,
    knownLimit: null,
    last: null,
  };

  it("is copied again until it rests", async () => {
    const to = newStore();
    await copyStore(restless(2), to);
    const fault = await faultOf(copyStore(restless(0), to));
    expect(fault.code).toBe("ALREADY_EXISTS");
  });

  it("fails if the store keeps changing, and the copy serves no call", async () => {
    const to = newStore();
    const fault = await faultOf(copyStore(restless(100), to));
    expect(fault).toMatchObject({ code: "REVISION_CONFLICT" });
    expect(fault.message).toBe("from: changed while it was copied, 3 times; stop its clients");
    await using client = new Ductape({ store: to });
    expect(await client.product.fetchAll()).toEqual([]);
  });
});
