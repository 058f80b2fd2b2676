// A file of definitions that is nearly right: its fault says what to write.
import { afterAll, describe, expect, it } from "vitest";
import { Ductape, ValidationError, type Issue } from "ductape";
import { readConfiguration } from "../src/configuration/file.js";
import { folder, newStore, run } from "./command.js";

afterAll(folder.remove);

/** What a file is refused with: the first issue, as people see it. */
async function faultOfFile(text: string): Promise<string> {
  await using ductape = new Ductape({ store: "memory:" });
  try {
    const file = readConfiguration(text, "f");
    const error: unknown = await ductape.product.apply(file.configuration).catch((e: unknown) => e);
    if (!(error instanceof ValidationError)) throw new Error(`${text} is not refused`);
    return textOf(error.issues.map((each) => file.at(each))[0]);
  } catch (error) {
    if (!(error instanceof ValidationError)) throw error;
    return textOf(error.issues[0]);
  }
}

const textOf = (issue: Issue | undefined): string => `${issue?.path}: ${issue?.message}`;

/** What a file with this line of a quota is refused with. */
function faultOf(line: string): Promise<string> {
  const rest = ["limit: 1", "period: day"].filter((each) => !line.startsWith(each.slice(0, 6)));
  const quota = ["- tag: q", ...rest, line].join("\n        ");
  return faultOfFile(`products:\n  - tag: shop\n    quotas:\n      ${quota}\n`);
}

/** What a file with these lines of a cache or a session is refused with. */
function faultIn(kind: "caches" | "sessions", ...lines: readonly string[]): Promise<string> {
  const rest = ["schema: { userId: u }", "selector: $Session{userId}"];
  const all = ["- tag: x", ...(kind === "sessions" ? rest : []), ...lines].join("\n        ");
  return faultOfFile(`products:\n  - tag: shop\n    ${kind}:\n      ${all}\n`);
}

describe("a file of definitions that is nearly right", () => {
  it.each([
    ["limit: 80_000", "(a number without underscores: 80000)"],
    ["limit: 80,000", "(a number without separators: 80000)"],
    ['limit: "80000"', "(a number without quotes: 80000)"],
    ["limit: 10_000.5", "(a number without underscores: 10000.5)"],
    ["limit: 80k", "; write 80000"],
    ["limit: 1.5M", "; write 1500000"],
    ["limit: unlimited", "; write null"],
    ["period: monthly", "; write month"],
    ["period: 1h", "; write hour"],
    ["period: 1 day", "; write day"],
    ["period: 30 days", "; write { every: 30, unit: day }"],
    ["period: forever", "; write lifetime"],
  ])("says of %s: %s", async (line, hint) => {
    const told = await faultOf(line);
    expect(told.endsWith(hint), told).toBe(true);
    expect(told).toMatch(/^f:\d+:9: products\[0\]\.quotas\[0\]\./);
  });

  it.each([
    ["caches", "5s", "; write 5000"],
    ["caches", "1.5 seconds", "; write 1500"],
    ["caches", "1m", "; write 60000"],
    ["caches", "500ms", "; write 500"],
    ["caches", "2 days", ', got "2 days"'],
    ["sessions", "5s", "; write 5, and period: seconds"],
    ["sessions", "1m", "; write 1, and period: minutes"],
    ["sessions", "30 days", "; write 30, and period: days"],
    ["sessions", "never", "hours"],
  ] as const)("says of %s with expiry: %s: %s", async (kind, expiry, hint) => {
    const told = await faultIn(kind, `expiry: ${expiry}`);
    expect(told.endsWith(hint), told).toBe(true);
    expect(told).toMatch(/^f:\d:9: products\[0\]\.\w+\[0\]\.expiry: /);
  });

  it.each([
    ["hour", "; write hours"],
    ["daily", "; write days"],
    ["5m", "; write minutes, and expiry: 5"],
    ["quarter", 'got "quarter"'],
  ])("says of the period %s of a session: %s", async (period, hint) => {
    const told = await faultIn("sessions", "expiry: 1", `period: ${period}`);
    expect(told.endsWith(hint), told).toBe(true);
  });

  it.each([
    ["tag: 5", '; write "5"'],
    ["tag: 007", '; write "007"'],
    ["tag: 1e3", '; write "1e3"'],
    ["tag: 0x10", '; write "0x10"'],
    ["tag: true", '; write "true"'],
    ["tag: null", '; write "null"'],
    ["tag:", "expects a string, got null"],
    ["name: 1.0\n    tag: shop", '; write "1.0"'],
    ["tag: shop\n    environments: [{ slug: prd, active: yes }]", "; write true"],
    ["tag: shop\n    environments: [{ slug: prd, active: On }]", "; write true"],
    ["tag: shop\n    environments: [{ slug: prd, active: off }]", "; write false"],
  ])("says of %s: %s", async (lines, hint) => {
    const told = await faultOfFile(`products:\n  - ${lines}\n`);
    expect(told.endsWith(hint), told).toBe(true);
  });

  it("takes words for true and false that YAML 1.2 reads as text in a text", async () => {
    const file = readConfiguration("products: [{ tag: yes, name: no }]", "f");
    await using ductape = new Ductape({ store: "memory:" });
    await ductape.product.apply(file.configuration);
    expect(await ductape.product.fetch("yes")).toMatchObject({ name: "no" });
  });

  const tab = "the line is indented with a tab; use spaces instead";
  it.each([
    ["\t- tag: shop", "f:2:1"],
    ["  - tag: shop\n\tname: Shop", "f:3:1"],
    ["  - tag: shop\n    quotas:\n\t- tag: q", "f:4:1"],
    ["  - tag: shop\n    quotas:\n      - tag: q\n      \tlimit: 5", "f:5:7"],
  ])("names the line and the column of a tab in %j", async (lines, place) => {
    expect(await faultOfFile(`products:\n${lines}\n`)).toBe(`${place}: ${tab}`);
  });

  it("ignores a tab that does not indent", () => {
    const text = "products:\n  - tag: shop\t# the shop\n\t\n    name:\tShop\n";
    expect(readConfiguration(text, "f").configuration).toEqual({
      products: [{ tag: "shop", name: "Shop" }],
    });
  });

  it.each([
    ["quotas: [{ tag: q, scope: $Session{userId}, limit: 1, period: day }]", "userId", 31],
    ["quotas: [{ tag: q, limit: 1, period: day, scope: $Session{a.b} }]", "a.b", 54],
    ["sessions: [{ tag: s, selector: $Session{userId} }]", "userId", 36],
  ])("says of %s to put the selector in quotes", async (line, field, column) => {
    const told = await faultOfFile(`products:\n  - tag: shop\n    ${line}\n`);
    const selector = `$Session{${field}}`;
    const rest = `needs quotes between brackets; write "${selector}"`;
    expect(told).toBe(`f:3:${column}: ${selector} ${rest}`);
  });

  it("does not mention quotes if brackets are wrong for another reason", async () => {
    expect(await faultOfFile("products: [{ tag: a {b} }]")).toMatch(/^f:1:\d+: Unexpected/);
  });

  const odd = ["limit: many", "limit: -5", "period: fortnight"];
  it.each(odd)("guesses nothing of %s", async (line) => {
    expect(await faultOf(line)).not.toMatch(/write|without/);
  });
});

describe("flags that are nearly right", () => {
  it.each([
    ["cache create x --expiry 5s", ['expiry: expects a number, got "5s"; write 5000']],
    ["session update x --expiry 7d --period h", ["; write 7, and --period days", "; write hours"]],
    [
      "quota update x --limit 80k --period 30d",
      ["; write 80000", '; write {"every":30,"unit":"day"}'],
    ],
    [
      "quota update x --limit unlimited --period monthly",
      ["; write null", '; got "monthly": did you mean month?'],
    ],
  ])("says of each in %s what to write", async (line, hints) => {
    const at = ["--product", "shop", "--store", newStore()];
    const { code, stderr } = await run([...line.split(" "), ...at]);
    expect(code).toBe(2);
    const told = stderr.trimEnd().split("\n");
    const isHinted = hints.map((hint, i) => told[i]?.endsWith(hint));
    expect(isHinted, stderr).toEqual(hints.map(() => true));
    expect(told).toHaveLength(hints.length);
  });
});
