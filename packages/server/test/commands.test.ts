import { join } from "node:path";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { endAll, folder, launch, newStore, run } from "./command.js";
import { ask, recordOf } from "./support.js";
import { until } from "../../ductape/test/support.js";

afterEach(endAll);
afterAll(folder.remove);

const words = (line: string): string[] => line.split(" ");

describe("ductape serve", () => {
  it("prints the first key once, and finishes accepted calls on SIGTERM", async () => {
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
    [["serve", "--port", "x"], 2, "expects an integer from 0 to 65535"],
    [["serve", "--prot", "1"], 2, "unknown option '--prot'"],
    [["srve"], 2, "unknown command 'srve'"],
    [
      ["serve", "--no-auth", "--host", "0.0.0.0"],
      2,
      "without keys it must be an address of this machine",
    ],
    [["serve", "--store", "redes://user:secret@x"], 69, "store"],
    [
      ["key", "create", "--scop", "quota:check"],
      2,
      "ductape key create needs --scope <scope...>, --product <tag...>, --env <slug...>\n" +
        "ductape: --scop is not a known flag; did you mean --scope?\n\nUsage: ductape key create",
    ],
    [["quota", "get"], 2, "ductape quota get needs <tag>, --product <tag>\n"],
  ])("%j ends with %i and says why", async (args, code, message) => {
    const ended = await run(args);
    expect([ended.code, ended.stdout]).toEqual([code, ""]);
    expect(ended.stderr).toContain(message);
    expect(ended.stderr).not.toMatch(/secret|\n\s+at /);
  });

  it("refuses a root key that could be guessed, and does not show it", async () => {
    const { code, stderr } = await run(["serve", "--port", "0"], { DUCTAPE_ROOT_KEY: "hunter2" });
    expect(code).toBe(2);
    expect(stderr).toContain("DUCTAPE_ROOT_KEY: expects dk_");
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
    const asked = await run(["key", "revoke", id, "--store", store]);
    expect(asked.code).toBe(2);
    expect(asked.stderr).toContain(`--yes: is required to revoke key ${id} of shop, which may `);
    const revoked = await run(["key", "revoke", id, "--yes", "--store", store]);
    expect(revoked.stderr).toBe(`revoked ${id}\n`);
    expect((await run(["key", "revoke", id, "--store", store])).code).toBe(4);
    await until(async () => (await ask(url, "/v1/products", { key })).status === 401);
    const wrong = ["key", "create", "--scope", "quota:incremnt", "--product", "*", "--env", "*"];
    const refused = await run([...wrong, "--store", store]);
    expect([refused.code, refused.stdout]).toEqual([2, ""]);
    expect(refused.stderr).toContain("did you mean quota:increment?");
    const forgetful = await run(["key", "ls", "--store", "memory:"]);
    expect(forgetful.stderr).toContain("--store: expects a store that outlives this command");
  });
});
