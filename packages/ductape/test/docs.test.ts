import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { POSTGRES_BIN, startPostgres } from "./postgres.js";
import { hasRedis, startRedis } from "./redis.js";

/** A fenced block. `file` is the name that the line above gives it, as in "`access.csv`:". */
interface Block {
  readonly language: string;
  readonly text: string;
  readonly line: number;
  readonly file: string | null;
}

/** Something a reader runs, and what the page says it prints; null: it says nothing. */
interface Snippet {
  readonly line: number;
  readonly text: string;
  output: string | null;
}

/** A program of several snippets, or a command, which is one. */
interface Run {
  readonly kind: "program" | "command";
  readonly snippets: Snippet[];
}

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const PAGES = [
  ...markdownIn("."),
  ...markdownIn("docs"),
  ...markdownIn("docs/guides"),
  ...markdownIn("docs/reference"),
];
if (existsSync(join(ROOT, "bench/README.md"))) PAGES.push("bench/README.md");
/** Printed between the snippets of a program, to tell their outputs apart. */
const MARK = "\u0001";
// Inside the project, so that `ductape` is what it is in the examples.
const folder = mkdtempSync(join(ROOT, ".docs-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The servers that pages name by a variable; a page whose server is not here is not run. */
const servers: Record<string, string> = {};
const ends: (() => Promise<void>)[] = [];
beforeAll(async () => {
  if (POSTGRES_BIN !== null) {
    const server = await startPostgres(["fsync = off"]);
    ends.push(() => server.stop());
    servers["POSTGRES_URL"] = server.url();
  }
  if (hasRedis("the pages that need Redis")) {
    const server = await startRedis();
    ends.push(() => server.remove());
    servers["REDIS_URL"] = server.url;
  }
});
afterAll(async () => void (await Promise.all(ends.map((end) => end()))));

const canRun = (markdown: string): boolean =>
  ["POSTGRES_URL", "REDIS_URL"].every((name) => name in servers || !markdown.includes(name));

function markdownIn(path: string): string[] {
  const names = readdirSync(join(ROOT, path)).filter((name) => name.endsWith(".md"));
  return names.map((name) => join(path, name));
}

function blocksOf(markdown: string): Block[] {
  return [...markdown.matchAll(/^```(\w*)\n([^]*?)^```$/gm)].map((found) => {
    const [, language = "", text = ""] = found;
    const before = markdown.slice(0, found.index);
    const file = /^`([\w.-]+)`:\n\n?$/m.exec(before.slice(-200))?.[1] ?? null;
    return { language, text, line: before.split("\n").length, file };
  });
}

/**
 * What a page gives to run. A `ts` snippet that imports begins a program, one that does not goes on
 * with it; `text` is what the block above it prints.
 */
function runsOf(blocks: readonly Block[]): Run[] {
  const runs: Run[] = [];
  let last: Snippet | null = null;
  for (const { language, text, line, file } of blocks) {
    if (file !== null) continue;
    const snippet: Snippet = { line, text, output: null };
    const program = runs.findLast(({ kind }) => kind === "program");
    if (language === "ts" && program !== undefined && !/^import /m.test(text)) {
      program.snippets.push(snippet);
    } else if (language === "ts") runs.push({ kind: "program", snippets: [snippet] });
    else if (language === "sh") runs.push({ kind: "command", snippets: [snippet] });
    else if (language === "text" && last !== null) last.output = text;
    else throw new Error(`line ${line}: a block of "${language}" that nothing prints or reads`);
    last = language === "text" ? null : snippet;
  }
  return runs;
}

const sourceOf = ({ snippets }: Run): string =>
  snippets.map(({ text }) => text).join(`\nconsole.log("\\u0001");\n`);

/** Runs Node as a reader would, without this test's variables. */
function runNode(args: readonly string[]): Promise<string> {
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(DUCTAPE|VITEST|NODE_OPTIONS)/.test(name)),
  );
  return new Promise((resolve) => {
    const command = ["--import", "tsx", ...args];
    const options = { cwd: folder, env: { ...env, ...servers } };
    execFile(process.execPath, command, options, (error, stdout, stderr) => {
      resolve(error === null ? stdout + stderr : `${stdout}${stderr}\nfailed: ${error.message}`);
    });
  });
}

const SCRIPTS: { readonly scripts: Readonly<Record<string, string>> } = JSON.parse(
  readFileSync(join(ROOT, "package.json"), "utf8"),
);

/** The parts of a line such as `npm install && npm test`; each must be a script that exists. */
function unknownIn(command: string): string[] {
  return command
    .trim()
    .split(/\n| && /)
    .filter((part) => {
      const [, name = ""] = /^npm (?:run )?([\w:-]+)( -- .*)?$/.exec(part) ?? [];
      return name !== "install" && SCRIPTS.scripts[name] === undefined;
    });
}

/** What a page prints otherwise than it says; each with the line of its block. */
async function differencesOf(page: string, markdown: string): Promise<string[]> {
  const blocks = blocksOf(markdown);
  for (const { file, text } of blocks) if (file !== null) writeFileSync(join(folder, file), text);
  const differences: string[] = [];
  // In the order of the page: on a server, a later program finds what an earlier one left.
  for (const [i, run] of runsOf(blocks).entries()) {
    differences.push(...(await differencesIn(run, `${page.replaceAll(/\W/g, "-")}-${i}.ts`)));
  }
  return differences;
}

async function differencesIn(run: Run, file: string): Promise<string[]> {
  const [first] = run.snippets;
  if (first === undefined) return [];
  const example = /^npx tsx (examples\/\S+) ?(.*)$/.exec(first.text.trim());
  if (run.kind === "command" && example === null) {
    return unknownIn(first.text).map((part) => `line ${first.line}: no such command: ${part}`);
  }
  if (run.kind === "program") writeFileSync(join(folder, file), sourceOf(run));
  const [, path = "", args = ""] = example ?? [];
  const out = await runNode(example === null ? [file] : [join(ROOT, path), ...args.split(" ")]);
  const printed = out.split(`${MARK}\n`);
  return run.snippets.flatMap(({ line, output }, at) => {
    const [told, wanted] = [(printed[at] ?? "").trimEnd(), (output ?? "").trimEnd()];
    return told === wanted ? [] : [`line ${line} prints:\n${told}\nthe page says:\n${wanted}`];
  });
}

/** What the compiler says to the programs of a page, under the project's own options. */
function typeErrorsOf(pages: Readonly<Record<string, string>>): string[] {
  const { config } = ts.readConfigFile(join(ROOT, "tsconfig.json"), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, ROOT);
  const programs = Object.entries(pages).flatMap(([page, markdown]) =>
    runsOf(blocksOf(markdown))
      .filter(({ kind }) => kind === "program")
      .map((run, i) => {
        const file = join(folder, `types-${page.replaceAll(/\W/g, "-")}-${i}.ts`);
        writeFileSync(file, sourceOf(run));
        return file;
      }),
  );
  return ts
    .getPreEmitDiagnostics(ts.createProgram(programs, options))
    .map(({ file, messageText }) => {
      const message = ts.flattenDiagnosticMessageText(messageText, " ");
      return `${relative(folder, file?.fileName ?? "")}: ${message}`;
    });
}

/** The links of a page that lead nowhere: to no file of the project, or to no heading of it. */
function deadLinksOf(page: string, markdown: string): string[] {
  const links = [...markdown.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = ""]) => link);
  return links.filter((link) => {
    if (/^https?:/.test(link)) return false;
    const [path = "", anchor] = link.split("#");
    const file = path === "" ? join(ROOT, page) : join(ROOT, dirname(page), path);
    if (!existsSync(file)) return true;
    const text = path === "" ? markdown : anchor === undefined ? "" : readFileSync(file, "utf8");
    return anchor !== undefined && !anchorsOf(text).includes(anchor);
  });
}

/** Headings as GitHub links them. */
function anchorsOf(markdown: string): string[] {
  const prose = markdown.replaceAll(/^```[^]*?^```$/gm, "");
  return [...prose.matchAll(/^#+ (.*)$/gm)].map(([, title = ""]) =>
    title
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}_ -]/gu, "")
      .replaceAll(" ", "-"),
  );
}

const read = (page: string): string => readFileSync(join(ROOT, page), "utf8");

describe.each(PAGES)("%s", (page) => {
  it("prints what it says, with commands that exist", async ({ skip }) => {
    skip(!canRun(read(page)), "its server is not on this machine");
    expect(await differencesOf(page, read(page))).toEqual([]);
  });

  it("links to what is there", () => {
    expect(deadLinksOf(page, read(page))).toEqual([]);
  });
});

it("every page compiles, under the options of the project", () => {
  expect(typeErrorsOf(Object.fromEntries(PAGES.map((page) => [page, read(page)])))).toEqual([]);
});

it("the README can be read in a minute", () => {
  expect(read("README.md").split("\n").length).toBeLessThan(200);
});

describe("a page that is wrong", () => {
  const fence = (language: string, text: string) => `\`\`\`${language}\n${text}\n\`\`\`\n\n`;
  const one = 'import { ERRORS } from "ductape";\nconsole.log(ERRORS.TIMEOUT.httpStatus);';

  it("is told by the block that prints something else", async () => {
    const page = fence("ts", one) + fence("text", "503") + fence("ts", "console.log(1);");
    expect(await differencesOf("right", page + fence("text", "1"))).toEqual([]);
    const told = await differencesOf("wrong", page + fence("text", "2"));
    expect(told).toEqual(["line 10 prints:\n1\nthe page says:\n2"]);
  });

  it("is told where a program fails, prints what is not shown, or names no command", async () => {
    const [failed] = await differencesOf("fails", fence("ts", `${one}\nthrow new Error("no");`));
    expect(failed).toContain("Error: no");
    expect(await differencesOf("silent", fence("ts", one))).toHaveLength(1);
    expect(await differencesOf("command", fence("sh", "npm install && npm run fly"))).toEqual([
      "line 1: no such command: npm run fly",
    ]);
    await expect(differencesOf("nobody", fence("yaml", "a: 1"))).rejects.toThrow("line 1");
  });

  it("is told where it does not compile, and where a link is dead", () => {
    expect(typeErrorsOf({ types: fence("ts", `${one}\nconst a: string = 1;\nvoid a;`) })).toEqual([
      "types-types-0.ts: Type 'number' is not assignable to type 'string'.",
    ]);
    const links = "# A b\n[1](README.md) [2](#a-b) [3](#b) [4](docs/no.md) [5](README.md#no)";
    expect(deadLinksOf("README.md", links)).toEqual(["#b", "docs/no.md", "README.md#no"]);
  });
});
