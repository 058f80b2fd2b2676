// What the program writes for people: text that others made neither moves the cursor nor hides.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { Ductape } from "ductape";
import { readConfiguration } from "../src/configuration/file.js";
import { folder, newStore, ROOT, run } from "./command.js";
import { startWith } from "./support.js";

afterAll(folder.remove);

const SOURCES = join(ROOT, "packages/server/src");
/** Clears the screen, rings, makes a row, turns what follows, by C0, C1 and Unicode. */
const HOSTILE = "ada\u001B[2J\u0007\nroot  0\u009B1A\u202E\u200B\u2028";
const ESCAPED = "ada\\u001b[2J\\u0007\\nroot  0\\u009b1A\\u202e\\u200b\\u2028";

it("goes through one file: no other names a stream, the console or a colour", () => {
  const names = readdirSync(SOURCES, { recursive: true, encoding: "utf8" });
  const others = names.filter((name) => name.endsWith(".ts") && name !== "print.ts");
  const writers = others.filter((name) =>
    /process\.std(out|err)|\bconsole\.|picocolors|readline/.test(
      readFileSync(join(SOURCES, name), "utf8"),
    ),
  );
  expect(others.length).toBeGreaterThan(50);
  expect(writers).toEqual([]);
});

it("is YAML of the same values in an exported configuration", async () => {
  const store = newStore();
  await using ductape = new Ductape({ store });
  const description = `${HOSTILE}\ttab\u007F\u{E0041}`;
  await ductape.product.create({ tag: "shop", name: HOSTILE, description });
  await ductape.product.create({ tag: "plain", description: "two\nlines" });
  const { stdout } = await run(["export", "--store", store]);
  expect(stdout.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\u202E\u2028]/u);
  const { configuration } = readConfiguration(stdout, "f");
  expect(configuration.products).toEqual([
    { tag: "plain", description: "two\nlines" },
    { tag: "shop", name: HOSTILE, description },
  ]);
});

it("shows a hostile subject in one row of a table, and unchanged in JSON", async () => {
  const store = newStore();
  await using ductape = new Ductape({ store });
  await ductape.product.create({ tag: "shop" });
  await ductape.product.environments.create("shop", { slug: "prd" });
  const rule = { limit: 5, period: "lifetime", scope: "$Session{userId}" } as const;
  await ductape.product.quotas.create("shop", { tag: "q", ...rule });
  const call = { env: "prd", product_tag: "shop", quota_tag: "q", subject: HOSTILE } as const;
  await ductape.processor.quota.run({ ...call, action: "increment" });
  const at = ["--store", store, "--env", "prd", "--product_tag", "shop", "--quota_tag", "q"];
  const table = await run(["usage", "top", ...at]);
  expect(table.stdout.trimEnd().split("\n")).toEqual([
    expect.stringMatching(/^SUBJECT/),
    expect.stringContaining(`${ESCAPED}  1 `),
  ]);
  const json = await run(["usage", "top", ...at, "--json"]);
  expect(json.stdout).toContain(JSON.stringify(ESCAPED).replaceAll("\\\\", "\\"));
  expect(JSON.parse(json.stdout).subjects[0].subject).toBe(HOSTILE);
  const fault = await run(["quota", "get", HOSTILE, "--store", store, "--product_tag", "shop"]);
  expect(fault.stderr.trimEnd().split("\n")).toHaveLength(1);
  expect(fault.stderr).toContain("ada\\u001b[2J");
  const unknown = await run([`--${HOSTILE}`]);
  expect(unknown.stderr).toContain("ada\\u001b[2J\\u0007");
});

it("is how a server warns, line by line", async () => {
  const server = await startWith([]);
  const { sayWarning } = await import("../src/print.js");
  const lines: string[] = [];
  const write = process.stderr.write.bind(process.stderr);
  process.stderr.write = (text: string | Uint8Array) => lines.push(String(text)) > 0;
  try {
    sayWarning(`the stored key ${HOSTILE}`, new Error(HOSTILE));
  } finally {
    process.stderr.write = write;
  }
  const plain = lines.join("");
  expect(plain).toContain(`the stored key ${ESCAPED}\n`);
  expect(plain).not.toContain("\nroot");
  await server.close();
});
