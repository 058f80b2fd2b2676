// Writes the scripts of the Redis store into a module, so that they are found wherever the package
// is bundled to: `npm run embed`.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const FOLDER = new URL("packages/ductape/src/stores/redis/", import.meta.url);
const MODULE = "scripts.ts";
const SCRIPTS = { APPLY: "apply.lua", DOCUMENTS: "documents.lua" } as const;
const COLUMNS_MAX = 98;

/** A script without its comments and line breaks, in lines of at most 98 characters. */
export function compactScript(lua: string): string {
  const lines: string[] = [];
  for (const line of lua.split("\n").map((each) => each.trim())) {
    if (line === "" || line.startsWith("--")) continue;
    if (line.includes("--")) throw new Error(`a comment wants a line of its own: ${line}`);
    if (/[`\\]|\$\{/.test(line)) throw new Error(`a template cannot hold ${line}`);
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + line.length <= COLUMNS_MAX) {
      lines[lines.length - 1] = `${last} ${line}`;
    } else lines.push(line);
  }
  return `${lines.join("\n")}\n`;
}

/** The source of a script, with the parts that it includes. */
export function scriptSource(name: keyof typeof SCRIPTS): string {
  return fileWithParts(SCRIPTS[name]);
}

function fileWithParts(file: string): string {
  const text = readFileSync(new URL(file, FOLDER), "utf8");
  return text.replaceAll(/^ *--@ include (\S+)$/gm, (_, part: string) => fileWithParts(part));
}

/** The module as it has to be. */
export function scriptsModule(): string {
  const head =
    "// Written by embed.ts from the scripts beside it: change those, then `npm run embed`.\n";
  const names: readonly (keyof typeof SCRIPTS)[] = ["APPLY", "DOCUMENTS"];
  const consts = names.map((name) => {
    const text = compactScript(scriptSource(name));
    const comment = `/** What ${SCRIPTS[name]} is to the server. */`;
    return `\n${comment}\nexport const ${name}_SCRIPT = \`${text}\`;\n`;
  });
  return head + consts.join("");
}

/** The module as it is. */
export function embeddedModule(): string {
  return readFileSync(new URL(MODULE, FOLDER), "utf8");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(new URL(MODULE, FOLDER), scriptsModule());
}
