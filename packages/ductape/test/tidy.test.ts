import { readdirSync, readFileSync } from "node:fs";
import { posix } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import { ERRORS } from "ductape";

/** A file of the project: its path from the root, its text and its syntax. */
interface File {
  readonly path: string;
  readonly text: string;
  readonly tree: ts.SourceFile;
}

/** A rule of docs/STYLE.md: it tells every breach, such as `line 3: ...`. */
interface Rule {
  breaches(file: File): string[];
  /** A file that breaks the rule, and what must be told of it. */
  readonly planted: readonly (readonly [path: string, text: string, breaches: string[]])[];
  /** A file that is nearly one, and keeps the rule. */
  readonly kept: readonly (readonly [path: string, text: string])[];
}

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const LIBRARY = "packages/ductape/src/";
const SERVER = "packages/server/src/";
const FOLDERS = [
  LIBRARY,
  "packages/ductape/test/",
  SERVER,
  "packages/server/test/",
  "bench/",
  "examples/",
];
const LINES_MAX = 400;
const COLUMNS_MAX = 100;
const FUNCTION_LINES_MAX = 70;

/** The rooms of the library from the bottom up: none imports from one above it, types included. */
const ROOMS = [
  "base",
  "decide",
  "stores",
  "define",
  "sessions",
  "quota",
  "usage",
  "product",
  "client",
  "remote",
  "",
  "testing",
];

/** Where all files but those of {@link WORLDLY} are pure, and what is pure in other rooms. */
const PURE =
  /^(base|decide|define|quota)\/|^(usage\/(last|target)|sessions\/token|remote-client)\.ts$/;
/** What touches the world: time, files, listeners. */
const WORLDLY = new Set(
  [
    "base/call base/outgoing base/settings base/gate",
    "define/catalogue define/definition-set define/records",
    "quota/quota quota/events quota/clock-ahead",
  ].flatMap((names) => names.split(" ").map((name) => `${name}.ts`)),
);

/** What a pure file must not name: the clock, randomness, and all that waits or reaches outside. */
const IMPURE = new Set(
  "performance process crypto setTimeout setInterval setImmediate fetch globalThis".split(" "),
);
const IMPURE_MEMBERS = new Set(["Date.now", "Math.random"]);

const RULES: Readonly<Record<string, Rule>> = {
  "is not longer than 400 lines": {
    breaches: ({ text }) => {
      const lines = text.trimEnd().split("\n").length;
      return lines > LINES_MAX ? [`has ${lines} lines`] : [];
    },
    planted: [["bench/a.ts", "a();\n".repeat(401), ["has 401 lines"]]],
    kept: [["bench/a.ts", "a();\n".repeat(400)]],
  },
  "has no line of more than 100 characters": {
    breaches: ({ text }) =>
      text.split("\n").flatMap((line, i) => (line.length > COLUMNS_MAX ? [`line ${i + 1}`] : [])),
    planted: [["bench/a.ts", `a();\n${"/".repeat(101)}\n`, ["line 2"]]],
    kept: [["bench/a.ts", "/".repeat(100)]],
  },
  "has no function of more than 70 lines": {
    breaches: (file) =>
      nodesOf(file.tree).flatMap((node) => {
        if (!ts.isFunctionLike(node) || isGroupOfTests(node)) return [];
        const lines = lineOf(file, node.end) - lineOf(file, node.getStart(file.tree)) + 1;
        return lines > FUNCTION_LINES_MAX ? [told(file, node, `a function of ${lines} lines`)] : [];
      }),
    planted: [
      ["bench/a.ts", `\n${functionOf(71)}`, ["line 2: a function of 71 lines"]],
      ["bench/a.ts", `class A {\n  ${functionOf(71, "b()")} }`, ["line 2: a function of 71 lines"]],
      ["bench/a.ts", `it("a", ${functionOf(71, "() =>")})`, ["line 1: a function of 71 lines"]],
    ],
    kept: [
      ["bench/a.ts", functionOf(70)],
      ["bench/a.ts", `describe.each([1])("a", ${functionOf(300, "() =>")})`],
    ],
  },
  "is pure, where it decides: no clock, no randomness, no waiting, nothing from outside": {
    breaches: (file) => (isPure(file) ? nodesOf(file.tree).flatMap(impureIn) : []),
    planted: [
      [src("decide/apply"), "const a = 1 + Date.now();", ["Date.now"]],
      [src("decide/new-file"), "export const a = new Date();", ["new Date()"]],
      [src("decide/period"), "const a = Date();", ["Date()"]],
      [src("quota/plan"), "const a = performance.now();", ["performance"]],
      [src("base/key"), "setTimeout(() => 1, 2);", ["setTimeout"]],
      [src("base/text"), "const a = Math.random();", ["Math.random"]],
      [src("base/errors"), "const a = process.env;", ["process"]],
      [src("quota/request"), 'import { a } from "node:os";', ["node:os"]],
      [src("quota/decision"), 'export { a } from "some-package";', ["some-package"]],
      [src("decide/rolling"), "export async function a() { await b(); }", ["async", "await"]],
    ],
    kept: [
      [src("decide/apply"), "const a = new Date(0); a.process; b({ crypto: 1 }); Date.parse(c);"],
      [src("define/catalogue"), 'import a from "node:os"; Date.now();'],
      ["bench/a.ts", "Date.now();"],
    ],
  },
  "imports from its own room or one below": {
    breaches: (file) =>
      importsOf(file.tree).flatMap((name) => {
        const target = posix.join(posix.dirname(file.path), name.replace(/\.js$/, ".ts"));
        const [from, to] = [roomOf(file.path), roomOf(target)];
        if (from === null || to === null || !name.startsWith(".")) return [];
        const isUp = ROOMS.indexOf(to) > ROOMS.indexOf(from) || !ROOMS.includes(to);
        return isUp ? [`imports ${name}`] : [];
      }),
    planted: [
      [
        src("base/errors"),
        'import { a } from "../decide/amount.js";',
        ["imports ../decide/amount.js"],
      ],
      [
        src("decide/apply"),
        'import type { A } from "../stores/store.js";',
        ["imports ../stores/store.js"],
      ],
      [src("stores/memory/a"), 'export * from "../../quota/a.js";', ["imports ../../quota/a.js"]],
      [src("quota/plan"), 'const a = import("../usage/a.js");', ["imports ../usage/a.js"]],
      [src("define/a"), 'type A = import("../quota/a.js").A;', ["imports ../quota/a.js"]],
      [src("client/outage"), 'import "../ductape.js";', ["imports ../ductape.js"]],
      [src("index"), 'import "./testing/testing.js";', ["imports ./testing/testing.js"]],
      [src("base/a"), 'import "../elsewhere/b.js";', ["imports ../elsewhere/b.js"]],
    ],
    kept: [
      [
        src("stores/sqlite/sqlite"),
        'import "../../decide/a.js"; import "../b.js"; import "node:fs";',
      ],
      [src("testing/testing"), 'import "../ductape.js"; import "./conformance.js";'],
      [src("index"), 'import "./ductape.js"; import "./client/client.js";'],
    ],
  },
  "has a doc comment for each export": {
    breaches: (file) =>
      file.path.startsWith(LIBRARY) || file.path.startsWith(SERVER)
        ? file.tree.statements.flatMap((node) => undocumentedIn(file, node))
        : [],
    planted: [
      [src("a"), "/** A. */\nexport const a = 1;\nexport const b = 1;", ["line 3: export"]],
      [src("a"), "// A comment.\nexport interface A {}", ["line 2: export"]],
      [src("a"), "/** @internal */\nexport function a() {}", ["line 2: export"]],
      [src("stores/a"), "export abstract class A {}", ["line 1: export"]],
      [src("a"), "class A {}\nexport { A };", ["line 2: export it where it is declared"]],
      [`${SERVER}a.ts`, "export const a = 1;", ["line 1: export"]],
    ],
    kept: [
      [src("a"), '/** A. */\nexport type A = 1;\nconst b = 1;\nexport { c } from "./c.js";'],
      ["packages/ductape/test/a.ts", "export const a = 1;"],
      ["packages/server/test/a.ts", "export const a = 1;"],
    ],
  },
  "has no default export": {
    breaches: (file) =>
      nodesOf(file.tree)
        .filter(isDefaultExport)
        .map((node) => told(file, node, "default")),
    planted: [
      ["bench/a.ts", "export default 1;", ["line 1: default"]],
      ["bench/a.ts", "\nexport default class {}", ["line 2: default"]],
      ["bench/a.ts", "const a = 1; export { a as default };", ["line 1: default"]],
    ],
    kept: [["bench/a.ts", 'import a from "a"; switch (a) { default: }']],
  },
  "titles each test with a sentence": {
    breaches: (file) => nodesOf(file.tree).flatMap((node) => untitledIn(file, node)),
    planted: [
      ["a.test.ts", 'it("", () => {});', ["line 1: it has no title"]],
      ["a.test.ts", 'describe.each([1])("  ", () => {});', ["line 1: describe has no title"]],
      ["a.test.ts", "it.runIf(a)(() => {});", ["line 1: it has no title"]],
      ["a.test.ts", 'it("should add", () => {});', ["line 1: it says should"]],
    ],
    kept: [["a.test.ts", 'it("adds", () => {}); it.each([1])(`adds ${a}`, () => {});']],
  },
};

const FILES = FOLDERS.flatMap((folder) =>
  readdirSync(`${ROOT}${folder}`, { recursive: true, encoding: "utf8" })
    .map((name) => posix.join(folder, name.replaceAll("\\", "/")))
    .filter((path) => path.endsWith(".ts") && !path.includes("/vectors/"))
    .map((path) => fileOf(path, readFileSync(`${ROOT}${path}`, "utf8"))),
);

describe("every source file", () => {
  it.each(Object.entries(RULES))("%s", (_, { breaches }) => {
    const found = FILES.flatMap((file) => breaches(file).map((each) => `${file.path}: ${each}`));
    expect(found).toEqual([]);
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
    for (const [path, text, wanted] of planted) {
      expect(breaches(fileOf(path, text)), text.slice(0, 200)).toEqual(wanted);
    }
    for (const [path, text] of kept) expect(breaches(fileOf(path, text)), text).toEqual([]);
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

function fileOf(path: string, text: string): File {
  return { path, text, tree: ts.createSourceFile(path, text, ts.ScriptTarget.ESNext, true) };
}

function src(name: string): string {
  return `${LIBRARY}${name}.ts`;
}

function functionOf(lines: number, head = "function a()"): string {
  return `${head} {\n${"  b();\n".repeat(lines - 2)}}`;
}

function nodesOf(root: ts.Node): ts.Node[] {
  const nodes: ts.Node[] = [];
  const visit = (node: ts.Node): void => {
    nodes.push(node);
    ts.forEachChild(node, visit);
  };
  visit(root);
  return nodes;
}

function lineOf({ tree }: File, at: number): number {
  return tree.getLineAndCharacterOfPosition(at).line + 1;
}

function told(file: File, node: ts.Node, sentence: string): string {
  return `line ${lineOf(file, node.getStart(file.tree))}: ${sentence}`;
}

/** The room of a file: its folder; "" beside the folders, null outside the library. */
function roomOf(path: string): string | null {
  if (!path.startsWith(LIBRARY)) return null;
  const [room = "", ...rest] = path.slice(LIBRARY.length).split("/");
  return rest.length === 0 ? "" : room;
}

function isPure({ path }: File): boolean {
  const name = path.startsWith(LIBRARY) ? path.slice(LIBRARY.length) : "";
  return PURE.test(name) && !WORLDLY.has(name);
}

function importsOf(tree: ts.SourceFile): string[] {
  return nodesOf(tree).flatMap((node) => {
    if (!ts.isStringLiteral(node)) return [];
    const { parent } = node;
    const isImport =
      ts.isImportDeclaration(parent) ||
      ts.isExportDeclaration(parent) ||
      (ts.isLiteralTypeNode(parent) && ts.isImportTypeNode(parent.parent)) ||
      (ts.isCallExpression(parent) && parent.expression.kind === ts.SyntaxKind.ImportKeyword);
    return isImport ? [node.text] : [];
  });
}

function impureIn(node: ts.Node): string[] {
  if (ts.isSourceFile(node)) return importsOf(node).filter((name) => !name.startsWith("."));
  if (ts.isAwaitExpression(node)) return ["await"];
  if (node.kind === ts.SyntaxKind.AsyncKeyword) return ["async"];
  if (ts.isPropertyAccessExpression(node) && IMPURE_MEMBERS.has(node.getText())) {
    return [node.getText()];
  }
  if (ts.isNewExpression(node) && node.expression.getText() === "Date") {
    return (node.arguments ?? []).length === 0 ? ["new Date()"] : [];
  }
  if (ts.isCallExpression(node) && node.expression.getText() === "Date") return ["Date()"];
  if (!ts.isIdentifier(node) || !IMPURE.has(node.text)) return [];
  const { parent } = node;
  const isMember =
    (ts.isPropertyAccessExpression(parent) && parent.name === node) ||
    (ts.isPropertyAssignment(parent) && parent.name === node);
  return isMember ? [] : [node.text];
}

function undocumentedIn(file: File, node: ts.Statement): string[] {
  if (ts.isExportDeclaration(node)) {
    if (node.moduleSpecifier !== undefined) return [];
    return [told(file, node, "export it where it is declared")];
  }
  if (!hasModifier(node, ts.SyntaxKind.ExportKeyword)) return [];
  const isDocumented = ts
    .getJSDocCommentsAndTags(node)
    .some((doc) => ts.isJSDoc(doc) && (ts.getTextOfJSDocComment(doc.comment) ?? "").trim() !== "");
  return isDocumented ? [] : [told(file, node, "export")];
}

function isDefaultExport(node: ts.Node): boolean {
  if (ts.isExportAssignment(node)) return true;
  if (ts.isExportSpecifier(node)) return node.name.text === "default";
  return hasModifier(node, ts.SyntaxKind.DefaultKeyword);
}

function hasModifier(node: ts.Node, kind: ts.SyntaxKind): boolean {
  if (!ts.canHaveModifiers(node)) return false;
  return ts.getModifiers(node)?.some((modifier) => modifier.kind === kind) ?? false;
}

/** `describe` or `it`, of a call that may pass through `each` and its like. */
function testWordOf(node: ts.Node): string | null {
  if (ts.isIdentifier(node)) return /^(describe|it|test)$/.test(node.text) ? node.text : null;
  if (ts.isPropertyAccessExpression(node)) return testWordOf(node.expression);
  return ts.isCallExpression(node) ? testWordOf(node.expression) : null;
}

/** The body of a `describe` holds tests as a page holds paragraphs: each is measured on its own. */
function isGroupOfTests({ parent }: ts.Node): boolean {
  return ts.isCallExpression(parent) && testWordOf(parent) === "describe";
}

function untitledIn(file: File, node: ts.Node): string[] {
  if (!ts.isCallExpression(node) || !file.path.endsWith(".test.ts")) return [];
  // `it.each(cases)` takes no title; the call of what it returns does.
  if (ts.isCallExpression(node.parent) && node.parent.expression === node) return [];
  const word = testWordOf(node);
  if (word === null) return [];
  const [title] = node.arguments;
  if (title !== undefined && ts.isTemplateExpression(title)) return [];
  const text = title !== undefined && ts.isStringLiteralLike(title) ? title.text : "";
  if (text.trim() === "") return [told(file, node, `${word} has no title`)];
  return /^should\b/.test(text) ? [told(file, node, `${word} says should`)] : [];
}
