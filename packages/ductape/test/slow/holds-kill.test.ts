import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Ductape, type Decision } from "ductape";
import { draws } from "../draws.js";
import { callsOf } from "../holding.js";
import { randomOf, seedOf } from "../support.js";
import { testedStores } from "../tested.js";
import { define, type Server } from "./network.js";
import { NETWORKS } from "./networks.js";
import { prepareStore, startWorker } from "./processes.js";
import { repeated } from "./repeats.js";

const { stores, stop } = await testedStores();
afterAll(stop);

const HOLDER = fileURLToPath(new URL("holder.ts", import.meta.url));
const seed = seedOf();
/** Holders killed at once; `KILLS=` rounds of so many make the long run. */
const AT_ONCE = 4;
const SLOTS = 5;
/** What a hold of the test lasts, rounded up. */
const TTL_MS = 1_000 + 1_000 / 60;

/** What a killed holder is known to hold: from nothing to everything it may have been given. */
interface Known {
  /** Until when it surely holds its slot; 0: it may not hold any. */
  readonly sureMs: number;
  /** From when on it surely holds none. */
  readonly overMs: number;
}

/** Reads the lines of a holder that was killed at `killedMs`. */
function knownOf(text: string, killedMs: number): Known[] {
  const slots = new Map<string, Known>();
  // What was sent and not answered may have been done until the end of the process.
  const latestMs = killedMs + TTL_MS;
  for (const line of text.split("\n").slice(0, -1)) {
    const [word = "", id = "", until = ""] = line.split(" ");
    const { sureMs } = slots.get(id) ?? { sureMs: 0 };
    if (word === "reserve") slots.set(id, { sureMs: 0, overMs: latestMs });
    if (word === "held") slots.set(id, { sureMs: Number(until), overMs: Number(until) });
    if (word === "extend") slots.set(id, { sureMs, overMs: latestMs });
    if (word === "settle") slots.set(id, { sureMs: 0, overMs: Math.max(sureMs, 1) });
    if (word === "settled" || word === "denied") slots.delete(id);
  }
  return [...slots.values()];
}

/** Looks at the slots until all are free: at every look, as many as the lines allow are taken. */
async function expectFreedInTime(known: readonly Known[], check: () => Promise<Decision>) {
  for (let looks = 0; ; looks++) {
    const beforeMs = Date.now();
    const { held } = await check();
    const afterMs = Date.now();
    const sure = known.filter(({ sureMs }) => sureMs > afterMs).length;
    const possible = known.filter(({ overMs }) => overMs > beforeMs).length;
    expect(held, "a slot came back before its expiry").toBeGreaterThanOrEqual(sure);
    expect(held, "a slot did not come back at its expiry").toBeLessThanOrEqual(possible);
    if (possible === 0) return looks;
    await delay(1);
  }
}

const shared = stores.filter(({ isShared }) => isShared);

describe.each(shared)("holders on $name that are killed", ({ name, url }) => {
  it(`give every slot back at its expiry, and none before (SEED=${seed})`, async () => {
    const store = url("kills");
    const random = randomOf(seed);
    const limit = AT_ONCE * SLOTS;
    await prepareStore(store, [
      { tag: "q", rules: [{ name: "slots", limit, window: "concurrent" }] },
    ]);
    await using ductape = new Ductape({ store });
    const { check } = callsOf(ductape);
    let [kills, looks, held] = [0, 0, 0];
    for (const _ of draws("KILLS", { least: 2, seconds: 8 })) {
      const args = [store, "hold", String(SLOTS)];
      const workers = Array.from({ length: AT_ONCE }, () => startWorker(args, [], HOLDER));
      const known = await Promise.all(
        workers.map(async ({ child, started, ended }) => {
          await started;
          await delay(random.below(1_500));
          child.kill("SIGKILL");
          const { text, errors } = await ended;
          expect(errors).not.toContain("Error");
          return knownOf(text, Date.now());
        }),
      );
      held += known.flat().filter(({ sureMs }) => sureMs > Date.now()).length;
      looks += await expectFreedInTime(known.flat(), () => check());
      kills += AT_ONCE;
      // All of them are free again, for the next ones.
      expect(await check(1)).toMatchObject({ allowed: true, held: 0, used: 0 });
    }
    console.info(`${name}: ${kills} kills, ${held} slots held, looked at ${looks} times`);
    expect(held).toBeGreaterThan(0);
  }, 7_200_000);
});

const AGAIN_MS = 120_000;

describe.each(NETWORKS)("$name killed between reserve and commit", (network) => {
  let server: Server;
  beforeAll(async () => {
    server = await network.start();
  });
  afterAll(() => server.remove());

  it(`loses no hold and no charge, and settles nothing twice (SEED=${seed})`, async () => {
    const store = network.url(server, server.port);
    const random = randomOf(seed);
    await define(store, [{ tag: "q", limit: null, period: "lifetime" }]);
    const logger = { warn: () => undefined };
    await using client = new Ductape({ store, timeoutMs: 1_000, logger });
    const state = { isStopped: false, settled: 0, charged: 0 };
    const caller = async (_: unknown, number: number): Promise<void> => {
      for (let work = 0; !state.isStopped; work++) {
        const reservation = `${number}-${work}`;
        const amount = 1 + (work % 9);
        const hold = { reservation, ttl_ms: 3_600_000 };
        const reserved = await repeated(client, { ...hold, action: "reserve", amount });
        expect(reserved).toMatchObject({ allowed: true, amount });
        await delay(work % 7);
        const used = work % 3 === 0 ? amount + 1 : amount - 1;
        const commit = { action: "commit", reservation, amount: used } as const;
        const settled = await repeated(client, commit);
        expect(settled.reservation).toMatchObject({ held: amount, charged: used, expired: false });
        state.settled++;
        state.charged += used;
      }
    };
    const callers = Promise.all(Array.from({ length: 20 }, caller));
    // So that a caller which fails is reported at the end, and not as unhandled.
    callers.catch(() => undefined);
    let kills = 0;
    for (const _ of draws("KILLS", { least: 3, seconds: 8 })) {
      const before = state.settled;
      await delay(random.below(100));
      await server.kill();
      await server.restart();
      kills++;
      const deadlineMs = performance.now() + AGAIN_MS;
      while (state.settled < before + 20 && performance.now() < deadlineMs) await delay(5);
    }
    state.isStopped = true;
    await callers;
    const { used, held } = await callsOf(client).check();
    console.info(`${network.name}: ${kills} kills, ${state.settled} settled, ${used} used`);
    expect([used, held]).toEqual([state.charged, 0]);
    expect(state.settled).toBeGreaterThan(kills);
  }, 7_200_000);
});
