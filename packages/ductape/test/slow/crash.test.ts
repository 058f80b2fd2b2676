import { spawnSync } from "node:child_process";
import { afterAll, describe, expect, it } from "vitest";
import { Ductape } from "ductape";
import { openSqlite } from "../../src/stores/sqlite/driver.js";
import { randomOf, seedOf, temporaryFolder } from "../support.js";
import { acknowledged, prepareStore, startWorker, usedOf } from "./processes.js";
import { draws } from "../draws.js";

const folder = temporaryFolder();
afterAll(folder.remove);

/** Processes killed at once; `KILLS=` rounds of so many make the long run. */
const AT_ONCE = 4;
const CALLERS = 40;
const seed = seedOf();

async function integrityOf(path: string): Promise<unknown> {
  const db = await openSqlite(path);
  try {
    return db.prepare("PRAGMA integrity_check").get()?.["integrity_check"];
  } finally {
    db.close();
  }
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe("a killed process", () => {
  it(`loses no acknowledged increment in kills under load (SEED=${seed})`, async () => {
    const path = `${folder.path}/kill.db`;
    const store = `sqlite:${path}`;
    const random = randomOf(seed);
    await prepareStore(store, [{ tag: "q", limit: null, period: "lifetime" }]);
    let counted = 0;
    let rounds = 0;
    for (const _ of draws("KILLS", { least: 6, seconds: 20 })) {
      const workers = Array.from({ length: AT_ONCE }, () => startWorker([store, "q", "for-ever"]));
      await Promise.all(
        workers.map(async ({ child, started }) => {
          await started;
          await sleep(random.below(60));
          child.kill("SIGKILL");
        }),
      );
      const ends = await Promise.all(workers.map(({ ended }) => ended));
      expect(ends.map(({ errors }) => errors).join("")).not.toContain("Error");
      const told = ends.reduce((sum, { text }) => sum + acknowledged(text), 0);
      await using ductape = new Ductape({ store });
      const used = await usedOf(ductape, "q", "one");
      expect(used - counted, "acknowledged but not in the file").toBeGreaterThanOrEqual(told);
      const inFlight = AT_ONCE * CALLERS;
      expect(used - counted, "counted but never asked").toBeLessThanOrEqual(told + inFlight);
      expect(await integrityOf(path)).toBe("ok");
      counted = used;
      rounds += AT_ONCE;
    }
    console.info(`sqlite: ${rounds} kills, ${counted} counted`);
    expect(counted).toBeGreaterThan(rounds);
  }, 1_800_000);
});

const TRACE = ["strace", "-f", "-qq", "-o", "/dev/null"];
const canInject =
  spawnSync("strace", ["-qq", "-o", "/dev/null", "-e", "inject=fdatasync:error=EIO", "true"])
    .status === 0;
if (!canInject) console.warn("NOT RUN: faults of fsync, as strace is missing or not permitted");

describe("a disk that fails to sync", () => {
  it.runIf(canInject)("stops acknowledgements, and loses none made before", async () => {
    const store = `sqlite:${folder.path}/sync.db`;
    await prepareStore(store, [{ tag: "q", limit: null, period: "lifetime" }]);
    const inject = ["-e", "inject=fsync,fdatasync:error=EIO:when=30+"];
    const { ended } = startWorker([store, "q", "report-faults", "100"], [...TRACE, ...inject]);
    const { text } = await ended;
    const told = acknowledged(text);
    expect(told).toBeGreaterThan(0);
    expect(told).toBeLessThan(100);
    const faults = text.match(/<[^>]*>/g) ?? [];
    expect(faults.length).toBe(100 - told);
    expect(new Set(faults)).toEqual(new Set(["<OUTCOME_UNKNOWN>"]));
    // Nothing is acknowledged after the first fault.
    expect(text.indexOf("<")).toBe(told);
    await using ductape = new Ductape({ store });
    expect(await usedOf(ductape, "q", "one")).toBeGreaterThanOrEqual(told);
  });
});
