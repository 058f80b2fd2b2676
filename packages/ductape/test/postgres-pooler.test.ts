import { execFileSync, spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, describe, expect, it } from "vitest";
import { Client } from "pg";
import { Ductape } from "ductape";
import { storeSuite } from "ductape/testing";
import { freePort } from "./ports.js";
import { POSTGRES_BIN, startPostgres, type TestServer } from "./postgres.js";
import { clientWith, faultOf, inputOf, temporaryFolder } from "./support.js";

const PGBOUNCER = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].find((path) => existsSync(path));
if (POSTGRES_BIN !== null && PGBOUNCER === undefined) {
  const message = "SKIPPED: PostgreSQL behind a pooler of transactions, as there is no pgbouncer";
  if (process.env["REQUIRE_STORES"] === "all") throw new Error(message);
  console.warn(message);
}

interface Pooler {
  readonly port: number;
  stop(): Promise<void>;
}

/** Starts pgbouncer, which gives a connection of the server to a client for each transaction. */
async function startPooler(server: TestServer, connections: number): Promise<Pooler> {
  const folder = temporaryFolder();
  const port = await freePort();
  const users = `${folder.path}/users.txt`;
  writeFileSync(users, '"tester" ""\n');
  const lines = [
    "[databases]",
    `* = host=127.0.0.1 port=${server.port} user=tester`,
    "[pgbouncer]",
    "listen_addr = 127.0.0.1",
    `listen_port = ${port}`,
    "unix_socket_dir =",
    "auth_type = any",
    `auth_file = ${users}`,
    "pool_mode = transaction",
    `default_pool_size = ${connections}`,
    "max_client_conn = 200",
  ];
  const config = `${folder.path}/pgbouncer.ini`;
  writeFileSync(config, `${lines.join("\n")}\n`);
  if (process.getuid?.() === 0) execFileSync("chown", ["-R", "postgres", folder.path]);
  const asUser = process.getuid?.() === 0 ? ["-u", "postgres"] : [];
  const child = spawn(PGBOUNCER ?? "", [...asUser, config], { stdio: "pipe" });
  let log = "";
  child.stderr.on("data", (text: Buffer) => (log += text.toString()));
  const stop = async (): Promise<void> => {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    folder.remove();
  };
  for (let tries = 0; ; tries++) {
    const client = new Client({ connectionString: server.url("tester", "postgres", port) });
    client.on("error", () => undefined);
    try {
      await client.connect();
      await client.end();
      return { port, stop };
    } catch (error) {
      if (tries < 200 && child.exitCode === null) await delay(20);
      else {
        await stop();
        throw new Error(`pgbouncer does not start: ${log.slice(-1_000)}`, { cause: error });
      }
    }
  }
}

const canRun = POSTGRES_BIN !== null && PGBOUNCER !== undefined;
const server = canRun ? await startPostgres(["fsync = off"]) : null;
const pooler = server === null ? null : await startPooler(server, 2);
afterAll(async () => {
  await pooler?.stop();
  await server?.stop();
});

/** The URL of a new schema, through the pooler. */
function pooledUrl(): string {
  if (server === null || pooler === null) throw new Error("there is no pooler");
  const direct = server.freshUrl();
  return `${direct.replace(`:${server.port}/`, `:${pooler.port}/`)}&listen=false`;
}

describe.runIf(pooler !== null)("postgres behind a pooler of transactions", () => {
  const place = () => {
    const url = pooledUrl();
    return { connect: () => url, remove: () => undefined };
  };
  it.each(storeSuite(place).map(({ name, run }) => [name, run] as const))("%s", (_name, run) =>
    run(),
  );

  it("refuses a URL that needs sessions, and says what to set", async () => {
    await using client = new Ductape({ store: pooledUrl().replace("&listen=false", "") });
    const error = await faultOf(client.product.fetchAll());
    expect(error).toMatchObject({ code: "STORE_UNAVAILABLE", retryable: false });
    expect(error.message).toContain("add listen=false to the URL");
  });

  it("shares two connections among five clients, exactly, by the server's clock", async () => {
    const store = pooledUrl();
    const quota = { tag: "q", limit: 300, period: "lifetime" } as const;
    const clients = [await clientWith([quota], { store })];
    for (let i = 0; i < 4; i++) clients.push(new Ductape({ store }));
    try {
      const calls = clients.flatMap((client) =>
        Array.from({ length: 100 }, () => client.processor.quota.run(inputOf())),
      );
      const results = await Promise.all(calls);
      expect(results.filter(({ allowed }) => allowed).length).toBe(300);
    } finally {
      await Promise.all(clients.map((client) => client.close()));
    }
  });
});
