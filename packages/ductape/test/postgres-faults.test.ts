import { setTimeout as delay } from "node:timers/promises";
import { afterAll, describe, expect, it } from "vitest";
import { Client, Pool } from "pg";
import { postgresStore, type Ductape, type EmbeddedOptions, type QuotaDefinition } from "ductape";
import { Load } from "./load.js";
import { POSTGRES_BIN, startPostgres, type TestServer } from "./postgres.js";
import { Proxy } from "./proxy.js";
import { clientWith, faultOf, inputOf, until } from "./support.js";

const started = POSTGRES_BIN === null ? null : await startPostgres(["fsync = off"]);
afterAll(() => started?.stop());

function running(): TestServer {
  if (started === null) throw new Error("there is no server");
  return started;
}

const quota: QuotaDefinition = { tag: "q", limit: null, period: "lifetime" };
const quiet = { warn: () => undefined };
const schemaOf = (store: string) => new URL(store).searchParams.get("schema") ?? "";

const clientOn = (store: string, options: EmbeddedOptions<"throw"> = {}) =>
  clientWith([quota], { store, logger: quiet, ...options });

async function usedOf(ductape: Ductape): Promise<number> {
  const result = await ductape.processor.quota.run(inputOf({ action: "check", amount: 0 }));
  return result.used;
}

/** The answers to the load agree with what is counted. */
async function expectExact(load: Load, ductape: Ductape): Promise<void> {
  const used = await usedOf(ductape);
  const { acknowledged, faults } = load.told;
  expect(used).toBeGreaterThanOrEqual(acknowledged);
  expect(used).toBeLessThanOrEqual(acknowledged + load.told.unknown);
  const known = ["STORE_UNAVAILABLE", "OUTCOME_UNKNOWN", "TIMEOUT"];
  expect([...faults.keys()].filter((code) => !known.includes(code))).toEqual([]);
}

const pools: Pool[] = [];
afterAll(async () => void (await Promise.all(pools.map((pool) => pool.end()))));

/** A store on a pool of the program, in the schema of a URL. */
function poolOf(url: string) {
  const pool = new Pool({ connectionString: running().url() });
  // As a program must: what the tests end while it is idle is the pool's own to tell.
  pool.on("error", () => undefined);
  pools.push(pool);
  return { store: postgresStore(pool, { schema: schemaOf(url) }) };
}

const NOTHING = Buffer.alloc(0);
/** AuthenticationOk, ReadyForQuery and a fatal error, as the protocol has them. */
const AUTHENTICATED = Buffer.from("R\0\0\0\b\0\0\0\0", "latin1");
const READY = Buffer.from("Z\0\0\0\u0005I", "latin1");
const FIELDS = "SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0";
const SHUTDOWN = Buffer.from(`E\0\0\0${String.fromCharCode(FIELDS.length + 4)}${FIELDS}`, "latin1");

/** Ends all other connections of the tests' database, and waits until they are gone. */
async function terminateAll(): Promise<void> {
  const others = "FROM pg_stat_activity WHERE datname = 'postgres' AND pid <> pg_backend_pid()";
  const { rows } = await running().run(`SELECT pid, pg_terminate_backend(pid) ${others}`);
  const ended = rows.map(({ pid }) => Number(pid)).join(",");
  const left = `SELECT 1 FROM pg_stat_activity WHERE pid = ANY('{${ended}}'::int[])`;
  await until(async () => (await running().run(left)).rowCount === 0);
}

describe.runIf(started !== null)("connections that the server ends", () => {
  it("under load cost some calls, and never a count", async () => {
    await using ductape = await clientOn(running().freshUrl());
    const load = new Load(ductape);
    for (let round = 0; round < 10; round++) {
      await load.admits(1);
      await terminateAll();
    }
    await load.admits(1);
    await load.stop();
    await expectExact(load, ductape);
  });

  it("in the moment that they are ready cost a call, and never the process", async () => {
    const proxy = await Proxy.start(running().port);
    const { search } = new URL(running().freshUrl());
    const store = `${running().url("tester", "postgres", proxy.port)}${search}`;
    await using ductape = await clientOn(store);
    const load = new Load(ductape);
    await load.admits(1);
    let ended = 0;
    proxy.addsTo = (reply) => {
      if (ended >= 5 || !reply.includes(AUTHENTICATED) || !reply.includes(READY)) return NOTHING;
      ended++;
      return SHUTDOWN;
    };
    await terminateAll();
    await until(() => ended === 5);
    await load.admits(1);
    await load.stop();
    await expectExact(load, ductape);
    await ductape.close();
    await proxy.stop();
  });

  it("while idle cost nothing", async () => {
    await using ductape = await clientOn(running().freshUrl());
    for (let round = 0; round < 5; round++) {
      expect(await ductape.processor.quota.run(inputOf())).toMatchObject({ used: round + 1 });
      await terminateAll();
      await delay(20);
    }
  });
});

describe.runIf(started !== null)("a reply that is lost", () => {
  it.each([
    ["of one statement", {}],
    ["of a transaction", { idempotency_key: "first" }],
  ])("%s is OUTCOME_UNKNOWN, and the same key counts once", async (_, key) => {
    const server = running();
    const proxy = await Proxy.start(server.port);
    try {
      const store = server.freshUrl("&listen=false").replace(`:${server.port}/`, `:${proxy.port}/`);
      await using ductape = await clientOn(store, { timeoutMs: 2_000 });
      const run = (input: object) => ductape.processor.quota.run(inputOf(input));
      await run({});
      proxy.cutsAfter = (sent) => /UPDATE test|COMMIT\0/.test(sent.toString("latin1"));
      expect(await faultOf(run(key))).toMatchObject({ code: "OUTCOME_UNKNOWN", retryable: false });
      proxy.cutsAfter = () => false;
      expect(await usedOf(ductape)).toBe(2);
      if ("idempotency_key" in key) expect(await run(key)).toMatchObject({ replayed: true });
      expect(await usedOf(ductape)).toBe(2);
    } finally {
      await proxy.stop();
    }
  });

  it("before the commit was sent leaves nothing behind, and may be tried again", async () => {
    const server = running();
    const proxy = await Proxy.start(server.port);
    try {
      const store = server.freshUrl("&listen=false").replace(`:${server.port}/`, `:${proxy.port}/`);
      await using ductape = await clientOn(store, { timeoutMs: 2_000 });
      proxy.cutsAfter = (sent) => sent.includes("FOR UPDATE");
      const call = ductape.processor.quota.run(inputOf({ idempotency_key: "k" }));
      expect(await faultOf(call)).toMatchObject({ code: "STORE_UNAVAILABLE", retryable: true });
      proxy.cutsAfter = () => false;
      expect(await usedOf(ductape)).toBe(0);
    } finally {
      await proxy.stop();
    }
  });
});

describe.runIf(started !== null)("a server that hangs", () => {
  it("holds no call longer than its timeout, and continues within a second", async () => {
    await using ductape = await clientOn(running().freshUrl(), { timeoutMs: 400 });
    const load = new Load(ductape);
    await load.admits(1);
    running().signal("SIGSTOP");
    try {
      await delay(1_500);
    } finally {
      running().signal("SIGCONT");
    }
    const backMs = performance.now();
    await load.admits(1);
    expect(performance.now() - backMs).toBeLessThan(1_000);
    await load.stop();
    expect(load.told.longestMs).toBeLessThan(900);
    // What was sent before is decided when the server continues, even if nobody waits for it.
    await delay(500);
    await expectExact(load, ductape);
  });
});

describe.runIf(started !== null)("a lock that another program holds", () => {
  it.each([
    ["a URL", (url: string) => ({ store: url })],
    ["a pool", poolOf],
  ])("keeps calls of that counter waiting, and no others: %s", async (_, optionsOf) => {
    const url = running().freshUrl();
    const each = { ...quota, scope: "$Session{id}" };
    const options = { ...optionsOf(url), logger: quiet, timeoutMs: 6_000 };
    await using ductape = await clientWith([each], options);
    const run = (id: string) => ductape.processor.quota.run(inputOf({ subject: { id } }));
    const users = Array.from({ length: 20 }, (__, i) => `user-${i}`);
    for (const user of users) await run(user);
    const client = new Client({ connectionString: running().url() });
    await client.connect();
    await client.query("BEGIN");
    const schema = schemaOf(url);
    const row = await client.query(`SELECT FROM ${schema}.cells WHERE key LIKE '%7' FOR UPDATE`);
    expect(row.rowCount).toBe(2);
    const held = (user: string) => user.endsWith("7");
    const waiting = users.filter(held).map((user) => faultOf(run(user)));
    for (let round = 2; round < 10; round++) {
      const free = await Promise.all(users.filter((user) => !held(user)).map(run));
      expect(free.map((result) => "used" in result && result.used)).toEqual(
        Array.from({ length: 18 }, () => round),
      );
    }
    const faults = await Promise.all(waiting);
    expect(faults.map(({ code }) => code)).toEqual(["TIMEOUT", "TIMEOUT"]);
    await client.query("ROLLBACK");
    await client.end();
    expect(await run("user-7")).toMatchObject({ used: 2 });
  });
});

describe.runIf(started !== null)("a server that refuses for a while", () => {
  it("has no connection left, then has one again", async () => {
    const server = running();
    await server.run("CREATE ROLE few LOGIN SUPERUSER");
    const store = server.freshUrl("&listen=false").replace("tester@", "few@");
    await using ductape = await clientOn(store);
    await server.run("ALTER ROLE few NOSUPERUSER CONNECTION LIMIT 0");
    await terminateAll();
    const fault = await faultOf(ductape.processor.quota.run(inputOf()));
    expect(fault).toMatchObject({ code: "STORE_UNAVAILABLE", retryable: true });
    expect(fault.message).toContain("no connection left; lower pool, or raise max_connections");
    await server.run("ALTER ROLE few SUPERUSER CONNECTION LIMIT -1");
    expect(await ductape.processor.quota.run(inputOf())).toMatchObject({ used: 1 });
  });

  it("is read-only, as after a failover, then is not", async () => {
    const server = running();
    await server.run("CREATE ROLE reader LOGIN SUPERUSER");
    const store = server.freshUrl("&listen=false").replace("tester@", "reader@");
    await using ductape = await clientOn(store);
    await ductape.processor.quota.run(inputOf());
    await server.run("ALTER ROLE reader SET default_transaction_read_only = on");
    await terminateAll();
    for (const key of [{}, { idempotency_key: "k" }]) {
      const fault = await faultOf(ductape.processor.quota.run(inputOf(key)));
      expect(fault).toMatchObject({ code: "STORE_UNAVAILABLE", retryable: true });
      expect(fault.message).toContain("the server is read-only");
    }
    expect(await usedOf(ductape)).toBe(1);
    await server.run("ALTER ROLE reader RESET default_transaction_read_only");
    await terminateAll();
    expect(await ductape.processor.quota.run(inputOf())).toMatchObject({ used: 2 });
  });
});
