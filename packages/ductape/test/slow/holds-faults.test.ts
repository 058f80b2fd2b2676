import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Ductape, type Decision, type QuotaInput } from "ductape";
import { draws } from "../draws.js";
import { callsOf } from "../holding.js";
import { Proxy } from "../proxy.js";
import { hasRedis } from "../redis.js";
import { clientWith, faultOf, inputOf } from "../support.js";
import { define, type Server } from "./network.js";
import { NETWORKS } from "./networks.js";
import { repeated } from "./repeats.js";
import { Shards } from "./shards.js";

const LAG_MS = 50;
const TIMEOUT_MS = 1_000;
const LIMIT = 100_000;
const logger = { warn: () => undefined };
const HOLD = { ttl_ms: 3_600_000 } as const;
/** How answers are lost: each on a quota of its own. */
const HOWS = ["cut", "half"] as const;

describe.each(NETWORKS)("holds on $name behind a connection that is cut", (network) => {
  let server: Server;
  let proxy: Proxy;
  beforeAll(async () => {
    server = await network.start();
    proxy = await Proxy.start(server.port);
    const quota = { limit: LIMIT, period: "lifetime" } as const;
    const quotas = HOWS.map((tag) => ({ tag, ...quota }));
    await define(network.url(server, server.port), quotas);
  });
  afterAll(async () => {
    await proxy.stop();
    await server.remove();
  });

  it.each(HOWS)(
    "whose answers are %s are reserved, extended and settled once, by their id alone",
    async (how) => {
      const store = network.url(server, proxy.port);
      await using client = new Ductape({ store, timeoutMs: TIMEOUT_MS, logger });
      const { check } = callsOf(client);
      const quota_tag = how;
      await check(0, { quota_tag });
      /** Asks while answers are lost, and again when they arrive. */
      const insist = async (input: Partial<QuotaInput>): Promise<Decision> => {
        proxy.replies = how;
        const fault = await faultOf(client.processor.quota.run(inputOf({ quota_tag, ...input })));
        expect(["OUTCOME_UNKNOWN", "STORE_UNAVAILABLE"]).toContain(fault.code);
        proxy.replies = "pass";
        return repeated(client, { quota_tag, ...input });
      };
      for (let work = 1; work <= 20; work++) {
        const reservation = `${how}-${work}`;
        await insist({ action: "reserve", reservation, amount: work, ...HOLD });
        await insist({ action: "extend", reservation, amount: work + 1, ...HOLD });
        expect(await check(0, { quota_tag })).toMatchObject({ held: work + 1 });
        const settled = await insist({ action: "commit", reservation, amount: work });
        expect(settled.reservation).toMatchObject({ held: work + 1, charged: work, excess: 0 });
      }
      // 1 + 2 + ... + 20.
      expect(await check(0, { quota_tag })).toMatchObject({ used: 210, held: 0 });
    },
    120_000,
  );
});

describe.runIf(hasRedis("holds across failovers"))("holds on a cluster that fails over", () => {
  let shards: Shards | undefined;
  beforeAll(async () => {
    shards = await Shards.start(LAG_MS);
  });
  afterAll(() => shards?.remove());

  it("between reserve and commit are all found again, and settled once", async () => {
    const shard = shards?.shards[0];
    if (shards === undefined || shard === undefined) throw new Error("there is no cluster");
    const store = shards.store({ durability: "durable", prefix: "holds" });
    const quota_tag = shards.tagIn(shard, "h");
    const quota = { tag: quota_tag, limit: LIMIT, period: "lifetime" } as const;
    await using client = await clientWith([quota], { store, timeoutMs: TIMEOUT_MS, logger });
    await delay(20 * LAG_MS);
    const ask = (input: Partial<QuotaInput>) => repeated(client, { quota_tag, ...input });
    let [failovers, charged] = [0, 0];
    for (const round of draws("FAILOVERS", { least: 2, seconds: 8 })) {
      const ids = Array.from({ length: 40 }, (_, i) => `${round}-${i}`);
      const reserve = (reservation: string) =>
        ask({ action: "reserve", reservation, amount: 3, ...HOLD });
      const answers = await Promise.all(ids.map(reserve));
      expect(answers.every(({ allowed }) => allowed)).toBe(true);
      // Some are being settled while the master dies.
      const commit = (reservation: string) => ask({ action: "commit", reservation, amount: 2 });
      const early = Promise.all(ids.slice(0, 20).map(commit));
      await shards.fail(shard);
      await shards.mend(shard);
      const settled = [...(await early), ...(await Promise.all(ids.slice(20).map(commit)))];
      for (const { reservation } of settled) {
        expect(reservation).toMatchObject({ held: 3, charged: 2, expired: false });
      }
      charged += 2 * ids.length;
      failovers++;
    }
    const { used, held } = await ask({ action: "check", amount: 0 });
    console.info(`redis cluster: ${failovers} failovers, ${charged} committed, ${used} used`);
    expect([used, held]).toEqual([charged, 0]);
  }, 3_600_000);
});
