import { EventEmitter, once } from "node:events";
import { afterAll, afterEach, describe, expect, it, vi } from "vitest";
import { Ductape } from "ductape";
import { storeSuite } from "ductape/testing";
import { EngineClock } from "../src/stores/postgres/clock.js";
import { openStore } from "../src/stores/url.js";
import { POSTGRES_BIN, postgresPlace, startPostgres, type TestServer } from "./postgres.js";
import { clientWith, contextOf, inputOf, until } from "./support.js";

const started = POSTGRES_BIN === null ? null : await startPostgres(["fsync = off"]);
afterAll(() => started?.stop());
afterEach(() => {
  vi.restoreAllMocks();
});

function running(): TestServer {
  if (started === null) throw new Error("there is no server");
  return started;
}

const DAY_MS = 86_400_000;

describe.runIf(started !== null)("postgres", () => {
  const place = () => postgresPlace(running());
  it.each(storeSuite(place).map(({ name, run }) => [name, run] as const))("%s", (_name, run) =>
    run(),
  );
});

describe.runIf(started !== null)("the clock of PostgreSQL decides", () => {
  it("for a machine whose own clock is a day ahead, in every way of deciding", async () => {
    const now = Date.now();
    vi.spyOn(Date, "now").mockImplementation(() => now + DAY_MS);
    const quota = { tag: "q", limit: 2, period: "day" } as const;
    await using ductape = await clientWith([quota], { store: running().freshUrl() });
    const day = new Date(Math.floor(now / DAY_MS) * DAY_MS).toISOString();
    const inputs = [
      { action: "check" },
      {},
      {},
      {},
      { idempotency_key: "k" },
      { action: "decrement" },
    ] as const;
    for (const input of inputs) {
      const result = await ductape.processor.quota.run(inputOf(input));
      const minutes = Math.abs(Date.parse(result.window?.start ?? "") - Date.parse(day)) / 60_000;
      // Unless midnight has just passed.
      expect([0, 1_440]).toContain(minutes);
    }
  });

  it("for machines a day apart, which share one window and its limit", async () => {
    const store = running().freshUrl();
    const quota = { tag: "q", limit: 100, period: "month" } as const;
    await using ahead = await clientWith([quota], { store });
    const now = Date.now();
    vi.spyOn(Date, "now").mockImplementation(() => now - DAY_MS);
    await using behind = new Ductape({ store });
    const calls = [ahead, behind].flatMap((client) =>
      Array.from({ length: 80 }, () => client.processor.quota.run(inputOf())),
    );
    const results = (await Promise.all(calls)).filter((each) => !each.degraded);
    expect(results.filter(({ allowed }) => allowed).length).toBe(100);
    expect(new Set(results.map((each) => each.resets_at)).size).toBe(1);
  });
});

describe("the estimate of the server's clock", () => {
  it("is never ahead of what its answers allow, and as near as the nearest of them", () => {
    const clock = new EngineClock();
    expect(clock.estimate()).toBe(null);
    const here = vi.spyOn(performance, "now").mockReturnValue(1_000);
    // The server said 5,000 at some time from 990 to 1,000: it is 5,000 to 5,011 now.
    clock.learn(5_000, 990, 1_000);
    expect(clock.estimate()).toBe(5_000);
    here.mockReturnValue(1_100);
    expect(clock.now()).toBe(5_100);
    clock.learn(5_104, 1_098, 1_100);
    expect(clock.estimate()).toBe(5_104);
    // A slow answer gives a wider bound, which does not replace a closer one.
    here.mockReturnValue(1_200);
    clock.learn(5_150, 1_101, 1_200);
    expect(clock.estimate()).toBe(5_204);
  });

  it("follows a server that is set back", () => {
    const clock = new EngineClock();
    vi.spyOn(performance, "now").mockReturnValue(1_000);
    clock.learn(5_000, 999, 1_000);
    clock.learn(2_000, 999, 1_000);
    expect(clock.estimate()).toBe(2_000);
  });
});

describe.runIf(started !== null)("a changed definition", () => {
  const quota = { tag: "q", limit: 1, period: "day" } as const;

  it("reaches a listening client at once, even after its connection was lost", async () => {
    const url = running().freshUrl();
    const logger = { warn: () => undefined };
    await using ductape = await clientWith([quota], { store: url, logger });
    const store = openStore(url, { ...contextOf(Date.now), logger });
    await store.open();
    const told = new EventEmitter();
    const toldAgain = () => once(told, "changed", { signal: AbortSignal.timeout(2_000) });
    const connected = toldAgain();
    const stop = store.documents.watch?.(() => told.emit("changed"));
    await connected;
    for (let round = 0; round < 3; round++) {
      const changed = toldAgain();
      await ductape.product.quotas.update("shop", "q", { limit: 10 + round });
      await changed;
      const reconnected = toldAgain();
      await running().run(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE application_name = 'ductape listen'`);
      await reconnected;
    }
    stop?.();
    await store.close();
  });

  it("is seen by polling if nobody listens", async () => {
    const store = running().freshUrl("&listen=false");
    await using one = await clientWith([quota], { store });
    await using other = new Ductape({ store });
    expect(await other.processor.quota.run(inputOf())).toMatchObject({ allowed: true });
    await one.product.quotas.update("shop", "q", { limit: 2 });
    const check = () => other.processor.quota.run(inputOf({ action: "check" }));
    await until(async () => (await check()).allowed);
  });

  it("is never skipped, however many write at once", async () => {
    const url = running().freshUrl("&listen=false");
    const context = contextOf(Date.now);
    const stores = [0, 1, 2, 3].map(() => openStore(url, context));
    await Promise.all(stores.map((store) => store.open()));
    const seen = new Set<string>();
    let sequence = 0;
    let isWriting = true;
    const reads = async (): Promise<void> => {
      const [reader] = stores;
      for (let isLast = false; !isLast;) {
        isLast = !isWriting;
        const told = await reader?.documents.changes(sequence);
        for (const { key } of told?.changes ?? []) seen.add(key);
        sequence = told?.sequence ?? sequence;
      }
    };
    const reading = reads();
    const writes = stores.flatMap(({ documents }, i) =>
      Array.from({ length: 60 }, (_, j) =>
        documents.write([{ key: `w/${i}-${j}/`, ifRevision: 0, value: "1" }], []),
      ),
    );
    expect(await Promise.all(writes)).toEqual(writes.map(() => null));
    isWriting = false;
    await reading;
    expect(seen.size).toBe(240);
    await Promise.all(stores.map((store) => store.close()));
  });
});
