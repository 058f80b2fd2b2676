// The packages as their users have them: packed, unpacked in an empty project, and compiled there.
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "tsdown";
import type ts from "typescript";
import { afterAll, beforeAll, expect, it } from "vitest";
import { temporaryFolder } from "../support.js";

const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));
const require = createRequire(import.meta.url);
const folder = temporaryFolder();
afterAll(folder.remove);

/** How a project is set up: what it compiles, and which types it has. */
interface Project {
  readonly options: Record<string, unknown>;
  readonly programs: readonly string[];
  /** Packages installed beside ours. */
  readonly installed: readonly string[];
}

const RESULTS = "ductape/test/types/results.ts";
const ENTRIES = "ductape/test/types/entries.ts";
const SERVER = "server/test/types/server.ts";
const DRIVERS = "ductape/test/types/drivers.ts";

/** Types are loaded by name alone, so that what is installed beside does not help. */
const PROJECTS: Readonly<Record<string, Project>> = {
  "with the language alone": {
    options: { lib: ["ES2022"], types: [] },
    programs: [RESULTS, ENTRIES, SERVER],
    installed: [],
  },
  "with the DOM": {
    options: { types: [] },
    programs: [RESULTS, ENTRIES],
    installed: [],
  },
  "with Node and both drivers": {
    options: { lib: ["ES2022"], types: ["node"] },
    programs: [RESULTS, ENTRIES, SERVER, DRIVERS],
    installed: ["@types/node", "undici-types", "pg", "@types/pg", "ioredis"],
  },
};

/** How modules are found, and what the project's own files are. */
const MODULES: Readonly<Record<string, { readonly type: string; readonly options: object }>> = {
  "node16, ESM": { type: "module", options: { module: "node16" } },
  "node16, CommonJS": { type: "commonjs", options: { module: "node16" } },
  "a bundler": {
    type: "module",
    options: { module: "esnext", moduleResolution: "bundler" },
  },
};

/** Builds a package and unpacks what `npm pack` makes of it, as an install would. */
async function install(name: string): Promise<void> {
  const source = join(ROOT, "packages", name);
  const copy = join(folder.path, "built", name);
  await build({
    cwd: source,
    outDir: join(copy, "dist"),
    publint: false,
    attw: false,
    logLevel: "silent",
  });
  cpSync(join(source, "package.json"), join(copy, "package.json"));
  const pack = ["pack", "--silent", "--ignore-scripts", "--pack-destination", folder.path, copy];
  const file = execFileSync("npm", pack, { cwd: folder.path, encoding: "utf8" }).trim();
  const place = join(folder.path, "packages", name);
  mkdirSync(place, { recursive: true });
  execFileSync("tar", ["xzf", join(folder.path, file), "-C", place, "--strip-components=1"]);
}

/** Makes a project; returns its files. */
function make(name: string, project: Project, type: string): string[] {
  const home = join(folder.path, name.replaceAll(/\W+/g, "-"));
  const modules = join(home, "node_modules");
  mkdirSync(join(modules, "@types"), { recursive: true });
  writeFileSync(join(home, "package.json"), JSON.stringify({ type }));
  cpSync(join(folder.path, "packages/ductape"), join(modules, "ductape"), { recursive: true });
  cpSync(join(folder.path, "packages/server"), join(modules, "ductape-server"), {
    recursive: true,
  });
  for (const each of project.installed) {
    symlinkSync(join(ROOT, "node_modules", each), join(modules, each));
  }
  return project.programs.map((program) => {
    const file = join(home, program.replaceAll("/", "-"));
    cpSync(join(ROOT, "packages", program), file);
    return file;
  });
}

const read = new Map<string, ts.SourceFile | undefined>();

/** Reads a file of the language or of another package once for all projects of the same kind. */
function hostOf(compiler: typeof ts, options: ts.CompilerOptions): ts.CompilerHost {
  const host = compiler.createCompilerHost(options);
  const getSourceFile: ts.CompilerHost["getSourceFile"] = (name, version, ...rest) => {
    if (name.includes(folder.path)) return host.getSourceFile(name, version, ...rest);
    const { module, moduleResolution, target } = options;
    const key = JSON.stringify([compiler.version, name, version, module, moduleResolution, target]);
    if (!read.has(key)) read.set(key, host.getSourceFile(name, version, ...rest));
    return read.get(key);
  };
  return { ...host, getSourceFile };
}

/** What a compiler says to a project and to our packages in it, at its strictest. */
function errorsOf(compiler: typeof ts, files: string[], options: object): string[] {
  const { options: parsed, errors } = compiler.convertCompilerOptionsFromJson(
    { target: "ES2022", strict: true, skipLibCheck: false, noEmit: true, ...options },
    folder.path,
  );
  const program = compiler.createProgram(files, parsed, hostOf(compiler, parsed));
  const ours = program.getSourceFiles().filter(({ fileName }) => fileName.includes(folder.path));
  const found = ours.flatMap((file) => [
    ...program.getSyntacticDiagnostics(file),
    ...program.getSemanticDiagnostics(file),
  ]);
  return [...errors, ...program.getOptionsDiagnostics(), ...found].map(
    ({ file, messageText, code }) => {
      const place = relative(folder.path, file?.fileName ?? folder.path);
      return `${place}: TS${code} ${compiler.flattenDiagnosticMessageText(messageText, " ")}`;
    },
  );
}

beforeAll(async () => {
  await Promise.all([install("ductape"), install("server")]);
}, 240_000);

it.each(["typescript-5.9", "typescript"])("the packed types compile under %s", (name) => {
  const compiler: typeof ts = require(name);
  const found: Record<string, string[]> = {};
  for (const [modules, { type, options }] of Object.entries(MODULES)) {
    for (const [what, project] of Object.entries(PROJECTS)) {
      const title = `${modules}, ${what}`;
      const files = make(`${name} ${title}`, project, type);
      // A server is a program, and is published for `import` alone.
      const fit = type === "module" ? files : files.filter((file) => !file.includes("server-"));
      found[title] = errorsOf(compiler, fit, { ...options, ...project.options });
    }
  }
  expect(found).toEqual(Object.fromEntries(Object.keys(found).map((title) => [title, []])));
});

it("the packed server brings the page at /docs with its licences", () => {
  const viewer = join(folder.path, "packages/server/dist/viewer");
  const [script, ...rest] = ["swagger-ui-bundle.js", "swagger-ui.css", "LICENSE", "NOTICE"];
  expect(readFileSync(join(viewer, script ?? ""), "utf8")).toContain("SwaggerUIBundle");
  expect(readdirSync(viewer)).toEqual(
    expect.arrayContaining([...rest, "swagger-ui-bundle.js.LICENSE.txt"]),
  );
});

it("the packed types name no other package, and no types of Node", () => {
  for (const name of ["ductape", "server"]) {
    const dist = join(folder.path, "packages", name, "dist");
    const types = readdirSync(dist).filter((file) => /\.d\.c?ts$/.test(file));
    expect(types.length).toBeGreaterThan(0);
    for (const file of types) {
      const text = readFileSync(join(dist, file), "utf8");
      const named = [...text.matchAll(/\bfrom "([^."][^"]*)"|import\("([^."][^"]*)"\)/g)];
      const others = named.map(([, from, by]) => from ?? by ?? "");
      expect(others.filter((each) => !/^ductape(\/|$)/.test(each))).toEqual([]);
      expect(text).not.toMatch(/\bNodeJS\.|\bBuffer\b/);
    }
  }
});
