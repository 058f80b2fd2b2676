// Stores as an earlier version left them, without holds, whose counters remember no window before.
import { afterAll, describe, expect, it } from "vitest";
import { Ductape } from "ductape";
import { manualClock } from "ductape/testing";
import { packCounter, readCounter } from "../src/stores/redis/packed.js";
import { FILE_SCHEMA, openSqlite } from "../src/stores/sqlite/driver.js";
import { POSTGRES_BIN, startPostgres } from "./postgres.js";
import { hasRedis, startRedis } from "./redis.js";
import { clientWith, inputOf, temporaryFolder } from "./support.js";

const folder = temporaryFolder();
afterAll(folder.remove);

const QUOTA = { tag: "q", scope: "$Session{userId}", limit: 5, period: "day" } as const;
const DAY_MS = 86_400_000;

/** Counts, makes the store one of the version before, and counts on. */
async function countOver(store: string, makeOld: () => Promise<void>) {
  const clock = manualClock("2026-11-30T12:00:00Z");
  const before = await clientWith([QUOTA], { store, clock });
  for (const subject of ["idle", "busy"]) {
    await before.processor.quota.run(inputOf({ subject, amount: 2 }));
  }
  await before.close();
  await makeOld();
  await using ductape = new Ductape({ store, clock });
  const count = () => ductape.processor.quota.run(inputOf({ subject: "busy", amount: 2 }));
  const asked = { product_tag: "shop", env: "prd", quota_tag: "q", window: "last" } as const;
  const last = async () =>
    (await ductape.usage.subjects(asked)).subjects.map(({ subject, used }) => [subject, used]);
  expect(await count()).toMatchObject({ allowed: true, used: 4 });
  expect(await count()).toMatchObject({ allowed: false, used: 4 });
  clock.advance(DAY_MS);
  expect(await last()).toEqual([
    ["busy", 4],
    ["idle", 2],
  ]);
  expect(await count()).toMatchObject({ allowed: true, used: 2 });
  expect(await last()).toEqual([
    ["busy", 4],
    ["idle", 2],
  ]);
}

describe("a store of the version before counts on, and remembers from the next change", () => {
  it("on sqlite", async () => {
    const path = `${folder.path}/old.db`;
    await countOver(`sqlite:${path}`, async () => {
      const db = await openSqlite(path);
      db.exec(`DROP TABLE ${FILE_SCHEMA}.holds`);
      for (const column of ["last", "holds"]) {
        db.exec(`ALTER TABLE ${FILE_SCHEMA}.cells DROP COLUMN ${column}`);
      }
      db.exec(`PRAGMA ${FILE_SCHEMA}.user_version = 1`);
      db.close();
    });
  });

  it.runIf(POSTGRES_BIN !== null)("on postgres", async () => {
    const server = await startPostgres(["fsync = off"]);
    await countOver(`${server.url()}?schema=old`, async () => {
      await server.run("DROP TABLE old.holds");
      await server.run("ALTER TABLE old.cells DROP COLUMN last, DROP COLUMN holds");
      await server.run("UPDATE old.ductape_meta SET version = 1");
    });
    await server.stop();
  });

  it.runIf(hasRedis("an upgrade"))("on redis", async () => {
    const server = await startRedis();
    const redis = server.admin();
    const counters = async () => {
      const keys = await redis.keys("*default*");
      const texts = await Promise.all(keys.map((key) => redis.getBuffer(key)));
      return keys.map((key, i) => ({ key, cell: readCounter(texts[i] ?? null) }));
    };
    await countOver(server.url, async () => {
      for (const { key, cell } of await counters()) {
        if (cell === undefined) throw new Error("there is no counter");
        const old = packCounter({ ...cell, last: null });
        expect(old).toHaveLength(64);
        await redis.set(key, old);
      }
    });
    const used = (await counters()).map(({ cell }) => cell?.last?.used ?? null);
    expect(used.toSorted()).toEqual([4, null]);
    await server.remove();
  });
});

it.runIf(hasRedis("the expiry of counters"))(
  "a counter of a day stays on Redis until the day after it has ended",
  async () => {
    const server = await startRedis();
    await using ductape = await clientWith([QUOTA, { ...QUOTA, tag: "hour", period: "hour" }], {
      store: server.url,
    });
    const redis = server.admin();
    const leftMs = async (quota_tag: string) => {
      const result = await ductape.processor.quota.run(inputOf({ quota_tag, subject: quota_tag }));
      const [key = ""] = await redis.keys(`*${quota_tag}/default*`);
      const endMs = Date.parse(result.window?.end ?? "");
      return (await redis.pttl(key)) - (endMs - Date.now());
    };
    const [day, hour] = [await leftMs("q"), await leftMs("hour")];
    expect(Math.round(day / 3_600_000)).toBe(27);
    expect(Math.round(hour / 3_600_000)).toBe(1);
    await server.remove();
  },
);
