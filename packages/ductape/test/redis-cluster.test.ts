import { spawn } from "node:child_process";
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster } from "ioredis";
import { Ductape, redisStore, ValidationError } from "ductape";
import { Load } from "./load.js";
import { hasRedis, startCluster, type RedisServer } from "./redis.js";
import { clientWith, faultOf, inputOf } from "./support.js";

const TAGS = Array.from({ length: 12 }, (_, i) => `q${i}`);
const LIMIT_ONE = { limit: 1, period: "lifetime" } as const;

describe.runIf(hasRedis("what is special on a Redis Cluster"))("a Redis Cluster", () => {
  let servers: RedisServer[] = [];
  let url = "";
  let remove = async () => undefined as void;
  beforeAll(async () => {
    ({ servers, url, remove } = await startCluster());
  });
  afterAll(() => remove());

  const keysOf = (server: RedisServer, prefix: string): Promise<string[]> =>
    server.admin().keys(`${prefix}:*`);

  it("spreads the quotas of a product over its masters", async () => {
    const quotas = TAGS.map((tag) => ({ tag, ...LIMIT_ONE }));
    await using ductape = await clientWith(quotas, { store: `${url}?prefix=spread` });
    const inputs = TAGS.map((quota_tag) => inputOf({ quota_tag }));
    const results = await ductape.processor.quota.runAll(inputs);
    expect(results).toMatchObject(TAGS.map((quota_tag) => ({ quota_tag, allowed: true })));
    const counts = await Promise.all(
      servers.map(async (server) => {
        const keys = await keysOf(server, "spread");
        return keys.filter((key) => !key.includes("{documents}")).length;
      }),
    );
    expect(counts.reduce((sum, count) => sum + count)).toBe(TAGS.length);
    expect(Math.min(...counts)).toBeGreaterThan(0);
  });

  it("refuses to decide together what is in two slots, and names both", async () => {
    const quotas = TAGS.map((tag) => ({ tag, ...LIMIT_ONE }));
    await using ductape = await clientWith(quotas, { store: `${url}?prefix=apart` });
    const inputs = ["q0", "q1"].map((quota_tag) => inputOf({ quota_tag }));
    const error = await faultOf(ductape.processor.quota.runAll(inputs, { atomic: true }));
    expect(error).toBeInstanceOf(ValidationError);
    const names = /^inputs\[1\]\.quota_tag: quota "q1" and quota "q0" of inputs\[0\]/;
    expect(error.message).toMatch(names);
    expect(error.message).toContain("co_locate");
    const check = inputOf({ quota_tag: "q0", action: "check" });
    expect(await ductape.processor.quota.run(check)).toMatchObject({ used: 0 });
  });

  it("decides the quotas of a co-located product as one", async () => {
    await using ductape = new Ductape({ store: `${url}?prefix=together` });
    await ductape.product.create({ tag: "shop", co_locate: true });
    await ductape.product.environments.create("shop", { slug: "prd" });
    for (const tag of TAGS) await ductape.product.quotas.create("shop", { tag, ...LIMIT_ONE });
    const { quota } = ductape.processor;
    const inputs = TAGS.map((quota_tag) => inputOf({ quota_tag }));
    await quota.run(inputOf({ quota_tag: "q7" }));
    const denied = await quota.runAll(inputs, { atomic: true });
    expect(denied.some(({ allowed }) => allowed)).toBe(false);
    await quota.run(inputOf({ quota_tag: "q7", action: "reset" }));
    const admitted = await quota.runAll(inputs, { atomic: true });
    expect(admitted.every(({ allowed }) => allowed)).toBe(true);
    const again = await quota.runAll(inputs, { atomic: true });
    expect(again.some(({ allowed }) => allowed)).toBe(false);
  });

  it("moves slots to another master under load, and each call counts once", async () => {
    const limitless = TAGS.map((tag) => ({ tag, limit: null, period: "lifetime" }) as const);
    await using ductape = await clientWith(limitless, { store: `${url}?prefix=moving` });
    const loads = TAGS.map((tag) => new Load(ductape, { callers: 4, input: { quota_tag: tag } }));
    const [from, to] = servers.map((server) => server.admin());
    const ids = await Promise.all([from, to].map((admin) => admin?.cluster("MYID")));
    const shard = ["--cluster-from", String(ids[0]), "--cluster-to", String(ids[1])];
    const slots = ["--cluster-slots", "800", "--cluster-yes"];
    const args = ["--cluster", "reshard", url.slice(8).split(",")[0] ?? "", ...shard, ...slots];
    const moving = spawn("redis-cli", args, { stdio: "ignore" });
    const [status] = await once(moving, "exit");
    expect(status).toBe(0);
    for (const [i, load] of loads.entries()) {
      await load.stop();
      const { acknowledged } = load.told;
      const check = inputOf({ quota_tag: TAGS[i] ?? "", action: "check" });
      const result = await ductape.processor.quota.run(check);
      expect(acknowledged).toBeGreaterThan(0);
      expect(result.used).toBeGreaterThanOrEqual(acknowledged);
      expect(result.used).toBeLessThanOrEqual(acknowledged + load.told.unknown);
    }
  }, 60_000);

  it("is reached by a client that was passed in, also by other addresses", async () => {
    const natMap = Object.fromEntries(
      servers.map(({ port }) => [`127.0.0.1:${port}`, { host: "localhost", port }]),
    );
    const startupNodes = servers.map(({ port }) => ({ host: "127.0.0.1", port }));
    const cluster = new Cluster(startupNodes, { natMap, lazyConnect: true });
    const store = redisStore(cluster, { prefix: "given" });
    await using ductape = await clientWith([{ tag: "q", ...LIMIT_ONE }], { store });
    const answers = await Promise.all([1, 2, 3].map(() => ductape.processor.quota.run(inputOf())));
    expect(answers.filter(({ allowed }) => allowed)).toHaveLength(1);
    cluster.disconnect();
  });
});
