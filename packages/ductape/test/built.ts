// The two packages as users install them, built from the sources of this moment: once in a run of
// the tests, by the first file that imports this. A process starts from them in a fifth of the
// time that it takes from source.
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { inject } from "vitest";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
/** Dependencies of many small files, whose loading would take half of the time of a start. */
const BUNDLED = ["commander", "ipaddr.js", "jose", "picocolors", "yaml", "zod"];
/** The folder of each package, by its name. */
const PACKAGES = { ductape: "ductape", "ductape-server": "server" } as const;

const folder = inject("builtFolder");
const packages = join(folder, "packages");
/** Holds what is wrong with the sources; empty: nothing. It is there when the build is. */
const outcome = join(folder, "outcome");
/** For scripts that `tsx` runs: they too import the built packages. */
const tsconfig = join(folder, "tsconfig.json");

/** Builds one package by its own configuration, without its types and their checks. */
async function buildPackage(name: keyof typeof PACKAGES): Promise<void> {
  const { build } = await import("tsdown");
  const cwd = join(ROOT, "packages", PACKAGES[name]);
  const home = join(packages, PACKAGES[name]);
  await build({
    cwd,
    outDir: join(home, "dist"),
    format: ["esm"],
    dts: false,
    publint: false,
    attw: false,
    deps: { alwaysBundle: BUNDLED },
    configLoader: "unrun",
    logLevel: "silent",
  });
  for (const file of ["package.json", "bin"]) {
    if (existsSync(join(cwd, file))) cpSync(join(cwd, file), join(home, file), { recursive: true });
  }
  symlinkSync(home, join(folder, "node_modules", name));
}

async function buildAll(): Promise<void> {
  mkdirSync(join(folder, "node_modules"));
  const built = (file: string): string[] => [join(packages, file)];
  const paths = {
    ductape: built("ductape/dist/index.js"),
    "ductape/*": built("ductape/dist/*.js"),
    "ductape-server": built("server/dist/index.js"),
  };
  const settings = { extends: join(ROOT, "tsconfig.json"), compilerOptions: { paths } };
  writeFileSync(tsconfig, JSON.stringify(settings));
  await Promise.all([buildPackage("ductape"), buildPackage("ductape-server")]);
}

/** Whether this process is the first that asks, and so the one that builds. */
function isFirst(): boolean {
  try {
    mkdirSync(packages);
    return true;
  } catch (error) {
    if (existsSync(packages)) return false;
    throw error;
  }
}

if (isFirst()) {
  const fault = await buildAll().then(
    () => "",
    (error: unknown) => String(error),
  );
  writeFileSync(`${outcome}.new`, fault);
  renameSync(`${outcome}.new`, outcome);
}
while (!existsSync(outcome)) await delay(20);
const fault = readFileSync(outcome, "utf8");
if (fault !== "") throw new Error(`the packages could not be built: ${fault}`);

/** The program, as `npx ductape` starts it. */
export const PROGRAM = join(packages, "server/bin/ductape.js");

/** What a process needs in its environment so that `--import tsx` finds the built packages. */
export const BUILT_ENV = { TSX_TSCONFIG_PATH: tsconfig } as const;
