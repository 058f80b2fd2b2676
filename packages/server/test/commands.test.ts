import { execFile, spawn, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { environment, folder, newStore, ROOT, run } from "./command.js";
import { ask, recordOf } from "./support.js";
import { until } from "../../ductape/test/support.js";

const children = new Set<ChildProcess>();
afterEach(() => {
  for (const child of children) child.kill("SIGKILL");
  children.clear();
});
afterAll(folder.remove);

const words = (line: string): string[] => line.split(" ");

/** Starts the program; `line` waits for the nth line of a stream. */
function launch(args: readonly string[], more: Readonly<Record<string, string>> = {}) {
  const command = ["--import", "tsx", join(ROOT, "packages/server/src/main.ts"), ...args];
  const child = spawn(process.execPath, command, { cwd: ROOT, env: environment(more) });
  children.add(child);
  const text = { stdout: "", stderr: "" };
  const told: (() => void)[] = [];
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (piece: string) => {
      text[name] += piece;
      for (const look of told.splice(0)) look();
    });
  }
  const line = async (name: "stdout" | "stderr", n: number): Promise<string> => {
    for (;;) {
      const lines = text[name].split("\n");
      if (lines.length > n + 1) return lines[n] ?? "";
      await new Promise<void>((resolve) => told.push(resolve));
    }
  };
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  return { child, text, line, ended };
}

describe("npm start", () => {
  const start = (store: string) =>
    launch(["serve", "--demo"], { DUCTAPE_STORE: store, DUCTAPE_PORT: "0" });

  it("prints a URL, a key and a call which works when it is pasted, five times a day", async () => {
    const store = newStore();
    const codes: unknown[] = [];
    for (const calls of [4, 2]) {
      const { child, line, text, ended } = start(store);
      const [url, key, call] = [
        await line("stdout", 0),
        await line("stdout", 1),
        await line("stdout", 2),
      ];
      expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
      expect(key).toMatch(/^dk_demo_/);
      expect((await ask(url, "/v1/products", { key })).status).toBe(200);
      for (let i = 0; i < calls; i++) {
        const { stdout } = await promisify(execFile)("bash", ["-c", call]);
        codes.push(recordOf(JSON.parse(stdout))["code"]);
      }
      child.kill("SIGINT");
      expect(await ended).toBe(0);
      expect(text.stdout.trimEnd().split("\n")).toHaveLength(3);
      expect(text.stderr).toBe("");
    }
    // It counts by the real day: a midnight between two calls begins anew.
    expect(codes.filter((code) => code === "OK").length).toBeGreaterThanOrEqual(5);
    expect(codes.at(-1)).toMatch(/^(QUOTA_EXCEEDED|OK)$/);
  });
});

describe("ductape serve", () => {
  it("tells the first key once, and stops by SIGTERM with what was accepted", async () => {
    const store = newStore();
    const args = [
      "serve",
      "--store",
      store,
      "--port",
      "0",
      "--access-log",
      join(folder.path, "a.log"),
    ];
    const first = launch(args);
    const url = (await first.line("stderr", 0)).replace("listening on ", "");
    const key = (await first.line("stderr", 1)).replace(/.*: /, "");
    expect(key).toMatch(/^dk_root_/);
    expect((await ask(url, "/v1/products", { key, body: { tag: "p" } })).status).toBe(201);
    first.child.kill("SIGTERM");
    expect(await first.ended).toBe(0);
    const line = recordOf(JSON.parse(first.text.stdout));
    expect(line).toMatchObject({ log: "audit", event: "products.create", actor: { id: "root" } });
    const second = launch(args);
    await second.line("stderr", 0);
    second.child.kill("SIGTERM");
    expect(await second.ended).toBe(0);
    expect(second.text.stderr).not.toContain("dk_");
  });

  it.each([
    [["serve", "--port", "x"], 2, "wants an integer from 0 to 65535"],
    [["serve", "--prot", "1"], 2, "unknown option '--prot'"],
    [["srve"], 2, "unknown command 'srve'"],
    [
      ["serve", "--no-auth", "--host", "0.0.0.0"],
      2,
      "without keys wants an address of this machine",
    ],
    [["serve", "--store", "redes://user:secret@x"], 2, "store"],
    [["key", "create"], 2, "required option"],
  ])("%j ends with %i and says why", async (args, code, message) => {
    const ended = await run(args);
    expect([ended.code, ended.stdout]).toEqual([code, ""]);
    expect(ended.stderr).toContain(message);
    expect(ended.stderr).not.toMatch(/secret|\n\s+at /);
  });

  it("refuses a root key that could be guessed, and does not tell it", async () => {
    const { code, stderr } = await run(["serve", "--port", "0"], { DUCTAPE_ROOT_KEY: "hunter2" });
    expect(code).toBe(2);
    expect(stderr).toContain("DUCTAPE_ROOT_KEY: wants dk_");
    expect(stderr).not.toContain("hunter2");
  });
});

describe("ductape key", () => {
  it("makes, lists and revokes a key of a store, also under a server that is on", async () => {
    const store = newStore();
    const server = launch(["serve", "--store", store, "--port", "0", "--audit-log", "off"]);
    const url = (await server.line("stderr", 0)).replace("listening on ", "");
    await server.line("stderr", 1);
    const made = await run([
      ...words(`key create --store ${store} --name shop --scope catalogue:read quota:check`),
      ...words("--product * --env prd dev"),
    ]);
    const key = made.stdout.trimEnd();
    expect(key).toMatch(/^dk_[a-z0-9]{10}_[0-9A-Za-z]{33}$/);
    expect((await ask(url, "/v1/products", { key })).status).toBe(200);
    const listed = await run(["key", "ls", "--store", store]);
    const [heads, ...rows] = listed.stdout.trimEnd().split("\n");
    expect(heads).toMatch(/^ID +NAME +SCOPES +PRODUCTS +ENVIRONMENTS +CREATED$/);
    expect(rows.join("\n")).toMatch(/ shop +catalogue:read,quota:check +\* +prd,dev +20/);
    const json = recordOf(
      JSON.parse((await run(["key", "ls", "--json", "--store", store])).stdout),
    );
    expect(json["keys"]).toHaveLength(2);
    const id = key.split("_")[1] ?? "";
    expect((await run(["key", "revoke", id, "--store", store])).stderr).toBe(`revoked ${id}\n`);
    expect((await run(["key", "revoke", id, "--store", store])).code).toBe(4);
    await until(async () => (await ask(url, "/v1/products", { key })).status === 401);
    const wrong = ["key", "create", "--scope", "quota:incremnt", "--product", "*", "--env", "*"];
    const refused = await run([...wrong, "--store", store]);
    expect([refused.code, refused.stdout]).toEqual([2, ""]);
    expect(refused.stderr).toContain("did you mean quota:increment?");
    const forgetful = await run(["key", "ls", "--store", "memory:"]);
    expect(forgetful.stderr).toContain("--store: wants a store that outlives this command");
  });
});
