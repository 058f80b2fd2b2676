import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { freePort } from "../../ductape/test/ports.js";
import { endAll, environment, folder, launch, newStore, ROOT, run } from "./command.js";
import { ask, recordOf } from "./support.js";

afterEach(endAll);
afterAll(folder.remove);

describe("npm start", () => {
  const start = (store: string) =>
    launch(["serve", "--demo"], { DUCTAPE_STORE: store, DUCTAPE_PORT: "0" });

  it("prints a URL, a key and a call which works when it is pasted, five times a day", async () => {
    const store = newStore();
    const codes: unknown[] = [];
    const keys = new Set<string>();
    for (const calls of [4, 2]) {
      const { child, line, text, ended } = start(store);
      const url = (await line("stdout", 0)).replace(/^URL: +/, "");
      const key = (await line("stdout", 1)).replace(/^key: +/, "");
      const call = (await line("stdout", 2)).replace(/^try: +/, "");
      keys.add(key);
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
    // It counts by the real day, so a midnight between two calls starts at zero.
    expect(codes.filter((code) => code === "OK").length).toBeGreaterThanOrEqual(5);
    expect(codes.at(-1)).toMatch(/^(QUOTA_EXCEEDED|OK)$/);
    expect(keys.size, "a restart keeps the key").toBe(1);
    const file = join(folder.path, "demo.key");
    expect(readFileSync(file, "utf8")).toBe(`${[...keys].join()}\n`);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  it("still answers the call that was pasted before a restart", async () => {
    const store = newStore();
    const port = String(await freePort());
    const calls: string[] = [];
    for (let n = 1; n <= 2; n++) {
      const demo = launch(["serve", "--demo", "--store", store, "--port", port]);
      calls.push((await demo.line("stdout", 2)).replace(/^try: +/, ""));
      const { stdout } = await promisify(execFile)("bash", ["-c", calls[0] ?? ""]);
      expect(recordOf(JSON.parse(stdout))["used"], "no midnight between").toBe(n);
      demo.child.kill("SIGINT");
      expect(await demo.ended).toBe(0);
    }
  });

  it("counts on a file that an example has made, in any order and twice", async () => {
    const store = newStore();
    for (let n = 1; n <= 2; n++) {
      const demo = start(store);
      expect(await demo.line("stdout", 2)).toMatch(/^try: /);
      demo.child.kill("SIGINT");
      expect(await demo.ended).toBe(0);
      for (const example of ["quickstart", "plans", "teams"]) {
        const command = ["--import", "tsx", `examples/${example}.ts`];
        const env = environment({ DUCTAPE_STORE: store });
        const { stderr } = await promisify(execFile)(process.execPath, command, { cwd: ROOT, env });
        expect(stderr).toBe("");
      }
    }
  });

  it("says where it keeps its key if it cannot write it", async () => {
    const blocked = join(folder.path, "blocked");
    mkdirSync(join(blocked, "demo.key"), { recursive: true });
    const { code, stderr } = await run(["serve", "--demo", "--store", `sqlite:${blocked}/a.db`]);
    expect(code).toBe(2);
    expect(stderr).toContain("--demo keeps its key in a file: EISDIR");
  });
});
