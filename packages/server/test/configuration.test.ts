// Definitions as a file: reading, applying, exporting.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { Ductape, ValidationError, type SubjectUsage } from "ductape";
import { exportConfiguration } from "../src/configuration/export.js";
import { readConfiguration } from "../src/configuration/file.js";
import { changedLimits, isOver, type ChangedLimit } from "../src/configuration/lowered.js";
import { folder, newStore, run } from "./command.js";
import { ROOT_KEY, startWith } from "./support.js";

afterAll(folder.remove);

const FILE = `# What shop sells
products:
  - tag: shop
    environments:
      - slug: prd
      - { slug: dev, active: false }
    quotas:
      - tag: calls
        limit: 10
        period: month
        scope: $Session{userId}
      - tag: tokens
        decimals: 2
        rules:
          - { name: burst, limit: 3.5, period: { every: 5, unit: minute }, window: rolling }
          - name: plan
            limit: { by: "$Session{plan}", values: { free: 100, "a.b": null }, default: 10 }
            period: day
            time_zone: Europe/Paris
            alerts: [0.5, 1]
            on_exceed: allow
          - { name: jobs, limit: 2, window: concurrent }
    sessions:
      - tag: login
        schema: { userId: u, plan: free }
        selector: $Session{userId}
        expiry: 7
    caches:
      - { tag: fast, expiry: 1000 }
    features:
      - tag: summarise
        input:
          pages: { type: integer, min: 1 }
          style: { type: string, default: plain }
          hint: { type: json, required: false }
        quotas:
          - { quota: calls }
          - { quota: tokens, amount: "$Input{pages} * 8", settle: "$Result{n}", allow_fail: true }
        sequence:
          - tag: first
            events:
              - { type: feature, event: extract, input: { n: "$Input{pages}", amount: 1 } }
        output: { text: "$Result{text}", none: null, amount: 1 }
        handler: { url: "https://example.com/run" }
      - { tag: extract, ttl_ms: 5000 }
`;

let files = 0;
function fileOf(text: string): string {
  const path = join(folder.path, `${files++}.yaml`);
  writeFileSync(path, text);
  return path;
}

const filled = (store: string, text = FILE) => run(["apply", "--store", store, "-f", fileOf(text)]);

describe("a file of definitions", () => {
  it.each([
    ["products:\n  - tag: [a\n", "f.yaml:3:1"],
    ["products:\n\t- tag: a\n", "f.yaml:2:1"],
    ["a: 1\na: 2\n", "f.yaml:2:1"],
    ["a: 1\n---\nb: 2\n", "f.yaml:2:1"],
    ["a: *none\n", "f.yaml"],
    ['{"products": [}', "f.yaml:1:15"],
  ])("that is no YAML is refused at its place: %j", (text, place) => {
    const fault = faultOf(() => readConfiguration(text, "f.yaml"));
    expect(fault.issues[0]?.path).toBe(place);
  });

  it("does not grow by its aliases", () => {
    const names = "bcdefghi".split("");
    const text = ["a: &a [x, x, x, x, x, x, x, x, x]"];
    for (const name of names) {
      const before = String.fromCharCode(name.charCodeAt(0) - 1);
      text.push(`${name}: &${name} [${Array.from({ length: 9 }, () => `*${before}`).join(", ")}]`);
    }
    expect(faultOf(() => readConfiguration(text.join("\n"), "f")).message).toContain("alias");
  });

  it.each([
    ["products[0].tag", "3:5"],
    ["products[0].quotas[1].rules[1].limit.values.free", "17:54"],
    ['products[0].quotas[1].rules[1].limit.values."a.b"', "17:65"],
    ["products[0].quotas[0].name", "8:9"],
    ["products[0].caches[0].expiry", "29:22"],
    ["products[7]", "2:1"],
    ["configuration", "2:1"],
  ])("tells where %s is", (path, place) => {
    const issue = readConfiguration(FILE, "f").at({ path, message: "is wrong" });
    expect(issue).toEqual({ path: `f:${place}`, message: `${path}: is wrong` });
  });
});

describe("a limit that falls", () => {
  const usage = (used: number, limit: number | null): SubjectUsage => ({
    subject: "u",
    used,
    held: 0,
    limit,
    remaining: null,
    window: { start: "", end: null },
    last_seen: "",
  });
  const plans = (free: number | null, pro: number | null, other: number | null) => ({
    by: "$Session{plan}",
    values: { free, pro },
    default: other,
  });
  const of = (from: ChangedLimit["from"], to: ChangedLimit["to"]) => ({ rule: "r", from, to });

  it.each([
    ["a number", usage(6, 10), of(10, 5), true],
    ["one that is just reached", usage(5, 10), of(10, 5), false],
    ["with what was granted", usage(9, 15), of(10, 5), false],
    ["beyond what was granted", usage(11, 15), of(10, 5), true],
    ["of none", usage(6, null), of(null, 5), true],
    ["to none", usage(6, 5), of(5, null), false],
    ["of its plan", usage(6, 10), of(plans(10, 20, 1), plans(5, 20, 1)), true],
    ["of another plan", usage(6, 20), of(plans(10, 20, 1), plans(5, 20, 1)), false],
    [
      "of one of two plans that it may have",
      usage(6, 10),
      of(plans(10, 10, 1), plans(5, 10, 1)),
      true,
    ],
    ["of two plans alike", usage(6, 10), of(plans(10, 10, 1), plans(5, 4, 1)), true],
    [
      "of two plans, of which none is passed",
      usage(5, 10),
      of(plans(10, 10, 1), plans(5, 6, 1)),
      false,
    ],
    ["of a plan without a limit", usage(6, null), of(plans(10, null, 1), plans(10, 5, 1)), true],
  ])("%s", (_, subject, changed, over) => {
    expect(isOver(subject, changed)).toBe(over);
  });

  it("is read only from the change of a quota", () => {
    const change = {
      kind: "quota",
      product_tag: "shop",
      id: "q",
      action: "update",
      fields: [
        { field: "rules[a.b].limit", from: 5, to: 4 },
        { field: "rules[new].limit", from: undefined, to: 4 },
        { field: "name", from: "a", to: "b" },
      ],
    } as const;
    expect(changedLimits(change)).toEqual([{ rule: "a.b", from: 5, to: 4 }]);
    expect(changedLimits({ ...change, kind: "cache" })).toEqual([]);
  });
});

function faultOf(work: () => unknown): ValidationError {
  try {
    work();
  } catch (error) {
    if (error instanceof ValidationError) return error;
    throw error;
  }
  throw new Error("it should have failed");
}

describe("ductape export", () => {
  it("prints a file for apply, for the same store and for another", async () => {
    await using one = new Ductape({ store: "memory:" });
    await using two = new Ductape({ store: "memory:" });
    const file = FILE.replace(
      "decimals: 2",
      "decimals: 2\n        rounding: nearest\n        unit: kilotokens",
    );
    await one.product.apply(readConfiguration(file, "f").configuration);
    const text = JSON.stringify(await exportConfiguration(one, []));
    expect(text).toContain('"decimals":2,"rounding":"nearest"');
    const { configuration } = readConfiguration(text, "f");
    expect((await one.product.apply(configuration)).applied).toBe(false);
    await two.product.apply(configuration);
    expect(JSON.stringify(await exportConfiguration(two, ["shop"]))).toBe(text);
    const views = [one, two].map(async ({ product }) =>
      (await product.quotas.fetchAll("shop")).map(({ rules, decimals, rounding, unit }) => ({
        rules,
        decimals,
        rounding,
        unit,
      })),
    );
    const [first, second] = await Promise.all(views);
    expect(first).toEqual(second);
  });

  it("prints YAML, and JSON on request", async () => {
    const store = newStore();
    await filled(store);
    const { stdout } = await run(["export", "--store", store]);
    expect(stdout).toMatch(/^products:\n {2}- tag: shop\n/);
    expect(await filled(store, stdout)).toMatchObject({ code: 0, stderr: "nothing to do\n" });
    const json = await run(["export", "--store", store, "--json", "--product_tag", "shop"]);
    expect(JSON.parse(json.stdout)).toEqual(readConfiguration(stdout, "f").configuration);
    expect(await run(["export", "--store", store, "--product_tag", "no"])).toMatchObject({
      code: 4,
      stdout: "",
    });
  });
});

describe("ductape apply", () => {
  it("shows what differs, and changes all of it", async () => {
    const store = newStore();
    const dry = await run(["apply", "--store", store, "-f", fileOf(FILE), "--dry-run"]);
    const told = { code: 0, stdout: dry.stdout };
    expect(dry.stderr).toBe("would apply: 9 new, 0 changed, 0 as they were\n");
    expect(dry.stdout.split("\n").slice(0, 3)).toEqual([
      "+ product shop",
      "+ environment shop/prd",
      "+ environment shop/dev",
    ]);
    expect(await filled(store)).toMatchObject({
      ...told,
      stderr: "applied: 9 new, 0 changed, 0 as they were\n",
    });
    const changed = await filled(store, FILE.replace("limit: 3.5", "limit: 4"));
    expect(changed.stdout).toBe("~ quota shop/tokens\n    rules[burst].limit: 3.5 -> 4\n");
  });

  it("names line and column of each wrong field, and changes nothing", async () => {
    const store = newStore();
    await filled(store);
    const before = await run(["export", "--store", store]);
    const path = fileOf(FILE.replace("period: month", "perid: month").replace("7\n", "-7\n"));
    const { code, stdout, stderr } = await run(["apply", "--store", store, "-f", path]);
    expect([code, stdout]).toEqual([2, ""]);
    const places = stderr.trimEnd().split("\n");
    expect(places[0]).toContain(`${path}:10:9: products[0].quotas[0].perid: is not a known field`);
    // The quota is there, so what the file leaves out, its period, stays.
    expect(places[1]).toContain(`${path}:27:9: products[0].sessions[0].expiry: got -7`);
    expect(places).toHaveLength(2);
    expect(await run(["export", "--store", store])).toEqual(before);
    expect(await run(["apply", "--store", store, "-f", "/nowhere"])).toMatchObject({ code: 2 });
  });

  it.each(["a store", "a server"])(
    "calls out a limit that is used up already, on %s",
    async (on) => {
      const server = on === "a server" ? await startWith([]) : null;
      const flags = server === null ? ["--store", newStore()] : ["--url", server.url];
      const more = { DUCTAPE_API_KEY: server === null ? "" : ROOT_KEY };
      const apply = (text: string, ...args: string[]) =>
        run(["apply", ...flags, "-f", fileOf(text), ...args], server === null ? {} : more);
      await apply(FILE);
      const who = ["--product_tag", "shop", "--env", "prd", "--quota_tag", "calls"];
      const use = ["quota", "increment", ...flags, ...who, "--subject", "userId=ada"];
      await run([...use, "--amount", "7"], server === null ? {} : more);
      const lowered = FILE.replace("limit: 10\n", "limit: 5\n");
      const dry = await apply(lowered, "--dry-run", "--json");
      const where = { product_tag: "shop", quota_tag: "calls", env: "prd", rule: "default" };
      expect(JSON.parse(dry.stdout)).toMatchObject({
        over: [{ ...where, subjects: 1, most: { subject: "ada", used: 7 } }],
        applied: false,
      });
      const refused = await apply(lowered);
      expect(refused.code).toBe(5);
      expect(refused.stderr).toContain("1 already above the new limit, led by subject ada with 7");
      expect(refused.stderr).toContain("add --yes");
      expect((await apply(FILE)).stderr).toBe("nothing to do\n");
      expect(await apply(lowered, "--yes")).toMatchObject({ code: 0 });
      expect((await apply(lowered)).stderr).toBe("nothing to do\n");
      await server?.close();
    },
  );
});

it("ductape schema prints the schema that editors get from the repository", async () => {
  const { stdout } = await run(["schema"]);
  const kept = new URL("../../../docs/reference/ductape.schema.json", import.meta.url);
  expect(stdout).toBe(readFileSync(kept, "utf8"));
});
