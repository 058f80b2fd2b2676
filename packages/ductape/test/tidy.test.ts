import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ERRORS } from "ductape";
import { fileOf, FILES, LIBRARY, ROOT, src, type Planted } from "./tidy/files.js";
import { GRAPH_RULES } from "./tidy/graph.js";
import { ROOM_RULES, ROOMS } from "./tidy/rooms.js";
import { STYLE_RULES } from "./tidy/style.js";

const RULES = { ...STYLE_RULES, ...ROOM_RULES, ...GRAPH_RULES };
const filesOf = (planted: Planted) => planted.map(([path, text]) => fileOf(path, text));

describe("every source file", () => {
  it.each(Object.entries(RULES))("%s", (_, { breaches }) => {
    expect(breaches(FILES)).toEqual([]);
  });

  it("is looked at", () => {
    const paths = FILES.map(({ path }) => path);
    const some = [
      src("decide/apply"),
      src("stores/sqlite/sqlite"),
      "bench/run.ts",
      "examples/replay/rows.ts",
    ];
    expect(paths).toEqual(expect.arrayContaining([...some, "packages/ductape/test/tidy.test.ts"]));
  });
});

describe("a planted breach is found, and nothing beside it, by the rule that a file", () => {
  it.each(Object.entries(RULES))("%s", (_, { breaches, planted, kept }) => {
    for (const [files, wanted] of planted) {
      expect(breaches(filesOf(files)), JSON.stringify(files).slice(0, 200)).toEqual(wanted);
    }
    for (const files of kept) expect(breaches(filesOf(files)), JSON.stringify(files)).toEqual([]);
  });
});

it("the rooms are the folders, and those that docs/ARCHITECTURE.md shows", () => {
  const page = readFileSync(`${ROOT}docs/ARCHITECTURE.md`, "utf8");
  const shown = [...page.matchAll(/^\| `(\w+)\/` \| /gm)].map(([, name = ""]) => name);
  expect(shown).toEqual(ROOMS.map((room) => room || "src"));
  const folders = readdirSync(`${ROOT}${LIBRARY}`, { withFileTypes: true });
  const names = folders.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  expect(names.toSorted()).toEqual(ROOMS.filter((room) => room !== "").toSorted());
});

describe("docs/ERRORS.md", () => {
  const wanted = Object.entries(ERRORS).map(([code, { httpStatus, exitCode, retryable }]) => {
    const again = retryable ? "retryable" : "not retryable";
    return `## ${code}\n\nHTTP ${httpStatus} · exit code ${exitCode} · ${again}`;
  });

  it("has one heading for each code, with its row of the table, and no other", () => {
    expect(sectionsOf(readFileSync(`${ROOT}docs/ERRORS.md`, "utf8"))).toEqual(wanted);
  });

  it("is read as a whole: a code that is missing, doubled, unknown or wrong is found", () => {
    const text = `# Errors\n\n${wanted.join("\n\nText.\n\n")}\n`;
    expect(sectionsOf(text)).toEqual(wanted);
    expect(sectionsOf(text.replace("## VALIDATION\n", ""))).not.toEqual(wanted);
    expect(sectionsOf(`${text}\n${wanted[0]}\n`)).not.toEqual(wanted);
    expect(sectionsOf(`${text}\n### NOBODY\n\nText.\n`)).not.toEqual(wanted);
    expect(sectionsOf(text.replace("HTTP 503", "HTTP 500"))).not.toEqual(wanted);
  });
});

/** All headings but the title, with the paragraph's first line below each. */
function sectionsOf(markdown: string): string[] {
  return [...markdown.matchAll(/^##+ .*\n\n.*$/gm)].map(([section]) => section);
}
