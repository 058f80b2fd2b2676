import { execFile, execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { rootKeyOf, startServer } from "ductape-server";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BUILT_ENV, PROGRAM } from "./built.js";
import { blocksOf, differencesIn, runsOf, sourceOf, type Run } from "./pages.js";
import { POSTGRES_BIN, startPostgres } from "./postgres.js";
import { hasRedis, startRedis } from "./redis.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const FOLDERS = [
  ".",
  "docs",
  "docs/guides",
  "docs/reference",
  "packages/ductape",
  "packages/server",
];
const PAGES = FOLDERS.flatMap(markdownIn);
if (existsSync(join(ROOT, "bench/README.md"))) PAGES.push("bench/README.md");
// Inside the project, so that `ductape` resolves as in the examples.
const folder = mkdtempSync(join(ROOT, ".docs-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
// The command line, under its installed name.
mkdirSync(join(folder, "bin"));
writeFileSync(join(folder, "bin/ductape"), `#!/bin/sh\nexec node ${PROGRAM} "$@"\n`, {
  mode: 0o755,
});

type Env = Readonly<Record<string, string>>;

/** What runs what a page gives, and the tools that it takes. */
const COMMANDS = {
  ts: [process.execPath, "--import", "tsx"],
  script: [process.execPath, "--import", "tsx"],
  sh: ["bash"],
  python: ["python3"],
} as const;
const TOOLS = { ts: [], script: [], sh: ["bash", "curl"], python: ["python3"] } as const;

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

/** Why a page cannot be run here; null: it can. */
function hindranceOf(markdown: string): string | null {
  const missing = ["POSTGRES_URL", "REDIS_URL"].filter(
    (name) => markdown.includes(name) && !(name in servers),
  );
  const tools = runsOf(blocksOf(markdown)).flatMap(({ kind }) => TOOLS[kind]);
  missing.push(...tools.filter((tool) => !isHere(tool)));
  return missing.length === 0 ? null : `not on this machine: ${missing.join(", ")}`;
}

function isHere(tool: string): boolean {
  try {
    execFileSync(tool, ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

function markdownIn(path: string): string[] {
  const names = readdirSync(join(ROOT, path)).filter((name) => name.endsWith(".md"));
  return names.map((name) => join(path, name));
}

/** Runs something as a reader would, without this test's variables. */
function run(command: string, args: readonly string[], own: Env): Promise<string> {
  const inherited = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(DUCTAPE|VITEST|NODE_OPTIONS)/.test(name)),
  );
  const env = {
    ...inherited,
    ...BUILT_ENV,
    ...servers,
    ...own,
    PATH: `${folder}/bin:${process.env["PATH"]}`,
  };
  return new Promise((resolve) => {
    execFile(command, [...args], { cwd: folder, env }, (error, stdout, stderr) => {
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
  const server = markdown.includes("DUCTAPE_URL") ? await startDuctape() : null;
  const differences: string[] = [];
  // In the order of the page: on a server, a later program finds what an earlier one left.
  for (const [i, each] of runsOf(blocks).entries()) {
    const name = `${page.replaceAll(/\W/g, "-")}-${i}`;
    differences.push(...(await differencesOfRun(each, name, server?.env ?? {})));
  }
  await server?.close();
  return differences;
}

/** A server for the pages that name its address, with a key that may do all. */
async function startDuctape() {
  const key = `dk_${"docs".repeat(8)}`;
  const { url, close } = await startServer({ store: "memory:", port: 0, rootKey: rootKeyOf(key) });
  return { env: { DUCTAPE_URL: url, DUCTAPE_API_KEY: key }, close };
}

async function differencesOfRun(each: Run, name: string, env: Env): Promise<string[]> {
  const [{ text: first, line } = { text: "", line: 0 }] = each.snippets;
  const [command, ...args] = COMMANDS[each.kind];
  if (each.kind === "script") {
    const [, path, given = ""] = /^npx tsx (examples\/\S+) ?(.*)$/.exec(first.trim()) ?? [];
    if (path === undefined) {
      return unknownIn(first).map((part) => `line ${line}: no such command: ${part}`);
    }
    const out = await run(command, [...args, join(ROOT, path), ...given.split(" ")], env);
    return differencesIn(each, out);
  }
  const file = `${name}.${each.kind}`;
  writeFileSync(join(folder, file), sourceOf(each));
  return differencesIn(each, await run(command, [...args, file], env));
}

/** What the compiler says to the programs of a page, under the project's own options. */
function typeErrorsOf(pages: Readonly<Record<string, string>>): string[] {
  const { config } = ts.readConfigFile(join(ROOT, "tsconfig.json"), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, ROOT);
  const programs = Object.entries(pages).flatMap(([page, markdown]) =>
    runsOf(blocksOf(markdown))
      .filter(({ kind }) => kind === "ts")
      .map((program, i) => {
        const file = join(folder, `types-${page.replaceAll(/\W/g, "-")}-${i}.ts`);
        writeFileSync(file, sourceOf(program));
        return file;
      }),
  );
  const program = ts.createProgram(programs, options);
  // Of these files alone: the sources that they import are checked by the linter.
  return programs
    .map((file) => program.getSourceFile(file))
    .flatMap((file) => ts.getPreEmitDiagnostics(program, file))
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
    const hindrance = hindranceOf(read(page));
    skip(hindrance !== null, hindrance ?? "");
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

  it("is reported if a block prints something else", async () => {
    const page = fence("ts", one) + fence("text", "503") + fence("ts", "console.log(1);");
    expect(await differencesOf("right", page + fence("text", "1"))).toEqual([]);
    const told = await differencesOf("wrong", page + fence("text", "2"));
    expect(told).toEqual(["line 10 prints:\n1\nthe page says:\n2"]);
  });

  it("is reported if a program fails, prints what is not shown, or names no command", async () => {
    const [failed] = await differencesOf("fails", fence("ts", `${one}\nthrow new Error("no");`));
    expect(failed).toContain("Error: no");
    expect(await differencesOf("silent", fence("ts", one))).toHaveLength(1);
    expect(await differencesOf("command", fence("sh", "npm install && npm run fly"))).toEqual([
      "line 1: no such command: npm run fly",
    ]);
    await expect(differencesOf("nobody", fence("yaml", "a: 1"))).rejects.toThrow("line 1");
  });

  it("is reported by a shell's output, except for what no page can know", async () => {
    const first = fence("sh", "a=1; date +%s") + fence("text", "...");
    const session = first + fence("sh", "echo $a");
    expect(await differencesOf("shell", session + fence("text", "1"))).toEqual([]);
    const [told] = await differencesOf("shell", `${session}${fence("text", "2...")}`);
    expect(told).toBe("line 9 prints:\n1\nthe page says:\n2...");
    const [failed] = await differencesOf(
      "shell",
      fence("sh", "false\necho 1") + fence("text", "1"),
    );
    expect(failed).toContain("failed");
  });

  it("is reported if it does not compile, or a link is dead", () => {
    expect(typeErrorsOf({ types: fence("ts", `${one}\nconst a: string = 1;\nvoid a;`) })).toEqual([
      "types-types-0.ts: Type 'number' is not assignable to type 'string'.",
    ]);
    const links = "# A b\n[1](README.md) [2](#a-b) [3](#b) [4](docs/no.md) [5](README.md#no)";
    expect(deadLinksOf("README.md", links)).toEqual(["#b", "docs/no.md", "README.md#no"]);
  });
});
