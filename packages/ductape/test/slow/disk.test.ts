import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { Ductape } from "ductape";
import { openSqlite } from "../../src/stores/sqlite/driver.js";
import { clientWith, faultOf, inputOf, temporaryFolder, usableDrivers } from "../support.js";

const folder = temporaryFolder();
afterAll(folder.remove);

const ASKED = fileURLToPath(new URL("asked.ts", import.meta.url));
const quota = { tag: "q", limit: null, period: "lifetime", scope: "$Session{userId}" } as const;
const input = inputOf({ subject: "one" });
const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;
const asNobody = ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"];

const works = (command: readonly string[]): boolean =>
  spawnSync(command[0] ?? "", command.slice(1)).status === 0;

/** Modes stop nobody but root, who must step down, if what it left can still read these files. */
const canStepDown = !isRoot || works([...asNobody, "test", "-r", ASKED]);
const canLimit = works(["prlimit", "--fsize=1000000", "true"]);
const mountPoint = join(folder.path, "mount");
mkdirSync(mountPoint);
const canMount = process.platform === "linux" && isRoot && mounted("size=64k", () => true) === true;
if (!canStepDown) console.warn("NOT RUN: read-only files, as no other user can read these tests");
if (!canLimit) console.warn("NOT RUN: files at their largest size, as there is no prlimit");
if (!canMount) console.warn("NOT RUN: full and read-only disks, as this user cannot mount one");

const drivers = await usableDrivers("the faults of disks");

/** Runs `work` with a file system of its own at `mountPoint`. Null where it cannot be mounted. */
function mounted<T>(options: string, work: () => T): T | null {
  if (!works(["mount", "-t", "tmpfs", "-o", options, "tmpfs", mountPoint])) return null;
  const end = (): void => void works(["umount", "-l", mountPoint]);
  let result: T;
  try {
    result = work();
  } catch (error) {
    end();
    throw error;
  }
  if (result instanceof Promise) result.then(end, end);
  else end();
  return result;
}

/** A process with a client that is asked one action after the other. */
class Asked {
  readonly child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  errors = "";

  constructor(store: string, before: readonly string[]) {
    const command = [...before, process.execPath, "--import", "tsx", ASKED, store];
    const root = fileURLToPath(new URL("../../../../", import.meta.url));
    const child = spawn(command[0] ?? "", command.slice(1), { cwd: root, stdio: "pipe" });
    child.stderr.on("data", (data: Buffer) => (this.errors += data.toString()));
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    this.child = child;
  }

  async ask(action: "check" | "increment"): Promise<Record<string, unknown>> {
    this.child.stdin?.write(`${action}\n`);
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error(`the process ended: ${this.errors}`);
    const told: Record<string, unknown> = JSON.parse(value);
    return told;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.child.once("close", resolve));
    this.child.stdin?.end();
    await ended;
  }
}

async function prepare(store: string): Promise<void> {
  await using ductape = await clientWith([quota], { store });
  await ductape.processor.quota.run(input);
}

function setModes(path: string, file: number, folderMode: number): void {
  for (const name of readdirSync(dirname(path))) chmodSync(join(dirname(path), name), file);
  chmodSync(dirname(path), folderMode);
}

describe.each(canStepDown ? drivers : [])("what may not be written, on %s", (driver) => {
  const before = isRoot ? asNobody : [];
  const give = (path: string): void => {
    if (!isRoot) return;
    for (const each of [folder.path, dirname(path)]) chmodSync(each, 0o755);
    chownSync(dirname(path), NOBODY, NOBODY);
    for (const name of readdirSync(dirname(path))) {
      chownSync(join(dirname(path), name), NOBODY, NOBODY);
    }
  };

  it("a read-only file is read, refuses to count, and counts once it may be written", async () => {
    const path = join(folder.path, `file-${driver.replace(/\W/g, "-")}`, "store.db");
    await prepare(`sqlite:${path}?driver=${driver}`);
    give(path);
    chmodSync(path, 0o444);
    await using asked = new Asked(`sqlite:${path}?driver=${driver}`, before);
    expect(await asked.ask("check")).toEqual({ allowed: true, used: 1 });
    for (let i = 0; i < 2; i++) {
      const fault = await asked.ask("increment");
      expect(fault).toMatchObject({ code: "STORE_UNAVAILABLE", retryable: false });
      expect(fault["message"]).toBe(
        `the store ${path}: it is read-only; make the file, those beside it named ` +
          "-wal and -shm, and their folder writable for this user",
      );
      expect(await asked.ask("check")).toEqual({ allowed: true, used: 1 });
    }
    setModes(path, 0o644, 0o755);
    // The connection that answered the last check can only read; its fault lets it go.
    expect(await asked.ask("increment")).toMatchObject({ code: "STORE_UNAVAILABLE" });
    expect(await asked.ask("increment")).toEqual({ allowed: true, used: 2 });
  });

  it("a read-only folder is reported, and opened once it is writable", async () => {
    const path = join(folder.path, `folder-${driver.replace(/\W/g, "-")}`, "store.db");
    await prepare(`sqlite:${path}?driver=${driver}`);
    give(path);
    setModes(path, 0o444, 0o555);
    await using asked = new Asked(`sqlite:${path}?driver=${driver}`, before);
    for (const action of ["increment", "check"] as const) {
      const fault = await asked.ask(action);
      expect(fault).toMatchObject({ code: "STORE_UNAVAILABLE", retryable: false });
      expect(fault["message"]).toContain(path);
      expect(fault["message"]).toMatch(/folder.*(read-only|may write to)/);
    }
    setModes(path, 0o644, 0o755);
    expect(await asked.ask("increment")).toEqual({ allowed: true, used: 2 });
  });

  it("a folder that cannot be created is reported, and created once it can be", async () => {
    const parent = join(folder.path, `parent-${driver.replace(/\W/g, "-")}`);
    const path = join(parent, "new", "store.db");
    mkdirSync(parent);
    give(join(parent, "store.db"));
    chmodSync(parent, 0o555);
    await using asked = new Asked(`sqlite:${path}?driver=${driver}`, before);
    const fault = await asked.ask("increment");
    expect(fault).toMatchObject({ code: "STORE_UNAVAILABLE", retryable: false });
    expect(fault["message"]).toContain("permission denied, mkdir");
    chmodSync(parent, 0o755);
    expect(await asked.ask("increment")).toMatchObject({ code: "PRODUCT_NOT_FOUND" });
  });
});

describe.each(canLimit ? drivers : [])("a file at its largest size, on %s", (driver) => {
  it("stops acknowledgements, loses none, and grows again once it may", async () => {
    const path = join(folder.path, `limit-${driver.replace(/\W/g, "-")}`, "store.db");
    const store = `sqlite:${path}?driver=${driver}`;
    await prepare(store);
    let told = 1;
    {
      await using asked = new Asked(store, ["prlimit", "--fsize=150000:unlimited"]);
      const faults: Record<string, unknown>[] = [];
      for (let i = 0; i < 60; i++) {
        const answer = await asked.ask("increment");
        if (answer["allowed"] === true) expect(answer["used"]).toBe(++told);
        else faults.push(answer);
      }
      expect(told).toBeGreaterThan(5);
      expect(faults.length).toBeGreaterThan(5);
      for (const { code, message } of faults) {
        expect(["OUTCOME_UNKNOWN", "STORE_UNAVAILABLE"]).toContain(code);
        expect(message).toContain(path);
      }
      expect(await asked.ask("check")).toEqual({ allowed: true, used: told });
      const pid = String(asked.child.pid);
      expect(works(["prlimit", "--pid", pid, "--fsize=unlimited:unlimited"])).toBe(true);
      for (let i = 0; i < 60; i++) {
        expect(await asked.ask("increment")).toEqual({ allowed: true, used: ++told });
      }
    }
    await using ductape = new Ductape({ store });
    const check = { ...input, action: "check" } as const;
    expect(await ductape.processor.quota.run(check)).toMatchObject({ used: told });
  });
});

/** Fills the file system at `mountPoint` to its last byte; returns how to free it again. */
function fill(): () => void {
  const ballast = join(mountPoint, "ballast");
  for (let size = 1 << 16; size > 0; size >>= 1) {
    try {
      for (;;) writeFileSync(ballast, Buffer.alloc(size), { flag: "a" });
    } catch {
      // Smaller pieces still fit.
    }
  }
  return () => rmSync(ballast);
}

describe.each(canMount ? drivers : [])("a full disk, on %s", (driver) => {
  const path = join(mountPoint, "data", "store.db");
  const store = `sqlite:${path}?driver=${driver}`;
  const isFull = { code: "STORE_UNAVAILABLE", retryable: true };

  it("refuses to count, is read, and counts again once there is space, nothing lost", async () => {
    await mounted("size=2m", async () => {
      await using ductape = await clientWith([quota], { store });
      const { run } = ductape.processor.quota;
      const count = () => run.call(ductape.processor.quota, input);
      let told = 0;
      for (let round = 0; round < 3; round++) {
        for (let i = 0; i < 10; i++) expect(await count()).toMatchObject({ used: ++told });
        const free = fill();
        for (let i = 0; i < 5; i++) {
          const fault = await faultOf(count());
          expect(fault).toMatchObject(isFull);
          expect(fault.message).toBe(`the store ${path}: the disk is full; free some space`);
        }
        const define = ductape.product.quotas.create("shop", { ...quota, tag: `q${round}` });
        expect(await faultOf(define)).toMatchObject(isFull);
        const check = await ductape.processor.quota.run({ ...input, action: "check" });
        expect(check).toMatchObject({ used: told });
        free();
      }
      expect(await count()).toMatchObject({ used: ++told });
      const later = new Ductape({ store });
      const check = await later.processor.quota.run({ ...input, action: "check" });
      expect(check).toMatchObject({ used: told });
      expect(await later.product.quotas.fetchAll("shop")).toHaveLength(1);
      await later.close();
      const db = await openSqlite(path, driver);
      expect(db.prepare("PRAGMA integrity_check").get()).toEqual({ integrity_check: "ok" });
      db.close();
    });
  });

  it("cannot begin a file, and can once there is space", async () => {
    await mounted("size=256k", async () => {
      const free = fill();
      await using ductape = new Ductape({ store });
      for (let i = 0; i < 3; i++) {
        expect(await faultOf(ductape.product.create({ tag: "shop" }))).toMatchObject(isFull);
      }
      free();
      expect(await ductape.product.create({ tag: "shop" })).toMatchObject({ tag: "shop" });
    });
  });

  it("that is read-only is reported, and written once it is writable", async () => {
    await mounted("size=2m", async () => {
      await prepare(store);
      expect(works(["mount", "-o", "remount,ro", mountPoint])).toBe(true);
      await using ductape = new Ductape({ store });
      const fault = await faultOf(ductape.processor.quota.run(input));
      expect(fault).toMatchObject({ code: "STORE_UNAVAILABLE", retryable: false });
      expect(fault.message).toContain(path);
      expect(works(["mount", "-o", "remount,rw", mountPoint])).toBe(true);
      expect(await ductape.processor.quota.run(input)).toMatchObject({ used: 2 });
    });
  });
});
