import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Ductape } from "ductape";
import { hasRedis, startCluster, startRedis, type RedisServer } from "../redis.js";
import { clientWith, randomOf, seedOf } from "../support.js";
import { Load } from "../load.js";
import { usedOf } from "./processes.js";
import { draws } from "../draws.js";

const PAUSE_MS_MAX = 10;
const TAGS = ["a", "b", "c", "d", "e", "f"] as const;
const seed = seedOf();

interface Servers {
  readonly servers: readonly RedisServer[];
  readonly url: string;
  remove(): Promise<void>;
}

async function startOne(): Promise<Servers> {
  const server = await startRedis();
  return { servers: [server], url: server.url, remove: () => server.remove() };
}

const KINDS: Record<string, () => Promise<Servers>> = {
  "a server": startOne,
  "a cluster of three masters": startCluster,
};
const kinds = hasRedis("servers that forget their scripts") ? Object.entries(KINDS) : [];

describe.each(kinds)("%s", (_, start) => {
  let started: Servers | undefined;
  beforeAll(async () => {
    started = await start();
  });
  afterAll(() => started?.remove());

  it(`that forgets its scripts counts each call once (SEED=${seed})`, async () => {
    const { servers = [], url: store = "" } = started ?? {};
    const period = "lifetime";
    const quotas = TAGS.map((tag) => ({ tag, limit: null, period }) as const);
    await using client = await clientWith(quotas, { store });
    const loads = TAGS.map((tag) => {
      return new Load(client, { callers: 10, timeoutMs: 10_000, input: { quota_tag: tag } });
    });
    const admins = servers.map((server) => server.admin());
    const random = randomOf(seed);
    let flushes = 0;
    for (const flush of draws("FLUSHES", { least: 100, seconds: 6 })) {
      flushes++;
      await admins[random.below(admins.length)]?.script("FLUSH");
      // Definitions are read and written by a script too.
      const definition = { name: `after flush ${flush}` };
      if (flush % 50 === 0) await client.product.quotas.update("shop", "a", definition);
      await delay(random.below(PAUSE_MS_MAX));
    }
    const all = await Promise.all(loads.map((load) => load.stop()));
    expect(all.flatMap(({ faults }) => [...faults])).toEqual([]);
    await using reader = new Ductape({ store });
    const used = await Promise.all(TAGS.map((tag) => usedOf(reader, tag, "u")));
    expect(used).toEqual(all.map(({ acknowledged }) => acknowledged));
    let forgotten = 0;
    for (const admin of admins) {
      const told = /errorstat_NOSCRIPT:count=(\d+)/.exec(await admin.info("errorstats"));
      forgotten += Number(told?.[1] ?? 0);
    }
    const calls = used.reduce((sum, each) => sum + each, 0);
    console.warn(`${flushes} flushes: ${calls} calls, ${forgotten} of a forgotten script`);
    expect(forgotten).toBeGreaterThan(flushes / 10);
  });
});
