// The scripts of the Redis store. Run from source, they are assembled when a store is created; a
// build embeds the finished texts.
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { ALL_NUMBERS } from "./src/stores/counter-record.js";
import { luaOf } from "./translate.js";

const FOLDER = new URL("src/stores/redis/", import.meta.url);
const DECIDE = new URL("src/decide/", import.meta.url);
const MODULE = fileURLToPath(new URL("scripts.ts", FOLDER));
const NAMES = ["apply", "documents"] as const;

/** The name of a script: that of its file. */
export type ScriptName = (typeof NAMES)[number];

/** A script as it is written, with the parts that it includes and those made of TypeScript. */
export function scriptSource(name: string): string {
  return readFileSync(new URL(`${name}.lua`, FOLDER), "utf8")
    .replaceAll(/^ *--@ include (\S+)\.lua$/gm, (_, part: string) => scriptSource(part))
    .replaceAll(
      /^ *--@ decide ([\w ]+?)(?: after (\w+))? with (.+)$/gm,
      (_, roots: string, after: string | undefined, given: string) =>
        decideLua(roots.split(" "), given.split(" "), after === undefined ? [] : [after]),
    )
    .replaceAll(/^ *--@ unpack counter$/gm, unpackCounter)
    .replaceAll(/^ *--@ counter fields$/gm, counterFields)
    .replaceAll(/^ *--@ pack counter$/gm, packCounter);
}

/** The numbers of a counter after the first one, `form`, and the format of all. */
const AFTER_FORM = ALL_NUMBERS.slice(1).map(({ path, isOptional }) => {
  return { path, isOptional, name: path.replace(".", "_") };
});
const FORMAT = `'<${"d".repeat(ALL_NUMBERS.length)}'`;

/** Lua that reads `text` into `form` and a local for each number. */
function unpackCounter(): string {
  const names = AFTER_FORM.map(({ name }) => name);
  const optional = AFTER_FORM.filter(({ isOptional }) => isOptional);
  const unknown = optional.map(({ name }) => `if ${name} == UNKNOWN then ${name} = nil end`);
  return [`local form, ${names.join(", ")} = unpackText(${FORMAT}, text)`, ...unknown].join("\n");
}

/** Members of a Lua table made of these locals. */
function counterFields(): string {
  const members = new Map<string, string[]>();
  for (const { path, name } of AFTER_FORM) {
    const [outer = "", inner] = path.split(".");
    if (inner === undefined) members.set(outer, [name]);
    else members.set(outer, [...(members.get(outer) ?? []), `${inner} = ${name}`]);
  }
  const texts = [...members].map(([outer, values]) => {
    const [value = ""] = values;
    return `${outer} = ${value.includes("=") ? `{ ${values.join(", ")} }` : value},`;
  });
  return texts.join(" ");
}

/** Lua that packs `form` and the numbers of the table `counter` into `text`. */
function packCounter(): string {
  const values = AFTER_FORM.map(
    ({ path, isOptional }) => `counter.${path}${isOptional ? " or UNKNOWN" : ""}`,
  );
  return `local text = pack(${FORMAT}, form, ${values.join(", ")})`;
}

/** Functions of `decide/` as Lua, but for those known to it: see {@link luaOf}. */
export function decideLua(
  roots: readonly string[],
  given: readonly string[] = [],
  after: readonly string[] = [],
): string {
  const names = readdirSync(DECIDE);
  const sources = Object.fromEntries(
    names.map((name) => [name, readFileSync(new URL(name, DECIDE), "utf8")]),
  );
  return luaOf(roots, given, sources, after);
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
