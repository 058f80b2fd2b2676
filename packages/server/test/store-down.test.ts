// What people and balancers see of a store that cannot be used: at the start, and later.
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { hasRedis, startRedis } from "../../ductape/test/redis.js";
import { until } from "../../ductape/test/support.js";
import { openSqlite } from "../../ductape/src/stores/sqlite/driver.js";
import { endAll, folder, launch, newStore, run } from "./command.js";
import { ask, inputOf, start, startWith } from "./support.js";

afterEach(endAll);
afterAll(folder.remove);

const fileOf = (store: string): string => store.replace("sqlite:", "");

async function sqlAt(store: string, sql: string): Promise<string> {
  const db = await openSqlite(fileOf(store));
  db.exec(sql);
  db.close();
  return store;
}

function noDatabase(): string {
  const store = newStore();
  writeFileSync(fileOf(store), "no database at all ".repeat(500));
  return store;
}

function underFile(): string {
  const store = newStore();
  writeFileSync(fileOf(store), "");
  return `${store}/store.db`;
}

const BROKEN: readonly (readonly [what: string, store: () => Promise<string>, says: string])[] = [
  ["a file that is no database", async () => noDatabase(), "the file is not a SQLite database"],
  ["a folder that cannot be made", async () => underFile(), "EEXIST: file already exists, mkdir"],
  [
    "the file of another program",
    () => sqlAt(newStore(), "CREATE TABLE store.theirs (a)"),
    "it belongs to another program; name another file",
  ],
  [
    "the file of a newer version",
    async () => {
      const store = newStore();
      await (await start({ store })).close();
      return await sqlAt(store, "PRAGMA store.user_version = 99");
    },
    "it has schema 99, and this version knows",
  ],
  ["a URL of no store", async () => "redes://user:secret@x", 'expects "memory:"'],
  ["a URL without its host", async () => "postgres:", "postgres:"],
];

/** The command ends with 69, and says why by one line. */
async function expectUnusable(command: string, store: string, says: string): Promise<void> {
  const { code, stdout, stderr } = await run([...command.split(" "), "--store", store]);
  expect([command, code]).toEqual([command, 69]);
  expect(stderr).toContain(says);
  expect(stderr).not.toContain("secret");
  expect(stdout + stderr).not.toContain("listening");
  expect(stderr.trimEnd().split("\n"), "without a trace").toHaveLength(1);
}

describe("a store that no waiting mends", () => {
  it.each(BROKEN)("ends serve with 69 where it is %s", async (_, storeOf, says) => {
    await expectUnusable("serve --port 0", await storeOf(), says);
  });

  it.each(["serve --demo --port 0", "product ls", "quota ls --product_tag p", "doctor"])(
    "ends %s with 69",
    async (command) => {
      await expectUnusable(command, noDatabase(), "the file is not a SQLite database");
    },
  );
});

describe.skipIf(!hasRedis("a server that goes down and comes up"))("a store on a server", () => {
  it("may be down at the start and flap: each change is said once, and calls go on", async () => {
    const redis = await startRedis();
    await redis.kill();
    const server = launch(["serve", "--store", redis.url, "--port", "0", "--audit-log", "off"]);
    const down = /^ductape: the store cannot be used: .* ECONNREFUSED .*: start it, or name/;
    const up = "ductape: the store can be used again";
    expect(await server.line("stderr", 0)).toMatch(down);
    const url = (await server.line("stderr", 1)).replace("listening on ", "");
    expect(await server.line("stderr", 2)).toContain(
      "the first key will be created and printed once",
    );
    const unready = await ask(url, "/readyz");
    expect([unready.status, unready.headers.get("retry-after")]).toEqual([503, "1"]);
    let said = 3;
    let key = "";
    for (let flap = 0; flap < 2; flap++) {
      await redis.restart();
      const news = [await server.line("stderr", said++)];
      if (flap === 0) news.push(await server.line("stderr", said++));
      expect(news).toContain(up);
      key = news.map((line) => /dk_root_\w+/.exec(line)?.[0]).join("") || key;
      await until(async () => (await ask(url, "/readyz")).status === 200);
      expect((await ask(url, "/v1/products", { key })).status).toBe(flap === 0 ? 200 : 401);
      await redis.kill();
      // Nobody asks: the poll of definitions notices it, or the probe after the return.
      expect(await server.line("stderr", said++)).toMatch(/^ductape: the store cannot be used: /);
    }
    const call = await ask(url, "/v1/quota/run", { key, body: inputOf() });
    expect(call).toMatchObject({ status: 503, body: { retryable: true } });
    expect(Number(call.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
    server.child.kill("SIGTERM");
    expect(await server.ended).toBe(0);
    expect(server.text.stderr.trimEnd().split("\n")).toHaveLength(said);
    await redis.remove();
  });
});

describe("a file that is lost under a server", () => {
  it("is reported by readyz, calls and the console, without a time to wait", async () => {
    const path = join(folder.path, "lost", "store.db");
    const server = await startWith([{ tag: "q", limit: 5, period: "day" }], {
      store: `sqlite:${path}`,
    });
    renameSync(dirname(path), `${dirname(path)}-elsewhere`);
    // A file where a folder should be: no waiting mends that.
    writeFileSync(dirname(path), "");
    await until(async () => (await ask(server.url, "/readyz")).body["retryable"] === false);
    const ready = await server.call("/readyz");
    expect([ready.status, ready.body["code"]]).toEqual([503, "STORE_UNAVAILABLE"]);
    expect(ready.headers.get("content-type")).toContain("application/problem+json");
    expect(ready.headers.get("retry-after")).toBeNull();
    expect((await server.call("/healthz")).status).toBe(200);
    const call = await server.call("/v1/quota/run", { body: inputOf() });
    expect(call).toMatchObject({ status: 503, body: { retryable: false } });
    expect(call.headers.get("retry-after")).toBeNull();
    expect((await server.call("/metrics")).body["text"]).toContain("ductape_store_up 0");
    rmSync(dirname(path));
    renameSync(`${dirname(path)}-elsewhere`, dirname(path));
    await until(() => Promise.resolve(server.warnings.length === 2));
    expect((await server.call("/v1/quota/run", { body: inputOf() })).body["used"]).toBe(1);
    expect((await server.call("/metrics")).body["text"]).toContain("ductape_store_up 1");
    expect(server.warnings).toEqual([
      expect.stringMatching(/^the store cannot be used: the store .*store\.db: /),
      expect.stringMatching(/^the store can be used again/),
    ]);
    await server.close();
  });

  it("does not start if it was not a file from the beginning", async () => {
    const path = join(folder.path, "blocked", "store.db");
    mkdirSync(path, { recursive: true });
    await expect(start({ store: `sqlite:${path}` })).rejects.toMatchObject({
      code: "STORE_UNAVAILABLE",
      retryable: false,
    });
  });
});
