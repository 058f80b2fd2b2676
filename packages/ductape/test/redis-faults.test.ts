import { setTimeout as delay } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { Ductape, type EmbeddedOptions } from "ductape";
import { isOlder } from "../src/stores/redis/checks.js";
import { Load } from "./load.js";
import { Proxy } from "./proxy.js";
import { hasRedis, startRedis, type RedisServer } from "./redis.js";
import { clientWith, faultOf, inputOf, until } from "./support.js";

const QUOTA = { tag: "q", limit: null, period: "lifetime" } as const;
const input = inputOf();
const hasServers = hasRedis("the faults of the Redis store");

/** Warnings of a client, in order. */
function collector() {
  const told: string[] = [];
  return { told, warn: (message: string) => void told.push(message) };
}

const usedOf = async (ductape: Ductape): Promise<number> => {
  const result = await ductape.processor.quota.run(inputOf({ action: "check", amount: 0 }));
  return result.used;
};

describe.runIf(hasServers)("a Redis server", () => {
  let server: RedisServer;
  const clients: Ductape[] = [];
  const ends: (() => Promise<void>)[] = [];
  beforeAll(async () => {
    server = await startRedis({ appendonly: "yes", appendfsync: "always" });
  });
  afterEach(async () => {
    await Promise.all(clients.splice(0).map((each) => each.close()));
    for (const end of ends.splice(0)) await end();
  });
  afterAll(() => server.remove());

  let prefixes = 0;
  const made = async (url: string, options: EmbeddedOptions<"throw"> = {}) => {
    const store = `${url}${url.includes("?") ? "&" : "?"}prefix=f${++prefixes}`;
    const ductape = await clientWith([QUOTA], { store, timeoutMs: 1_000, ...options });
    clients.push(ductape);
    return { ductape, store };
  };

  it("that is not there is STORE_UNAVAILABLE, and is used as soon as it is", async () => {
    const late = await startRedis();
    ends.push(() => late.remove());
    await late.kill();
    const ductape = new Ductape({ store: late.url, timeoutMs: 500 });
    clients.push(ductape);
    const fault = await faultOf(ductape.product.create({ tag: "shop" }));
    expect(fault).toMatchObject({ code: "STORE_UNAVAILABLE", retryable: true });
    expect(fault.message).toMatch(/ECONNREFUSED/);
    await late.restart();
    const startMs = performance.now();
    await until(() => ductape.product.create({ tag: "shop" }).then(Boolean, () => false));
    expect(performance.now() - startMs).toBeLessThan(1_000);
  });

  it("that is killed under load loses no acknowledged call, and is soon used again", async () => {
    const victim = await startRedis({ appendonly: "yes", appendfsync: "always" });
    ends.push(() => victim.remove());
    const { ductape, store } = await made(victim.url);
    const load = new Load(ductape);
    const { told } = load;
    await until(() => told.acknowledged > 500);
    await victim.kill();
    await delay(300);
    await victim.restart();
    const startMs = performance.now();
    await load.admits(1);
    expect(performance.now() - startMs).toBeLessThan(1_000);
    await load.stop();
    const codes = [...told.faults.keys()];
    expect(codes.filter((code) => !/^(STORE_UNAVAILABLE|OUTCOME_UNKNOWN)$/.test(code))).toEqual([]);
    const other = new Ductape({ store });
    clients.push(other);
    const used = await usedOf(other);
    expect(used).toBeGreaterThanOrEqual(told.acknowledged);
    expect(used).toBeLessThanOrEqual(told.acknowledged + told.unknown);
  });

  it("whose reply is lost leaves the call in doubt; with a key it may be repeated", async () => {
    const proxy = await Proxy.start(server.port);
    ends.push(() => proxy.stop());
    const { ductape } = await made(`redis://127.0.0.1:${proxy.port}`);
    const keyed = inputOf({ idempotency_key: "k", amount: 3 });
    // So that the server knows the script, and the lost reply is that of a decision.
    await usedOf(ductape);
    proxy.replies = "hold";
    const call = faultOf(ductape.processor.quota.run(keyed));
    await delay(200);
    proxy.cut();
    proxy.replies = "pass";
    expect(await call).toMatchObject({ code: "OUTCOME_UNKNOWN", retryable: false });
    expect(await ductape.processor.quota.run(keyed)).toMatchObject({ replayed: true, used: 3 });
    expect(await usedOf(ductape)).toBe(3);
  });

  it("whose reply to a check is lost leaves nothing in doubt", async () => {
    const proxy = await Proxy.start(server.port);
    ends.push(() => proxy.stop());
    const { ductape } = await made(`redis://127.0.0.1:${proxy.port}`);
    proxy.replies = "hold";
    const call = faultOf(usedOf(ductape));
    await delay(200);
    proxy.cut();
    proxy.replies = "pass";
    expect(await call).toMatchObject({ code: "STORE_UNAVAILABLE", retryable: true });
  });

  it("that hangs makes calls end in time, and is used when it continues", async () => {
    const paused = await startRedis();
    ends.push(() => paused.remove());
    const { ductape } = await made(paused.url, { timeoutMs: 400 });
    await ductape.processor.quota.run(input);
    process.kill(paused.pid(), "SIGSTOP");
    for (let i = 0; i < 4; i++) {
      const startMs = performance.now();
      const { code } = await faultOf(ductape.processor.quota.run(input));
      expect(performance.now() - startMs).toBeLessThan(1_500);
      // The first was sent; those after it find no connection, and count nothing.
      expect(code).toMatch(i === 0 ? /^OUTCOME_UNKNOWN$/ : /^(STORE_UNAVAILABLE|TIMEOUT)$/);
    }
    process.kill(paused.pid(), "SIGCONT");
    const startMs = performance.now();
    await until(() => ductape.processor.quota.run(input).then(Boolean, () => false));
    expect(performance.now() - startMs).toBeLessThan(1_500);
    expect([2, 3]).toContain(await usedOf(ductape));
  });

  it("that forgets its scripts under load counts each call once", async () => {
    const { ductape } = await made(server.url);
    const admin = server.admin();
    const calls = Array.from({ length: 40 }, async (_, i) => {
      for (let call = 0; call < 50; call++) {
        if ((i + call) % 25 === 0) await admin.script("FLUSH");
        await ductape.processor.quota.run(input);
      }
    });
    await Promise.all(calls);
    expect(await usedOf(ductape)).toBe(2_000);
  });

  it("that has no memory left refuses calls as faults, and counts none of them", async () => {
    const full = await startRedis({ "maxmemory-policy": "noeviction" });
    ends.push(() => full.remove());
    const { ductape } = await made(full.url);
    await ductape.processor.quota.run(input);
    const admin = full.admin();
    await admin.config("SET", "maxmemory", "1");
    const fault = await faultOf(ductape.processor.quota.run(input));
    expect(fault).toMatchObject({ code: "STORE_UNAVAILABLE", retryable: true });
    expect(fault.message).toContain("maxmemory");
    await admin.config("SET", "maxmemory", "0");
    expect(await usedOf(ductape)).toBe(1);
  });

  it("that is a replica accepts no call", async () => {
    const replica = await startRedis({ replicaof: `127.0.0.1 ${server.port}` });
    ends.push(() => replica.remove());
    const ductape = new Ductape({ store: replica.url, timeoutMs: 1_000 });
    clients.push(ductape);
    const fault = await faultOf(ductape.product.create({ tag: "shop" }));
    expect(fault).toMatchObject({ code: "STORE_UNAVAILABLE" });
    expect(fault.message).toContain("replica");
  });

  it("that requires a password never shows it in a message", async () => {
    const locked = await startRedis({ requirepass: "s3cret" });
    ends.push(() => locked.remove());
    const url = (password: string) => `redis://:${password}@127.0.0.1:${locked.port}`;
    for (const [store, says] of [
      [url("wrong-s3cret"), "refused the user or the password"],
      [locked.url, "requires a password"],
    ] as const) {
      const ductape = new Ductape({ store, timeoutMs: 1_000 });
      clients.push(ductape);
      const fault = await faultOf(ductape.product.create({ tag: "shop" }));
      expect(fault).toMatchObject({ code: "STORE_UNAVAILABLE", retryable: false });
      expect(fault.message).toContain(says);
      expect(fault.message).not.toContain("s3cret");
    }
    const { ductape } = await made(url("s3cret"));
    expect(await usedOf(ductape)).toBe(0);
  });

  it("that lost its data makes clients read all definitions again", async () => {
    const emptied = await startRedis({ save: "" });
    ends.push(() => emptied.remove());
    const { ductape } = await made(emptied.url, { logger: collector() });
    await ductape.processor.quota.run(input);
    await emptied.kill();
    await emptied.restart();
    await until(async () => {
      const result = await ductape.processor.quota.run(input).catch((error: unknown) => error);
      return Object(result).code === "PRODUCT_NOT_FOUND";
    });
  });
});

describe.runIf(hasServers)("a warning at open", () => {
  const warnedOf = async (config: Record<string, string>, query = "") => {
    const server = await startRedis(config);
    const logger = collector();
    try {
      await using ductape = new Ductape({ store: `${server.url}${query}`, logger });
      await ductape.product.fetchAll();
    } finally {
      await server.remove();
    }
    return logger.told;
  };

  it.each([
    ["a policy that evicts", { "maxmemory-policy": "allkeys-lru" }, "", /maxmemory-policy is allk/],
    ["no persistence at all", { save: "" }, "", /loses all counters/],
    ["no log where it is to be durable", {}, "?durability=durable", /appendonly yes/],
    [
      "a log that is synced each second where it is to be durable",
      { appendonly: "yes" },
      "?durability=durable",
      /syncs its log everysec/,
    ],
  ])("tells of %s", async (_, config, query, says) => {
    expect(await warnedOf(config, query)).toEqual([expect.stringMatching(says)]);
  });

  it.each([
    ["that saves", {}, ""],
    [
      "that is as durable as asked",
      { appendonly: "yes", appendfsync: "always" },
      "?durability=durable",
    ],
  ])("is not given for a server %s", async (_, config, query) => {
    expect(await warnedOf(config, query)).toEqual([]);
  });
});

describe.runIf(hasServers)("a durable store", () => {
  it("acknowledges what enough replicas have, and reports the rest as unknown", async () => {
    const master = await startRedis({ appendonly: "yes", appendfsync: "always" });
    const replica = await startRedis({ replicaof: `127.0.0.1 ${master.port}` });
    try {
      const admin = master.admin();
      await until(async () => String(await admin.info("replication")).includes("state=online"));
      const store = `${master.url}?durability=durable&replicas=1`;
      await using ductape = await clientWith([QUOTA], { store, timeoutMs: 2_000 });
      expect(await ductape.processor.quota.run(input)).toMatchObject({ used: 1 });
      await replica.kill();
      const fault = await faultOf(ductape.processor.quota.run(input));
      expect(fault).toMatchObject({ code: "OUTCOME_UNKNOWN", retryable: false });
      expect(fault.message).toContain("0 of 1 replicas");
      await replica.restart();
      await until(() => ductape.processor.quota.run(input).then(Boolean, () => false));
    } finally {
      await Promise.all([replica.remove(), master.remove()]);
    }
  });

  it("acknowledges a repeated key only when enough replicas have its answer", async () => {
    const master = await startRedis({ appendonly: "yes", appendfsync: "always" });
    const replica = await startRedis({ replicaof: `127.0.0.1 ${master.port}` });
    try {
      const admin = master.admin();
      await until(async () => String(await admin.info("replication")).includes("state=online"));
      const store = `${master.url}?durability=durable&replicas=1`;
      await using one = await clientWith([QUOTA], { store, timeoutMs: 2_000 });
      await using other = new Ductape({ store, timeoutMs: 2_000 });
      await other.processor.quota.run(inputOf({ action: "check" }));
      process.kill(replica.pid(), "SIGSTOP");
      const keyed = inputOf({ idempotency_key: "k" });
      // The other only reads the answer, which is no less to be waited for.
      for (const client of [one, other]) {
        const fault = await faultOf(client.processor.quota.run(keyed));
        expect(fault).toMatchObject({ code: "OUTCOME_UNKNOWN" });
        expect(fault.message).toContain("0 of 1 replicas");
      }
      process.kill(replica.pid(), "SIGCONT");
      const again = await other.processor.quota.run(keyed);
      expect(again).toMatchObject({ used: 1, replayed: true });
    } finally {
      await Promise.all([replica.remove(), master.remove()]);
    }
  });
});

it.each([
  ["6.2.0", false],
  ["7.0.15", false],
  ["255.255.255", false],
  ["6.0.16", true],
  ["5.0.7", true],
  ["nonsense", false],
])("knows Redis %s, where too old: %s", (version, wanted) => {
  expect(isOlder(version)).toBe(wanted);
});
