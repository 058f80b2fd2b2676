// Holds as stores keep them: every store decides on them, and keeps them, like the memory.
import { afterAll, describe, expect, it } from "vitest";
import { copyStore, type Store } from "ductape";
import { manualClock, type ManualClock } from "ductape/testing";
import type { Hold } from "../src/decide/hold.js";
import type { Outcome } from "../src/decide/outcome.js";
import { MemoryStore } from "../src/stores/memory/memory.js";
import type { HoldPage, HoldRow } from "../src/stores/store.js";
import { openStore } from "../src/stores/url.js";
import { draws } from "./draws.js";
import { holdStep, PLACE, type Asked } from "./hold-steps.js";
import { contextOf, randomOf, seedOf, until } from "./support.js";
import { testedStores, type TestedStore } from "./tested.js";

const { stores, stop } = await testedStores();
afterAll(stop);
const START = "2026-01-15T23:50:00Z";
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const SEED = seedOf();
let places = 0;

/** A store at a clock, and how to open it again. */
async function open(tested: TestedStore, start: string | number = START) {
  const clock = manualClock(start);
  const place = `holds_${++places}`;
  const opened: Store[] = [];
  const connect = async () => {
    const store = openStore(tested.url(place), contextOf(clock));
    await store.open();
    opened.push(store);
    return store;
  };
  const rows = () => tested.rows(place, "holds");
  const close = async () => {
    for (const store of opened) await store.close();
  };
  return {
    clock,
    connect,
    rows,
    url: tested.url(place),
    store: await connect(),
    [Symbol.asyncDispose]: close,
  };
}

/** Asks a store for steps in one turn. */
function ask(store: Store, asked: readonly Omit<Asked, "nowMs">[], clock: ManualClock) {
  const plans = asked.map((each) => [holdStep({ ...each, nowMs: clock() })] as const);
  return Promise.all(plans.map(async (plan) => told(await store.apply(plan))));
}

/** What an outcome says, without what it was computed from. */
function told(outcome: Outcome) {
  if (outcome === "stale") return outcome;
  return outcome.map(({ checks, ...rest }) => ({
    ...rest,
    ledgers: 0,
    checks: checks.map(({ check, ...numbers }) => {
      return { ...numbers, rule: check.rule.name, counter: 0, effect: 0, holds: 0 };
    }),
  }));
}

/** A hold, but for the editions: they begin anew if a past counter was dropped. */
async function keptOf({ records }: Store, name: string): Promise<Hold | null> {
  const hold = await records.hold(PLACE, name);
  return hold && { ...hold, parts: hold.parts.map((part) => ({ ...part, edition: 0 })) };
}

/** All open holds, a few at a time. */
async function listed({ records }: Store, limit: number): Promise<HoldRow[]> {
  const all: HoldRow[] = [];
  let after: HoldPage["after"] = null;
  for (;;) {
    const page: readonly HoldRow[] = await records.openHolds(PLACE, { after, limit });
    all.push(...page);
    const last = page.at(-1);
    if (last === undefined) return all;
    after = { openedMs: last.hold.openedMs, name: last.name };
  }
}

const NAMES = ["a", "b", "c", "job-1", "job/2", "Ü\u{1F600}", "\u{FF5E}"];

/** A step at random: mostly on a few holds of a few subjects. */
function randomAsk({ below, pick }: ReturnType<typeof randomOf>): Omit<Asked, "nowMs"> {
  const action = pick(["reserve", "reserve", "commit", "extend", "release", "increment", "check"]);
  const subject = pick(["ada", "ada", "bob"]);
  const amount = pick([0, 1, 1, 2, 5, 20]);
  if (action === "increment" || action === "check") return { action, subject, amount };
  return {
    action,
    subject,
    amount: action !== "reserve" && below(3) === 0 ? null : amount,
    name: pick(NAMES),
    ttlMs: pick([1_000, 30_000, 30_000, 600_000]),
    isFinal: below(3) > 0,
    atLeast: action === "reserve" && below(4) === 0 ? Math.min(amount, 1) : null,
  };
}

describe.each(stores)("holds on $name", (tested) => {
  it(`are decided and kept like in the memory of one process; seed ${SEED}`, async () => {
    for (const draw of draws("ROUNDS", { least: 2, seconds: 3 })) {
      const random = randomOf(SEED + draw);
      await using bench = await open(tested);
      const { clock } = bench;
      const shared = tested.isShared ? [bench.store, await bench.connect()] : [bench.store];
      const naive = new MemoryStore(clock);
      for (let batch = 0; batch < 60; batch++) {
        clock.advance(random.pick([0, 0, 100, 500, 1_000, 15_000, 31_000, HOUR_MS]));
        const asked = Array.from({ length: 1 + random.below(4) }, () => randomAsk(random));
        // Mostly one process, as many as it takes to trust its memory.
        const store = shared[random.below(12) === 0 ? 1 : 0] ?? bench.store;
        const wanted = await ask(naive, asked, clock);
        expect(await ask(store, asked, clock), JSON.stringify({ draw, batch, asked })).toEqual(
          wanted,
        );
        const name = random.pick(NAMES);
        expect(await keptOf(store, name)).toEqual(await keptOf(naive, name));
      }
      const names = (rows: readonly HoldRow[]) => rows.map(({ name }) => name);
      expect(names(await listed(bench.store, 3))).toEqual(names(await listed(naive, 1_000)));
      await naive.close();
    }
  }, 60_000);

  it(`are settled once, whoever races; seed ${SEED}`, async () => {
    await using bench = await open(tested, Date.now());
    const { clock, store } = bench;
    const clients = tested.isShared
      ? [store, ...(await Promise.all([bench.connect(), bench.connect()]))]
      : [store];
    let charged = 0;
    const settledBy = new Map<string, number>();
    const runOne = async (client: Store, random: ReturnType<typeof randomOf>) => {
      const { below, pick } = random;
      const action = pick(["reserve", "reserve", "commit", "extend", "release"]);
      // Names of a few holds at a time, each of which is soon settled for good.
      const name = `${settledBy.size + below(3) - 1}`;
      const [amount, isFinal] = [1 + below(3), below(3) > 0];
      const asked = { action, name, amount: action === "reserve" ? 5 : amount, isFinal } as const;
      const [outcome] = await ask(client, [{ ...asked, limits: null }], clock);
      const [step] = outcome === "stale" || outcome === undefined ? [] : outcome;
      if (step?.status !== "done" || step.isReplayed) return;
      charged += step.hold?.charged ?? 0;
      const isOver = action === "release" || (action === "commit" && isFinal);
      if (isOver) settledBy.set(name, (settledBy.get(name) ?? 0) + 1);
    };
    for (const draw of draws("ROUNDS", { least: 5, seconds: 2 })) {
      await Promise.all(
        clients.flatMap((client, i) =>
          Array.from({ length: 8 }, async (_, caller) => {
            const random = randomOf(SEED + 1_000 * draw + 100 * i + caller);
            for (let call = 0; call < 10; call++) await runOne(client, random);
          }),
        ),
      );
    }
    expect([...settledBy.values()].filter((times) => times !== 1)).toEqual([]);
    expect(settledBy.size).toBeGreaterThan(20);
    const rows = await listed(store, 1_000);
    const held = rows.reduce((sum, { hold }) => sum + hold.held, 0);
    const [check] = await ask(store, [{ action: "check", amount: 0, limits: null }], clock);
    expect(check).toMatchObject([{ checks: [{ used: charged, held }] }]);
  }, 60_000);

  it("are found again after the store was closed", async () => {
    if (!tested.isShared) return;
    await using bench = await open(tested);
    const { clock, store } = bench;
    await ask(store, [{ action: "reserve", amount: 7, name: "kept" }], clock);
    await ask(store, [{ action: "reserve", amount: 3, name: "settled" }], clock);
    const settle = { action: "commit", amount: 2, name: "settled" } as const;
    const [settled] = await ask(store, [settle], clock);
    await store.close();
    const again = await bench.connect();
    expect(await again.records.hold(PLACE, "kept")).toMatchObject({ status: "open", held: 7 });
    expect(await again.records.hold(PLACE, "settled")).toMatchObject({
      status: "committed",
      settled: 2,
    });
    expect(await ask(again, [settle], clock)).toEqual([
      [{ ...(Array.isArray(settled) ? settled[0] : {}), isReplayed: true }],
    ]);
    expect(
      await ask(again, [{ action: "commit", amount: null, name: "kept" }], clock),
    ).toMatchObject([[{ status: "done", checks: [{ rule: "day", used: 9, held: 0 }, {}, {}] }]]);
  });

  it("are listed oldest first, page by page, without the settled and the expired", async () => {
    await using bench = await open(tested);
    const { clock, store } = bench;
    if (store.load === undefined) throw new Error("the store cannot be filled");
    await ask(store, [{ action: "reserve", name: "first", limits: null }], clock);
    const hold = await store.records.hold(PLACE, "first");
    if (hold === null) throw new Error("there is no hold");
    const count = Number(process.env["FULL"] ?? 0) > 0 ? 100_000 : 10_000;
    const names = Array.from({ length: count }, (_, i) => `hold-${String(i).padStart(6, "0")}`);
    for (let from = 0; from < count; from += 1_000) {
      const holds = names.slice(from, from + 1_000).map((name, i) => {
        // The last 1,500 were reserved at once.
        const openedMs = hold.openedMs + Math.floor(Math.min(from + i, count - 1_500) / 7);
        return { space: PLACE.space, name, hold: { ...hold, openedMs } };
      });
      await store.load({ counters: [], answers: [], holds, documents: [] }, () => PLACE.shardKey);
    }
    await ask(store, [{ action: "reserve", name: "short", ttlMs: 1_000, limits: null }], clock);
    await ask(store, [{ action: "reserve", name: "settled", limits: null }], clock);
    await ask(store, [{ action: "release", name: "settled", limits: null }], clock);
    clock.advance(2_000);
    const page = await store.records.openHolds(PLACE, { after: null, limit: 3 });
    expect(page.map(({ name }) => name)).toEqual(["first", names[0], names[1]]);
    const found = await listed(store, 999);
    expect(found.map(({ name }) => name)).toEqual(["first", ...names]);
  }, 60_000);

  it("are forgotten a day after they are over, a few as new ones come", async () => {
    await using bench = await open(tested);
    const { clock, store, rows } = bench;
    const reserve = async (name: string, count: number) => {
      for (let from = 0; from < count; from += 10) {
        const asked = Array.from({ length: 10 }, (_, i) => {
          return { action: "reserve", name: `${name}-${from + i}`, limits: null } as const;
        });
        await ask(store, asked, clock);
      }
    };
    await reserve("old", 300);
    clock.advance(DAY_MS);
    expect(await store.records.hold(PLACE, "old-0")).toMatchObject({ status: "open" });
    clock.advance(61_000);
    expect(await store.records.hold(PLACE, "old-0")).toBeNull();
    await reserve("new", 300);
    clock.advance(DAY_MS + 61_000);
    await reserve("newer", 300);
    const left = await rows();
    if (!Number.isNaN(left)) expect(left).toBeLessThanOrEqual(400);
    expect(await store.records.hold(PLACE, "newer-299")).toMatchObject({ status: "open" });
  });

  it("are copied to another store", async () => {
    if (!tested.isShared) return;
    await using bench = await open(tested, Date.now());
    const { clock, store, url } = bench;
    const names = ["open", "open too", "settled"];
    const asked = names.map((name) => ({ action: "reserve", amount: 4, name }) as const);
    await ask(store, asked, clock);
    await ask(store, [{ action: "commit", amount: 3, name: "settled" }], clock);
    const kept = await Promise.all(names.map((name) => store.records.hold(PLACE, name)));
    await store.close();
    const to = tested.url(`holds_${++places}`);
    expect(await copyStore(url, to)).toMatchObject({ counters: 3, holds: 3 });
    const copy = openStore(to, contextOf(clock));
    await copy.open();
    expect(await Promise.all(names.map((name) => copy.records.hold(PLACE, name)))).toEqual(kept);
    expect((await listed(copy, 1)).map(({ name }) => name)).toEqual(["open", "open too"]);
    const [commit] = await ask(copy, [{ action: "commit", amount: null, name: "open" }], clock);
    expect(commit).toMatchObject([{ status: "done", checks: [{ used: 7, held: 4 }, {}, {}] }]);
    await copy.close();
  });

  it("go with what is deleted", async () => {
    await using bench = await open(tested);
    const { clock, store, rows } = bench;
    const asked = Array.from({ length: 250 }, (_, i) => {
      return { action: "reserve", name: `h${i}`, limits: null } as const;
    });
    await ask(store, asked, clock);
    await store.documents.write([], ["1/shop/prd/q/"]);
    for (let i = 0; i < 5; i++) {
      const elsewhere = { action: "increment", subject: `s${i}`, limits: null } as const;
      await ask(store, [elsewhere], clock);
    }
    if (!Number.isNaN(await rows())) expect(await rows()).toBe(0);
    await until(async () => (await store.records.hold(PLACE, "h7")) === null);
    await until(async () => (await listed(store, 100)).length === 0);
  });
});
