import { afterAll, describe, expect, it } from "vitest";
import { Client, Pool } from "pg";
import { Ductape, postgresStore } from "ductape";
import { openStore } from "../src/stores/url.js";
import { freePort } from "./ports.js";
import { POSTGRES_BIN, startPostgres, type TestServer } from "./postgres.js";
import { clientWith, contextOf, faultOf, inputOf, until } from "./support.js";

const started = POSTGRES_BIN === null ? null : await startPostgres(["fsync = off"]);
afterAll(() => started?.stop());

function running(): TestServer {
  if (started === null) throw new Error("there is no server");
  return started;
}

const quota = { tag: "q", limit: 5, period: "lifetime" } as const;
const SECRET = "s3cr%23t";

/** The fault of opening a client on a URL, which must not tell the password. */
async function faultOfUrl(store: string) {
  const ductape = new Ductape({ store, timeoutMs: 3_000 });
  try {
    const fault = await faultOf(ductape.product.fetchAll());
    expect(`${fault.message} ${String(fault.cause)}`).not.toContain("s3cr");
    return fault;
  } finally {
    await ductape.close();
  }
}

describe("a postgres URL", () => {
  it.each([
    ["no slashes", "postgres:h/d"],
    ["a password with #", `postgres://u:s3cr#t@h/d`],
    ["no port", `postgres://u:${SECRET}@h:port/d`],
    ["a schema with capitals", `postgres://u:${SECRET}@h/d?schema=Shop`],
    ["a schema with quotes", `postgres://u:${SECRET}@h/d?schema=a%22b`],
    ["a schema of the system", `postgresql://u:${SECRET}@h/d?schema=pg_catalog`],
    ["a long schema", `postgres://u:${SECRET}@h/d?schema=${"s".repeat(49)}`],
    ["no connections", `postgres://u:${SECRET}@h/d?pool=0`],
    ["many connections", `postgres://u:${SECRET}@h/d?pool=101`],
    ["part of a connection", `postgres://u:${SECRET}@h/d?pool=1.5`],
    ["listen=maybe", `postgres://u:${SECRET}@h/d?listen=maybe`],
  ])("with %s is VALIDATION that names the option, and hides the password", (_, url) => {
    const open = () => openStore(url, contextOf(Date.now));
    expect(open).toThrow(/^options\.store: .*expects/);
    expect(open).not.toThrow("s3cr");
  });

  it("passes the options of pg on", async () => {
    const fault = await faultOfUrl(`postgres://u:${SECRET}@127.0.0.1:1/d?sslmode=disable`);
    expect(fault).toMatchObject({ code: "STORE_UNAVAILABLE", retryable: true });
    expect(fault.message).toContain("the store postgres://127.0.0.1:1/d: connect ECONNREFUSED");
  });
});

it("refuses a schema option that is none", () => {
  const pool = new Pool();
  for (const schema of ["", "a b", "Ä", "pg_x"]) {
    expect(() => postgresStore(pool, { schema })).toThrow(/^options\.schema: expects/);
  }
});

describe.runIf(started !== null)("a PostgreSQL server", () => {
  it.each([
    ["has no such database", () => running().url("tester", "nowhere"), "does not exist", false],
    ["is not there", async () => running().url("a", "b", await freePort()), "ECONNREFUSED", true],
    ["has no such user", () => running().url(`nobody:${SECRET}`), "refuses this user", false],
  ] as const)("that %s is told plainly", async (_, url, message, retryable) => {
    const fault = await faultOfUrl(await url());
    expect(fault).toMatchObject({ code: "STORE_UNAVAILABLE", retryable });
    expect(fault.message).toContain(message);
  });

  it("that refuses the password is reported plainly", async () => {
    const server = running();
    await server.run("CREATE ROLE locked LOGIN PASSWORD 'other'");
    await server.allowFirst("host all locked 127.0.0.1/32 scram-sha-256");
    const fault = await faultOfUrl(server.url(`locked:${SECRET}`));
    expect(fault).toMatchObject({ code: "STORE_UNAVAILABLE", retryable: false });
    expect(fault.message).toContain("refuses the user or the password");
  });

  it("with another encoding is refused", async () => {
    await running().run("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'");
    const fault = await faultOfUrl(running().url("tester", "latin"));
    expect(fault.message).toContain("expects a database with the encoding UTF8, got LATIN1");
    expect(fault.retryable).toBe(false);
  });

  it("that is read-only is refused, and nothing is made in it", async () => {
    const server = running();
    await server.run("CREATE DATABASE kept");
    await server.run("ALTER DATABASE kept SET default_transaction_read_only = on");
    const fault = await faultOfUrl(server.url("tester", "kept"));
    expect(fault.message).toContain("it is read-only");
  });

  it("is opened by a user who may only use an empty schema", async () => {
    const server = running();
    await server.run("CREATE ROLE tenant LOGIN");
    await server.run("CREATE DATABASE mine");
    const bare = `${server.url("tenant", "mine")}?schema=own`;
    expect((await faultOfUrl(bare)).message).toContain("the user lacks a privilege; grant CREATE");
    await server.runIn("mine", "CREATE SCHEMA own AUTHORIZATION tenant");
    await using ductape = await clientWith([quota], { store: bare });
    expect(await ductape.processor.quota.run(inputOf())).toMatchObject({ used: 1 });
  });
});

describe.runIf(started !== null)("the tables of a schema", () => {
  it("are made once by ten that start at once", async () => {
    const store = running().freshUrl("&pool=1&listen=false");
    const clients = Array.from({ length: 10 }, () => new Ductape({ store }));
    try {
      const lists = await Promise.all(clients.map((client) => client.product.fetchAll()));
      expect(lists).toEqual(clients.map(() => []));
    } finally {
      await Promise.all(clients.map((client) => client.close()));
    }
  });

  it("of a newer version are refused, and left as they are", async () => {
    const store = running().freshUrl();
    const schema = new URL(store).searchParams.get("schema");
    await (await clientWith([quota], { store })).close();
    await running().run(`UPDATE ${schema}.ductape_meta SET version = 99`);
    const fault = await faultOfUrl(store);
    expect(fault.retryable).toBe(false);
    expect(fault.message).toContain(`schema ${schema} has version 99, and this program knows 3`);
    const { rows } = await running().run(`SELECT version FROM ${schema}.ductape_meta`);
    expect(rows).toEqual([{ version: 99 }]);
  });

  it("of another program are refused, and left as they are", async () => {
    const server = running();
    await server.run("CREATE SCHEMA foreign_shop; CREATE TABLE foreign_shop.orders (id int)");
    const fault = await faultOfUrl(`${server.url()}?schema=foreign_shop`);
    expect(fault.message).toContain("schema foreign_shop has tables of another program");
    const tables = "SELECT relname FROM pg_class WHERE relnamespace = 'foreign_shop'::regnamespace";
    expect((await server.run(tables)).rows).toEqual([{ relname: "orders" }]);
  });

  it("that are dropped while in use are created again by the next call", async () => {
    const store = running().freshUrl();
    const schema = new URL(store).searchParams.get("schema");
    await using ductape = await clientWith([quota], { store });
    await ductape.processor.quota.run(inputOf());
    const fault = await faultWhileDropped(schema ?? "", () =>
      ductape.processor.quota.run(inputOf()),
    );
    expect(fault).toMatchObject({ code: "STORE_UNAVAILABLE", retryable: true });
    await ductape.product.create({ tag: "shop" });
    await ductape.product.environments.create("shop", { slug: "prd" });
    await ductape.product.quotas.create("shop", quota);
    expect(await ductape.processor.quota.run(inputOf())).toMatchObject({ used: 1 });
  });

  it("of two schemas in one database never meet", async () => {
    await using one = await clientWith([quota], { store: running().freshUrl() });
    await using other = await clientWith([quota], { store: running().freshUrl() });
    await one.processor.quota.run(inputOf({ amount: 4 }));
    expect(await other.processor.quota.run(inputOf())).toMatchObject({ used: 1 });
  });
});

describe.runIf(started !== null)("a pool that is given", () => {
  it.each([
    ["with a pipeline", { pipeline: true }],
    ["without a pipeline", {}],
    ["of one connection", { max: 1 }],
  ])("%s is used, and is not ended", async (_, settings) => {
    const connectionString = running().url();
    const pool = new Pool({ connectionString, ...settings });
    const schema = `given_${Object.keys(settings)[0] ?? "plain"}`;
    const ductape = await clientWith([{ ...quota, limit: 150 }], {
      store: postgresStore(pool, { schema }),
    });
    const { quota: calls } = ductape.processor;
    const results = await Promise.all(Array.from({ length: 200 }, () => calls.run(inputOf())));
    expect(results.filter(({ allowed }) => allowed).length).toBe(150);
    const keyed = inputOf({ idempotency_key: "k", action: "set", amount: 7 });
    expect(await calls.run(keyed)).toMatchObject({ used: 7, replayed: false });
    expect(await calls.run(keyed)).toMatchObject({ used: 7, replayed: true });
    await ductape.close();
    expect((await pool.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
    await pool.end();
  });

  it("of two serves two hundred callers", async () => {
    const pool = new Pool({ connectionString: running().url(), max: 2 });
    await using ductape = await clientWith([{ ...quota, scope: "$Session{id}", limit: null }], {
      store: postgresStore(pool, { schema: "two", listen: false }),
    });
    const calls = Array.from({ length: 200 }, (_, i) =>
      ductape.processor.quota.run(inputOf({ subject: `user-${i % 20}` })),
    );
    const used = (await Promise.all(calls)).map((each) => each.used);
    expect(Math.max(...used)).toBe(10);
    await ductape.close();
    await pool.end();
  });
});

/** The fault of a call that is under way when a schema is dropped, so that no poll is before it. */
async function faultWhileDropped(schema: string, call: () => Promise<unknown>) {
  const client = new Client({ connectionString: running().url() });
  await client.connect();
  await client.query(`BEGIN; LOCK TABLE ${schema}.cells IN ACCESS EXCLUSIVE MODE`);
  const fault = faultOf(call());
  const waits = `SELECT FROM pg_locks WHERE NOT granted AND relation = '${schema}.cells'::regclass`;
  await until(async () => (await running().run(waits)).rowCount !== 0);
  await client.query(`DROP SCHEMA ${schema} CASCADE; COMMIT`);
  await client.end();
  return await fault;
}
