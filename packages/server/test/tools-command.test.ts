// The commands that look after a product: sessions, the doctor, completion, decisions by flag.
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { EmbeddedDuctape } from "ductape";
import { afterAll, describe, expect, it } from "vitest";
import { nodeFact } from "../src/commands/doctor.js";
import { freePort } from "../../ductape/test/ports.js";
import { hasRedis, startRedis } from "../../ductape/test/redis.js";
import { folder, newStore, run } from "./command.js";
import { ROOT_KEY, startWith } from "./support.js";

afterAll(folder.remove);

const SESSION = {
  tag: "login",
  schema: { userId: "u" },
  selector: "$Session{userId}",
  expiry: 1,
} as const;
const QUOTA = {
  tag: "calls",
  limit: 2,
  period: "lifetime",
  scope: "$Session{userId}",
} as const;

async function withServer() {
  const server = await startWith([QUOTA]);
  await server.ductape.product.sessions.create("shop", SESSION);
  const at = ["--url", server.url, "--env", "prd", "--product_tag", "shop"];
  return { server, at, key: { DUCTAPE_API_KEY: ROOT_KEY } };
}

describe("ductape session", () => {
  it("starts a session whose token decides, and returns its data", async () => {
    const { server, at, key } = await withServer();
    const data = ["--data", '{"userId":"ada"}'];
    const started = await run(["session", "start", "login", ...at, ...data, "--json"], key);
    const { token, session_id, sessionId, refresh_token, expires_at } = JSON.parse(started.stdout);
    expect([session_id, refresh_token, expires_at].map((each) => typeof each)).toEqual(
      Array.from({ length: 3 }, () => "string"),
    );
    expect(sessionId).toBe(session_id);
    const inspect = ["session", "inspect", "login", ...at, "--token", token];
    expect(JSON.parse((await run(inspect, key)).stdout)).toEqual({ userId: "ada" });
    const decide = ["quota", "run", "--action", "increment", ...at, "--quota_tag", "calls"];
    const user = ["--session", "login", "--token", token, "--json"];
    const decided = await run([...decide, ...user], key);
    expect(JSON.parse(decided.stdout)).toMatchObject({ allowed: true, used: 1, subject: "ada" });
    await server.close();
  });

  it("refuses invalid JSON, and an invalid token without showing it", async () => {
    const { server, at, key } = await withServer();
    const start = await run(["session", "start", "login", ...at, "--data", "{userId}"], key);
    expect(start).toMatchObject({ code: 2, stdout: "" });
    expect(start.stderr).toContain(`--data: expects JSON such as '{"userId":"ada"}'`);
    const token = "not-a-token-at-all";
    const inspected = await run(["session", "inspect", "login", ...at, "--token", token], key);
    expect(inspected.code).toBe(1);
    expect(inspected.stderr).not.toContain(token);
    await server.close();
  });
});

describe("ductape doctor", () => {
  it("reports that all is well with a store", async () => {
    const { code, stdout, stderr } = await run(["doctor", "--store", newStore()]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "all is well\n" });
    for (const name of ["CHECK", "node", "store", "schema", "synchronous"]) {
      expect(stdout).toContain(name);
    }
  });

  it("names the counters that a wrong clock moved ahead, until they are reset", async () => {
    const store = newStore();
    const inTenYears = Date.now() + 3_652 * 86_400_000;
    const ahead = new EmbeddedDuctape({ store, clock: () => inTenYears });
    await ahead.product.create({ tag: "shop" });
    await ahead.product.environments.create("shop", { slug: "prd" });
    await ahead.product.quotas.create("shop", { ...QUOTA, tag: "daily", period: "day" });
    const place = { env: "prd", product_tag: "shop", quota_tag: "daily", subject: "ada" };
    await ahead.processor.quota.run({ ...place, action: "increment" });
    await ahead.close();
    const doctor = ["doctor", "--store", store];
    const { code, stdout } = await run(doctor);
    expect(code).toBe(1);
    expect(stdout).toContain('the counter of "ada" (product "shop", env "prd", quota "daily"');
    expect(stdout).toContain("`ductape quota reset`");
    const at = ["--store", store, "--env", "prd", "--product_tag", "shop", "--quota_tag", "daily"];
    const stuck = await run(["quota", "check", ...at, "--subject", "userId=ada", "--json"]);
    expect(stuck.stderr).toContain("a clock was ahead");
    const reset = await run(["quota", "reset", ...at, "--subject", "userId=ada", "--json"]);
    expect(JSON.parse(reset.stdout)).toMatchObject({ previous_used: 1, used: 0 });
    expect(await run(doctor)).toMatchObject({ code: 0, stderr: "all is well\n" });
  });

  it("reports whether a server is ready", async () => {
    const { server, key } = await withServer();
    const { code, stdout } = await run(["doctor", "--url", server.url, "--json"], key);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ fault: null });
    expect(stdout).toContain(server.url);
    await server.close();
    const gone = await run(["doctor", "--url", server.url], key);
    expect(gone.code).toBe(69);
    expect(gone.stdout).toContain("node");
    expect(gone.stderr).toContain(server.url);
  });

  it("reports what is wrong with a store that cannot be opened", async () => {
    const store = "sqlite:/dev/null/a.db";
    const { code, stdout, stderr } = await run(["doctor", "--store", store, "--json"]);
    expect(code).toBe(69);
    const { facts, fault } = JSON.parse(stdout);
    expect(fault).toMatchObject({ code: "STORE_UNAVAILABLE" });
    const advice = "name a file in a folder: a part of its path is a file";
    expect(facts).toContainEqual({ name: "store", value: "STORE_UNAVAILABLE", advice });
    expect(stderr).toContain("/dev/null");
  });

  it("gives the advice that fits the fault of a file, a host and a port", async () => {
    const path = join(folder.path, "text.db");
    writeFileSync(path, "this is no database".repeat(500));
    const free = `127.0.0.1:${await freePort()}`;
    for (const [store, advice] of [
      [`sqlite:${path}`, "name another file: this one is not a database"],
      [`sqlite:${folder.path}`, "name a file in a folder that this user may write to"],
      [`redis://${free}`, "start it, or correct the host and the port of its URL"],
      [`postgres://${free}/shop`, "start it, or correct the host and the port of its URL"],
      ["redes://somewhere", "correct what is named below"],
    ] as const) {
      const { stdout } = await run(["doctor", "--store", store, "--json"]);
      expect(JSON.parse(stdout).facts, store).toContainEqual(expect.objectContaining({ advice }));
    }
  });

  it.runIf(hasRedis("the doctor's advice for Redis"))("advises what Redis refuses", async () => {
    const redis = await startRedis({ requirepass: "secret" });
    for (const [store, advice] of [
      [redis.url, "add the password to its URL: redis://:password@host"],
      [redis.url.replace("//", "//:wrong@"), "correct the user and the password of its URL"],
    ] as const) {
      const { stdout } = await run(["doctor", "--store", store, "--json"]);
      expect(JSON.parse(stdout).facts, store).toContainEqual(expect.objectContaining({ advice }));
    }
    await redis.remove();
  });

  it.each([
    ["20.18.3", "update Node to 20.19 or newer"],
    ["18.20.0", "update Node to 20.19 or newer"],
    ["20.19.0", null],
    ["24.0.0", null],
  ])("says of Node %s: %s", (version, advice) => {
    expect(nodeFact(version)).toEqual({ name: "node", value: version, advice });
  });
});

describe("ductape completion", () => {
  const SHELLS = ["bash", "zsh", "fish"].filter((shell) => {
    try {
      execFileSync(shell, ["-c", "true"]);
      return true;
    } catch {
      console.warn(`SKIPPED: the completion of ${shell}, which is not installed`);
      return false;
    }
  });

  it.each(["bash", "zsh", "fish"])("of %s names every command and flag", async (shell) => {
    const { code, stdout } = await run(["completion", shell]);
    expect(code).toBe(0);
    for (const word of ["quota", "increment", "--idempotency-key", "doctor", "--dry-run"]) {
      expect(stdout).toContain(word);
    }
    if (SHELLS.includes(shell)) execFileSync(shell, ["-n"], { input: stdout });
  });

  describe.runIf(SHELLS.includes("bash"))("in bash", () => {
    it.each([
      [["quota", "inc"], ["increment"]],
      [["usage", "to"], ["top"]],
      [["usage", "top", "--quo"], ["--quota"]],
      [["doc"], ["doctor"]],
      [["nothing", ""], []],
    ])("completes %j", async (words, expected) => {
      const { stdout } = await run(["completion", "bash"]);
      const line = ["ductape", ...words].map((word) => `"${word}"`).join(" ");
      const script = `${stdout}
COMP_WORDS=(${line}); COMP_CWORD=${words.length}; _ductape; echo "\${COMPREPLY[@]}"`;
      const told = execFileSync("bash", ["-c", script], { encoding: "utf8" }).trim();
      expect(told === "" ? [] : told.split(" ")).toEqual(expected);
    });
  });

  it("knows no other shell", async () => {
    expect(await run(["completion", "csh"])).toMatchObject({ code: 2, stdout: "" });
  });
});

it("ductape quota run needs a known action", async () => {
  const where = ["--env", "prd", "--product_tag", "shop", "--quota_tag", "calls"];
  const run1 = await run(["quota", "run", "--store", newStore(), ...where]);
  expect(run1).toMatchObject({ code: 2 });
  const run2 = await run(["quota", "run", "--action", "count", "--store", newStore(), ...where]);
  expect(run2.stderr).toContain("check, increment, decrement, set, reset, grant");
});
