// The scripts of the Redis store. From source they are read from the .lua files each time; a build
// takes their texts in.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const FOLDER = new URL("src/stores/redis/", import.meta.url);
const MODULE = fileURLToPath(new URL("scripts.ts", FOLDER));
const NAMES = ["apply", "documents"] as const;

/** The name of a script: that of its file. */
export type ScriptName = (typeof NAMES)[number];

/** A script with the parts that it includes, as it is written. */
export function scriptSource(name: string): string {
  const source = readFileSync(new URL(`${name}.lua`, FOLDER), "utf8");
  return source.replaceAll(/^ *--@ include (\S+)\.lua$/gm, (_, part: string) => scriptSource(part));
}

/** A script without indentation, blank lines and lines of comment. */
export function compactScript(source: string): string {
  const lines = source.split("\n").map((line) => line.trim());
  return lines.filter((line) => line !== "" && !line.startsWith("--")).join("\n");
}

/** A plug-in of Rolldown and of Vite: puts the texts in place of the module that reads them. */
export function luaScripts() {
  return {
    name: "lua-scripts",
    load(id: string): string | null {
      if (id !== MODULE) return null;
      const texts = NAMES.map((name) => [name, compactScript(scriptSource(name))]);
      const object = JSON.stringify(Object.fromEntries(texts));
      return `const TEXTS = ${object};\nexport const scriptText = (name) => TEXTS[name];\n`;
    },
  };
}
