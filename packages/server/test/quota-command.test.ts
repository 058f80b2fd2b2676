// The commands that decide, list and delete: on a store, and through a server, by the same flags.
import { afterAll, describe, expect, it } from "vitest";
import { Ductape } from "ductape";
import { folder, newStore, run } from "./command.js";
import { ROOT_KEY, start } from "./support.js";

afterAll(folder.remove);

const SHOP = ["--product", "shop"];
const AT = ["--env", "prd", ...SHOP, "--quota", "calls"];

/** Defines a quota of five a day, at the place of a client. */
async function define(ductape: Ductape): Promise<void> {
  await ductape.product.create({ tag: "shop", name: "Shop" });
  await ductape.product.environments.create("shop", { slug: "prd" });
  const costs = { tag: "costs", limit: 1, period: "day", decimals: 12 } as const;
  await ductape.product.quotas.create("shop", costs);
  const rule = { limit: 5, period: "day", scope: "$Session{userId}" } as const;
  await ductape.product.quotas.create("shop", { tag: "calls", ...rule });
}

async function onStore() {
  const store = newStore();
  await using ductape = new Ductape({ store });
  await define(ductape);
  return { flags: ["--store", store], more: {}, end: () => Promise.resolve() };
}

async function onServer() {
  const server = await start();
  const { url } = server;
  await using ductape = new Ductape({ url, apiKey: ROOT_KEY });
  await define(ductape);
  const more = { DUCTAPE_URL: url, DUCTAPE_API_KEY: ROOT_KEY };
  return { flags: [], more, end: () => server.close() };
}

describe.each([
  ["a store", onStore],
  ["a server", onServer],
])("commands on %s", (_, place) => {
  it("decide, and exit with 3 if denied", async () => {
    const { flags, more, end } = await place();
    const who = ["--subject", "userId=u1", ...flags];
    const first = await run(["quota", "increment", ...AT, "--amount", "4", ...who], more);
    expect(first).toMatchObject({ code: 0, stderr: "admitted 4 for u1: 4 of 5 used\n" });
    expect(first.stdout).toMatch(/^RULE +USED +LIMIT +REMAINING +RESETS AT\n\S+ +4 +5 +1 +2\d{3}-/);
    const denied = await run(
      ["quota", "increment", ...AT, "--amount", "2", ...who, "--json"],
      more,
    );
    expect(denied).toMatchObject({ code: 3, stderr: "" });
    expect(JSON.parse(denied.stdout)).toMatchObject({ allowed: false, used: 4, remaining: 1 });
    const other = ["quota", "reset", ...AT, "--amount", "3", "--subject", "userId=u2", ...flags];
    expect(await run(other, more)).toMatchObject({ code: 0 });
    const top = await run(["usage", "top", ...AT, ...flags], more);
    expect(top.stdout.split("\n")[1]).toMatch(/^u1 +4 +5 +1 +/);
    const history = await run(["usage", "history", ...AT, "--subject", "u1", ...flags], more);
    const [heads, ...windows] = history.stdout.trimEnd().split("\n");
    expect(heads).toMatch(/^WINDOW STARTS +ENDS +USED +LIMIT +REMAINING$/);
    expect(windows).toEqual([expect.stringMatching(/^2\S+Z +2\S+Z +4 +5 +1$/)]);
    expect(history.stderr).toContain('rule "default" keeps no ended windows');
    const unknown = await run(["usage", "history", ...AT, "--subject", "u3", ...flags], more);
    expect(unknown).toMatchObject({ code: 4, stdout: "" });
    expect(unknown.stderr).toContain("there is no counter for u3: nothing was ever counted");
    const wrong = ["usage", "history", ...AT, "--subject", "user=u1", ...flags];
    expect((await run(wrong, more)).stderr).toContain("expects userId, got user");
    await end();
  });

  it("print every digit of an amount", async () => {
    const { flags, more, end } = await place();
    const at = ["--env", "prd", ...SHOP, "--quota_tag", "costs", ...flags];
    const { stdout, stderr } = await run(["quota", "increment", ...at, "--amount", "1.5e-7"], more);
    expect(stderr).toContain("admitted 0.00000015 for the whole product: 0.00000015 of 1 used");
    expect(stdout).toMatch(/\n\S+ +0\.00000015 +1 +0\.99999985 +2\d{3}-/);
    const json = await run(["quota", "check", ...at, "--amount", "0.000000000001", "--json"], more);
    expect(JSON.parse(json.stdout)).toMatchObject({ amount: 1e-12, used: 1.5e-7 });
    const back = await run(["quota", "decrement", ...at, "--amount", "1"], more);
    expect(back.stderr).toContain("took 0.00000015 of 1 from the whole product: 0 of 1 used");
    await end();
  });

  it("list, print and delete definitions", async () => {
    const { flags, more, end } = await place();
    const list = await run(["quota", "ls", ...SHOP, ...flags], more);
    const [heads, row] = list.stdout.split("\n");
    expect(heads).toMatch(/^TAG +RULE +LIMIT +PERIOD +SCOPE +REVISION +UPDATED$/);
    expect(row).toMatch(/^calls +default +5 +day +\$Session\{userId\} +1 +2\d{3}-/);
    const got = await run(["env", "get", "prd", ...SHOP, ...flags], more);
    expect(JSON.parse(got.stdout)).toMatchObject({ slug: "prd", revision: 1 });
    const who = ["--subject", "u1", "u2"].slice(0, 2);
    await run(["quota", "increment", ...AT, ...who, ...flags], more);
    const remove = ["quota", "delete", "calls", ...SHOP, ...flags];
    const asked = await run(remove, more);
    expect(asked).toMatchObject({ code: 2, stdout: "" });
    expect(asked.stderr).toContain(
      "--yes: is required to delete quota calls with its 1 counter, 1 of them in use",
    );
    const gone = await run([...remove, "--yes"], more);
    expect(gone).toMatchObject({ code: 0, stderr: "deleted quota calls and 1 counter\n" });
    const again = await run(["quota", "get", "calls", ...SHOP, ...flags], more);
    expect(again.code).toBe(4);
    expect(again.stderr).toContain("calls");
    await end();
  });
});

describe("what is wrong with flags", () => {
  it.each([
    [["--amount", "many"], '--amount: expects a number, got "many"'],
    [["--session", "user"], "--session: needs --token as well"],
    [
      ["--subject", "u1", "plan=free"],
      '--subject: expects name=value for each of several, got "u1"',
    ],
    [["--subject", "a=1", "a=2"], "--subject: names a twice"],
    [["--subject", "a.b=1", "a=2"], "--subject: names a twice"],
    [["--subject", "{a"], '--subject: expects JSON, because it begins with { or a quote, got "{a"'],
  ])("is said by name: %j", async (flags, message) => {
    const { code, stderr } = await run(["quota", "check", ...AT, "--store", "memory:", ...flags]);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });

  it("is said of two places for one command", async () => {
    const places = ["--store", "memory:", "--url", "http://127.0.0.1:4141"];
    const { code, stderr } = await run(["product", "ls", ...places]);
    expect(code).toBe(2);
    expect(stderr).toContain("--url");
  });

  it("is said of a server that is not there, with 69", async () => {
    const server = await start();
    await server.close();
    const { code, stderr } = await run(["product", "ls", "--url", server.url]);
    expect(code).toBe(69);
    expect(stderr).toContain("cannot be reached (ECONNREFUSED)");
  });
});
