import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster, Redis } from "ioredis";
import { Ductape, DuctapeError, redisStore } from "ductape";
import { settingsOfUrl } from "../src/stores/redis/settings.js";
import { hasRedis, startCluster, startRedis, type RedisServer } from "./redis.js";
import { callAny, clientWith, inputOf } from "./support.js";

const settings = (url: string) => settingsOfUrl(url, "options.store");

function faultOfUrl(url: string): DuctapeError {
  try {
    settings(url);
  } catch (error) {
    if (DuctapeError.is(error)) return error;
    throw error;
  }
  throw new Error(`nothing was thrown for ${url}`);
}

describe("a URL of Redis", () => {
  it("names a server, its database, user and password", () => {
    expect(settings("redis://ada:p%40ss%2F@cache.example:6380/3")).toMatchObject({
      name: "redis://cache.example:6380",
      seeds: null,
      options: { host: "cache.example", port: 6380, db: 3, username: "ada", password: "p@ss/" },
      prefix: "ductape",
      durability: "fast",
      replicas: 0,
    });
  });

  it.each([
    ["redis://localhost", { host: "localhost", port: 6379, db: 0 }],
    ["redis://:secret@[::1]:7000", { host: "::1", port: 7000, password: "secret" }],
    ["rediss://localhost", { host: "localhost", tls: {} }],
    ["redis://user:a@b@localhost", { host: "localhost", username: "user", password: "a@b" }],
  ])("may leave things out: %s", (url, options) => {
    expect(settings(url).options).toMatchObject(options);
  });

  it("with several hosts names a cluster", () => {
    const hosts = [
      { host: "a", port: 7001 },
      { host: "b", port: 6379 },
    ];
    expect(settings("rediss://:x@a:7001,b?durability=durable")).toMatchObject({
      name: "rediss://a:7001,b:6379",
      seeds: hosts,
      options: { password: "x", tls: {} },
      replicas: 1,
    });
  });

  it("names sentinels and their master", () => {
    expect(settings("redis+sentinel://:x@a,b:26380/main/2?prefix=p.1")).toMatchObject({
      name: "redis+sentinel://a:26379,b:26380/main",
      seeds: null,
      options: {
        sentinels: [
          { host: "a", port: 26_379 },
          { host: "b", port: 26_380 },
        ],
        name: "main",
        db: 2,
      },
      prefix: "p.1",
    });
  });

  it.each([
    ["redis://", "host:port"],
    ["redis://h:0", "port from 1"],
    ["redis://h:65536", "port from 1"],
    ["redis://h:port", "host:port"],
    ["redis://a,,b", "host:port"],
    ["redis://h/x", "number of a database"],
    ["redis://h/0/1", "number of a database"],
    ["redis://a,b/1", "database 0"],
    ["redis+sentinel://a", "name of the master"],
    ["redis://%@h", "%25"],
    ["redis://h?db=1", "prefix, durability, replicas"],
    ["redis://h?prefix=", "prefix expects"],
    ["redis://h?prefix=a{b", "prefix expects"],
    [`redis://h?prefix=${"x".repeat(65)}`, "prefix expects"],
    ["redis://h?durability=maybe", "fast or durable"],
    ["redis://h?replicas=1", "durability=durable"],
    ["redis://h?durability=durable&replicas=1.5", "integer from 0"],
    ["redis://h?durability=durable&replicas=-1", "integer from 0"],
  ])("%s is VALIDATION that says what is expected", (url, says) => {
    const fault = faultOfUrl(url);
    expect(fault.code).toBe("VALIDATION");
    expect(fault.issues?.map(({ path }) => path)).toEqual(["options.store"]);
    expect(fault.message).toContain(says);
  });

  it.each([
    "redis://user:s3cret@h:port",
    "redis://user:s3cret/x@h",
    "redis://user:s3cret?x@h",
    "redis://user:12?s3cret@h",
    "redis://user:s3cret#x@h",
    "redis://user:s3cret%@h",
    "redis://:s3cret,x@h:99999",
    "redis+sentinel://:s3cret@h",
  ])("that is wrong never shows its password: %s", (url) => {
    expect(faultOfUrl(url).message).not.toContain("s3cret");
  });
});

describe("redisStore", () => {
  it.each([
    ["client", [undefined]],
    ["client", [{}]],
    ["client", ["redis://h"]],
    ["options", [{ options: {} }, { prefixes: "a" }]],
    ["options", [{ options: {} }, { durability: 1 }]],
  ])("refuses what is wrong with its %s, for case %#", async (path, args) => {
    const call = callAny({ make: async () => redisStore.apply(null, Object(args)) }, "make");
    await expect(call).rejects.toMatchObject({ code: "VALIDATION", issues: [{ path }] });
  });
});

describe.runIf(hasRedis("stores on clients of one's own"))("a client of one's own", () => {
  let server: RedisServer;
  let cluster: Awaited<ReturnType<typeof startCluster>>;
  beforeAll(async () => {
    [server, cluster] = await Promise.all([startRedis(), startCluster()]);
  });
  afterAll(async () => {
    await Promise.all([server.remove(), cluster.remove()]);
  });
  const QUOTA = { tag: "q", limit: 3, period: "day" } as const;

  it("gives its options, and is left as it was", async () => {
    const redis = new Redis(server.port, { keyPrefix: "app:", enableAutoPipelining: true, db: 2 });
    await using ductape = await clientWith([QUOTA], {
      store: redisStore(redis, { prefix: "own" }),
    });
    expect(await ductape.processor.quota.run(inputOf())).toMatchObject({ used: 1 });
    expect((await redis.keys("*")).every((key) => key.startsWith("own:{"))).toBe(true);
    await ductape.close();
    expect(await redis.ping()).toBe("PONG");
    redis.disconnect();
  });

  it("may be a cluster", async () => {
    const nodes = cluster.servers.map(({ port }) => ({ host: "127.0.0.1", port }));
    const redis = new Cluster(nodes, { redisOptions: { connectTimeout: 2_000 } });
    await using ductape = await clientWith([QUOTA], { store: redisStore(redis) });
    await using other = new Ductape({ store: cluster.url });
    expect(await ductape.processor.quota.run(inputOf())).toMatchObject({ used: 1 });
    expect(await other.processor.quota.run(inputOf())).toMatchObject({ used: 2 });
    redis.disconnect();
  });
});
