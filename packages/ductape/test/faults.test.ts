import {
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  closeSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, describe, expect, it } from "vitest";
import { Ductape, type DuctapeError } from "ductape";
import { openSqlite, type Sqlite, type SqliteDriver } from "../src/stores/sqlite/driver.js";
import { migrate, schemaVersion } from "../src/stores/sqlite/schema.js";
import { clientWith, faultOf, inputOf, temporaryFolder, usableDrivers } from "./support.js";

const folder = temporaryFolder();
afterAll(folder.remove);

const quota = { tag: "q", limit: null, period: "lifetime", scope: "$Session{userId}" } as const;
const silent = { warn: () => undefined };
const input = inputOf({ subject: "u" });
let files = 0;

/** A path in a folder of its own. */
const newPath = (): string => `${folder.path}/${++files}/store.db`;

const count = (ductape: Ductape) => ductape.processor.quota.run(input);

async function usedOf(ductape: Ductape): Promise<number> {
  const check = { ...input, action: "check", amount: 0 } as const;
  const result = await ductape.processor.quota.run(check, { timeoutMs: 60_000 });
  return result.used;
}

/** Makes the file of a test, with `used` counted, and closes it. */
async function prepare(store: string, used = 3): Promise<void> {
  await using ductape = await clientWith([quota], { store });
  await ductape.processor.quota.run({ ...input, amount: used });
}

/** The fault must tell which file, what is wrong and what to do. */
function expectUnavailable(fault: DuctapeError, path: string, says: string, retryable: boolean) {
  expect(fault).toMatchObject({ code: "STORE_UNAVAILABLE", retryable });
  expect(fault.message).toContain(path);
  expect(fault.message).toContain(says);
}

async function sql(path: string, driver: SqliteDriver, text: string): Promise<void> {
  const db = await openSqlite(path, driver);
  db.exec(text);
  db.close();
}

/** Overwrites part of a file in place. */
function scribble(path: string, atByte: number, bytes: number): void {
  const file = openSync(path, "r+");
  writeSync(file, Buffer.alloc(bytes, "garbage!"), 0, bytes, atByte);
  closeSync(file);
}

const drivers = await usableDrivers("the faults of files");

describe.each(drivers)("another process that holds the lock, on %s", (driver) => {
  it("makes calls wait for their time, counts none of them, and then lets them go on", async () => {
    const path = newPath();
    const store = `sqlite:${path}?driver=${driver}`;
    await using ductape = await clientWith([quota], { store, timeoutMs: 30_000 });
    await count(ductape);
    const other = await openSqlite(path, driver);
    other.exec("BEGIN IMMEDIATE");
    const startMs = performance.now();
    const patient = count(ductape);
    const late = await faultOf(ductape.processor.quota.run(input, { timeoutMs: 100 }));
    expect(late).toMatchObject({ code: "TIMEOUT", retryable: true });
    expect(late.message).toContain("100 ms");
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(99);
    await using reader = new Ductape({ store });
    expect(await usedOf(reader), "who only reads does not wait").toBe(1);
    const { quotas } = ductape.product;
    const change = quotas.update("shop", "q", { name: "renamed" });
    other.exec("COMMIT");
    other.close();
    expect(await patient).toMatchObject({ allowed: true, used: 2 });
    expect(await change).toMatchObject({ name: "renamed", revision: 2 });
    expect(await count(ductape)).toMatchObject({ used: 3 });
    await using later = new Ductape({ store });
    expect(await usedOf(later)).toBe(3);
  });

  it("makes a change of a definition TIMEOUT, and an abort give up a call that waits", async () => {
    const path = newPath();
    const store = `sqlite:${path}?driver=${driver}`;
    await using ductape = await clientWith([quota], { store, timeoutMs: 60 });
    const other = await openSqlite(path, driver);
    other.exec("BEGIN IMMEDIATE");
    const giveUp = new AbortController();
    const options = { signal: giveUp.signal, timeoutMs: 30_000 };
    const given = faultOf(ductape.processor.quota.run(input, options));
    const late = await faultOf(ductape.product.quotas.update("shop", "q", { name: "renamed" }));
    expect(late).toMatchObject({ code: "TIMEOUT", retryable: true });
    giveUp.abort("enough");
    expect(await given).toMatchObject({ code: "ABORTED", cause: "enough" });
    other.close();
    expect(await usedOf(ductape)).toBe(0);
    expect(await ductape.product.quotas.fetch("shop", "q")).toMatchObject({ revision: 1 });
  });

  it("makes even opening wait no longer than a call may", async () => {
    const path = newPath();
    const store = `sqlite:${path}?driver=${driver}`;
    await prepare(store);
    const other = await openSqlite(path, driver);
    other.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; SELECT * FROM cells; COMMIT");
    await using ductape = new Ductape({ store, timeoutMs: 30_000 });
    const giveUp = new AbortController();
    const patient = count(ductape);
    const given = faultOf(ductape.processor.quota.run(input, { signal: giveUp.signal }));
    const late = await faultOf(ductape.processor.quota.run(input, { timeoutMs: 50 }));
    expect(late).toMatchObject({ code: "TIMEOUT", retryable: true });
    giveUp.abort();
    expect(await given).toMatchObject({ code: "ABORTED" });
    other.close();
    expect(await patient).toMatchObject({ used: 4 });
  });
});

describe.each(drivers)("a path, on %s", (driver) => {
  it("may lie in a folder that is missing, or name an empty file", async () => {
    const path = `${folder.path}/${++files}/not/there/yet/store.db`;
    await prepare(`sqlite:${path}?driver=${driver}`);
    expect(existsSync(path)).toBe(true);
    const empty = newPath();
    mkdirSync(dirname(empty));
    writeFileSync(empty, "");
    await prepare(`sqlite:${empty}?driver=${driver}`);
    await using ductape = new Ductape({ store: `sqlite:${empty}?driver=${driver}` });
    expect(await usedOf(ductape)).toBe(3);
  });

  it("that names a folder, or is below a file, fails and is tried again", async () => {
    const path = newPath();
    mkdirSync(path, { recursive: true });
    await using ductape = new Ductape({ store: `sqlite:${path}?driver=${driver}` });
    expectUnavailable(await faultOf(count(ductape)), path, "name a file", false);
    const under = `${folder.path}/${++files}`;
    writeFileSync(under, "a file");
    await using below = new Ductape({ store: `sqlite:${under}/store.db?driver=${driver}` });
    expectUnavailable(await faultOf(count(below)), `${under}/store.db`, "mkdir", false);
    rmSync(path, { recursive: true });
    rmSync(under);
    for (const client of [ductape, below]) {
      expect(await faultOf(count(client))).toMatchObject({ code: "PRODUCT_NOT_FOUND" });
    }
  });

  it("that cannot be opened fails all waiting calls, and opens once it can be", async () => {
    const path = newPath();
    mkdirSync(path, { recursive: true });
    const unhandled: unknown[] = [];
    const listen = (error: unknown): void => void unhandled.push(error);
    process.on("unhandledRejection", listen);
    await using ductape = new Ductape({ store: `sqlite:${path}?driver=${driver}` });
    const calls = Array.from({ length: 20 }, () => faultOf(count(ductape)));
    for (const fault of await Promise.all(calls)) {
      expectUnavailable(fault, path, "it cannot be opened", false);
    }
    rmSync(path, { recursive: true });
    await prepare(`sqlite:${path}?driver=${driver}`);
    const counted = await Promise.all(Array.from({ length: 20 }, () => count(ductape)));
    expect(counted.at(-1)).toMatchObject({ used: 23 });
    process.off("unhandledRejection", listen);
    expect(unhandled).toEqual([]);
  });
});

describe.each(drivers)("a file that is not ours to write, on %s", (driver) => {
  /** Refused twice, by calls and by definitions, and byte for byte as it was. */
  async function expectRefused(path: string, says: string): Promise<void> {
    const before = readFileSync(path);
    await using ductape = new Ductape({ store: `sqlite:${path}?driver=${driver}` });
    expectUnavailable(await faultOf(count(ductape)), path, says, false);
    expectUnavailable(await faultOf(ductape.product.fetchAll()), path, says, false);
    expect(readFileSync(path).equals(before), "the file is as it was").toBe(true);
    expect(existsSync(`${path}-wal`)).toBe(false);
  }

  it("is refused if it is not a database", async () => {
    const path = newPath();
    await prepare(`sqlite:${path}?driver=${driver}`);
    scribble(path, 0, 100);
    await expectRefused(path, "not a SQLite database; name another one");
  });

  it("is refused if it belongs to another program", async () => {
    const path = newPath();
    mkdirSync(dirname(path));
    await sql(path, driver, "CREATE TABLE store.theirs (a); INSERT INTO theirs VALUES (1)");
    await expectRefused(path, "belongs to another program; name another file");
    await sql(path, driver, "DROP TABLE theirs; PRAGMA store.user_version = 7");
    await expectRefused(path, "belongs to another program");
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8, 9])(
    "is none that another process makes at our look %d",
    async (look) => {
      const path = newPath();
      mkdirSync(dirname(path));
      const [db, maker] = [await openSqlite(path, driver), await openSqlite(path, driver)];
      let looks = 0;
      const watched: Sqlite = {
        exec: (text) => db.exec(text),
        close: () => db.close(),
        prepare: (text) => {
          const statement = db.prepare(text);
          return {
            get: (...values) => {
              const row = statement.get(...values);
              if (++looks === look) migrate(maker, path);
              return row;
            },
            all: (...values) => statement.all(...values),
            run: (...values) => statement.run(...values),
          };
        },
      };
      const seen = [1, 2, 3].map(() => schemaVersion(watched, path));
      // Each of the three asks three times, and first for the version.
      const made = schemaVersion(db, path);
      expect(seen).toEqual([1, 4, 7].map((asked) => (asked > look ? made : 0)));
      db.close();
      maker.close();
    },
  );

  it("is refused if a newer version has changed its schema", async () => {
    const path = newPath();
    await prepare(`sqlite:${path}?driver=${driver}`);
    const db = await openSqlite(path, driver);
    const known = schemaVersion(db, path);
    db.close();
    await sql(path, driver, "PRAGMA store.user_version = 99; PRAGMA store.journal_mode = DELETE");
    await expectRefused(path, `schema 99, and this version knows ${known}; update ductape`);
    await sql(path, driver, `PRAGMA store.user_version = ${known}`);
    await using ductape = new Ductape({ store: `sqlite:${path}?driver=${driver}` });
    expect(await usedOf(ductape)).toBe(3);
  });
});

describe.each(drivers)("a file with damaged pages, on %s", (driver) => {
  it("is a fault of each call that reads them, and is read again once it is restored", async () => {
    const path = newPath();
    const store = `sqlite:${path}?driver=${driver}`;
    await prepare(store);
    copyFileSync(path, `${path}.backup`);
    scribble(path, 4096, readFileSync(path).length - 4096);
    await using ductape = new Ductape({ store, logger: silent });
    expectUnavailable(await faultOf(count(ductape)), path, "damaged; restore it", false);
    expectUnavailable(await faultOf(count(ductape)), path, "damaged; restore it", false);
    renameSync(`${path}.backup`, path);
    expect(await count(ductape)).toMatchObject({ used: 4 });
  });

  it("loses nothing that was acknowledged before the damage was met", async () => {
    const path = newPath();
    const store = `sqlite:${path}?driver=${driver}`;
    await prepare(store);
    await using ductape = new Ductape({ store, logger: silent });
    expect(await usedOf(ductape)).toBe(3);
    const whole = readFileSync(path);
    scribble(path, 8192, whole.length - 8192);
    const other = { ...input, subject: "another" };
    const fault = await faultOf(ductape.processor.quota.run(other));
    expectUnavailable(fault, path, "damaged", false);
    writeFileSync(`${path}.backup`, whole);
    renameSync(`${path}.backup`, path);
    expect(await ductape.processor.quota.run(other)).toMatchObject({ used: 1 });
    expect(await count(ductape)).toMatchObject({ used: 4 });
  });
});

const canMove = process.platform !== "win32";
if (!canMove) console.warn("NOT RUN: files removed while in use, which Windows does not allow");

/** What is done to a file is noticed by a change that comes this much later, in milliseconds. */
const NOTICED_MS = 15;

describe.each(canMove ? drivers : [])("a file in use, on %s", (driver) => {
  it("that is deleted makes the next change fail, and the next call starts again", async () => {
    const path = newPath();
    await using ductape = await clientWith([quota], { store: `sqlite:${path}?driver=${driver}` });
    await count(ductape);
    rmSync(path);
    rmSync(`${path}-wal`);
    rmSync(`${path}-shm`);
    await delay(NOTICED_MS);
    expectUnavailable(await faultOf(count(ductape)), path, "deleted or replaced", true);
    expect(await faultOf(count(ductape))).toMatchObject({ code: "PRODUCT_NOT_FOUND" });
    await ductape.product.create({ tag: "shop" });
    await using other = new Ductape({ store: `sqlite:${path}?driver=${driver}` });
    expect(await other.product.fetchAll()).toMatchObject([{ tag: "shop" }]);
  });

  it("that is deleted is noticed by readers too, and its folder made again", async () => {
    const path = newPath();
    await using ductape = await clientWith([quota], {
      store: `sqlite:${path}?driver=${driver}`,
      logger: silent,
    });
    rmSync(dirname(path), { recursive: true });
    expectUnavailable(await faultOf(ductape.product.fetchAll()), path, "deleted", true);
    expect(await ductape.product.fetchAll()).toEqual([]);
    expect(existsSync(path)).toBe(true);
  });

  it("that is replaced is counted on in the other file, under its definitions", async () => {
    const path = newPath();
    const store = `sqlite:${path}?driver=${driver}`;
    await prepare(store);
    copyFileSync(path, `${path}.backup`);
    await using ductape = new Ductape({ store });
    await ductape.product.quotas.update("shop", "q", { name: "changed later" });
    await count(ductape);
    renameSync(`${path}.backup`, path);
    await delay(NOTICED_MS);
    expectUnavailable(await faultOf(count(ductape)), path, "deleted or replaced", true);
    expect(await count(ductape)).toMatchObject({ used: 4 });
    expect(await ductape.product.quotas.fetch("shop", "q")).toMatchObject({ name: "q" });
  });

  it("that loses its log reports an unknown outcome, and keeps all before it", async () => {
    const path = newPath();
    await using ductape = await clientWith([quota], { store: `sqlite:${path}?driver=${driver}` });
    for (let i = 0; i < 5; i++) await count(ductape);
    rmSync(`${path}-wal`);
    await delay(NOTICED_MS);
    const fault = await faultOf(count(ductape));
    expect(fault).toMatchObject({ code: "OUTCOME_UNKNOWN", retryable: false });
    expect(fault.message).toContain(`${path}-wal was removed`);
    expect([5, 6]).toContain(await usedOf(ductape));
    await using other = new Ductape({ store: `sqlite:${path}?driver=${driver}` });
    expect(await usedOf(other)).toBe(await usedOf(ductape));
  });

  it("whose folder becomes a file counts nothing until the folder is back", async () => {
    const path = newPath();
    const ductape = await clientWith([quota], { store: `sqlite:${path}?driver=${driver}` });
    await count(ductape);
    renameSync(dirname(path), `${dirname(path)}-elsewhere`);
    writeFileSync(dirname(path), "");
    await delay(NOTICED_MS);
    for (let call = 0; call < 3; call++) {
      expect(await faultOf(count(ductape))).toMatchObject({ code: "STORE_UNAVAILABLE" });
    }
    rmSync(dirname(path));
    renameSync(`${dirname(path)}-elsewhere`, dirname(path));
    expect((await count(ductape)).used).toBeLessThanOrEqual(3);
    expect(await count(ductape)).toMatchObject({ allowed: true });
    await ductape.close();
  });

  it("that is deleted and created again by another client leaves it undisturbed", async () => {
    const path = newPath();
    const store = `sqlite:${path}?driver=${driver}`;
    const old = await clientWith([quota], { store });
    await count(old);
    rmSync(dirname(path), { recursive: true });
    await using young = await clientWith([quota], { store });
    await count(young);
    await delay(NOTICED_MS);
    expectUnavailable(await faultOf(count(old)), path, "deleted or replaced", true);
    expect(await count(young)).toMatchObject({ used: 2 });
    expect(await count(old)).toMatchObject({ used: 3 });
    await old.close();
    expect(await count(young)).toMatchObject({ used: 4 });
  });
});

it.runIf(existsSync("/proc/self"))(
  "a folder that can never be made is refused at once",
  async () => {
    await using ductape = new Ductape({
      store: "sqlite:/proc/nowhere/new/store.db",
      logger: silent,
    });
    const fault = await faultOf(count(ductape));
    expectUnavailable(fault, "/proc/nowhere/new/store.db", "mkdir", false);
  },
);
