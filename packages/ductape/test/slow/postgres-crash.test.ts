import { setTimeout as delay } from "node:timers/promises";
import { afterAll, describe, expect, it } from "vitest";
import { Load } from "../load.js";
import { POSTGRES_BIN, startPostgres, type TestServer } from "../postgres.js";
import { clientWith, inputOf, randomOf, seedOf } from "../support.js";
import { draws } from "../draws.js";

const started = POSTGRES_BIN === null ? null : await startPostgres();
afterAll(() => started?.stop());

function running(): TestServer {
  if (started === null) throw new Error("there is no server");
  return started;
}

const USERS = 10;
const BACK_MS_MAX = 1_000;
const seed = seedOf();

describe.runIf(started !== null)("a PostgreSQL server that crashes", () => {
  it(`loses no acknowledged count in recoveries under load (SEED=${seed})`, async () => {
    const random = randomOf(seed);
    const quota = { tag: "q", limit: null, scope: "$Session{id}", period: "lifetime" } as const;
    const logger = { warn: () => undefined };
    await using ductape = await clientWith([quota], {
      store: running().freshUrl(),
      timeoutMs: 10_000,
      logger,
    });
    const usedOf = async (subject: string): Promise<number> => {
      const check = inputOf({ action: "check", amount: 0, subject });
      const result = await ductape.processor.quota.run(check);
      return result.used;
    };
    const load = new Load(ductape, {
      input: (call) => ({ subject: `user-${call % USERS}` }),
    });
    let kills = 0;
    for (const _ of draws("KILLS", { least: 5, seconds: 15 })) {
      kills++;
      await load.admits(1);
      await delay(random.below(200));
      await running().kill();
      await running().start();
      const backMs = performance.now();
      await load.admits(1);
      expect(performance.now() - backMs).toBeLessThan(BACK_MS_MAX);
    }
    await load.stop();
    const subjects = Array.from({ length: USERS }, (_, i) => `user-${i}`);
    const used = (await Promise.all(subjects.map(usedOf))).reduce((sum, each) => sum + each, 0);
    const { acknowledged } = load.told;
    expect(used).toBeGreaterThanOrEqual(acknowledged);
    expect(used).toBeLessThanOrEqual(acknowledged + load.told.unknown);
    console.info(`postgres: ${kills} recoveries, ${acknowledged} acknowledged, ${used} counted`);
    expect(acknowledged).toBeGreaterThan(kills);
  }, 1_800_000);
});
