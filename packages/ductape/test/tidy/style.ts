// What one file must look like, by docs/STYLE.md.
import ts from "typescript";
import {
  eachFile,
  hasModifier,
  LIBRARY,
  lineOf,
  nodesOf,
  SERVER,
  src,
  told,
  type File,
  type Rule,
} from "./files.js";

const LINES_MAX = 400;
const COLUMNS_MAX = 100;
const FUNCTION_LINES_MAX = 70;

/** The rules of style that look at one file. */
export const STYLE_RULES: Readonly<Record<string, Rule>> = {
  "is not longer than 400 lines": eachFile({
    breaches: ({ text }) => {
      const lines = text.trimEnd().split("\n").length;
      return lines > LINES_MAX ? [`has ${lines} lines`] : [];
    },
    planted: [["bench/a.ts", "a();\n".repeat(401), ["has 401 lines"]]],
    kept: [["bench/a.ts", "a();\n".repeat(400)]],
  }),
  "has no line of more than 100 characters": eachFile({
    breaches: ({ text }) =>
      text.split("\n").flatMap((line, i) => (line.length > COLUMNS_MAX ? [`line ${i + 1}`] : [])),
    planted: [["bench/a.ts", `a();\n${"/".repeat(101)}\n`, ["line 2"]]],
    kept: [["bench/a.ts", "/".repeat(100)]],
  }),
  "has no function of more than 70 lines": eachFile({
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
  }),
  "has a doc comment for each export": eachFile({
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
  }),
  "has no default export": eachFile({
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
  }),
  "titles each test with a sentence": eachFile({
    breaches: (file) => nodesOf(file.tree).flatMap((node) => untitledIn(file, node)),
    planted: [
      ["a.test.ts", 'it("", () => {});', ["line 1: it has no title"]],
      ["a.test.ts", 'describe.each([1])("  ", () => {});', ["line 1: describe has no title"]],
      ["a.test.ts", "it.runIf(a)(() => {});", ["line 1: it has no title"]],
      ["a.test.ts", 'it("should add", () => {});', ["line 1: it says should"]],
    ],
    kept: [["a.test.ts", 'it("adds", () => {}); it.each([1])(`adds ${a}`, () => {});']],
  }),
};

function functionOf(lines: number, head = "function a()"): string {
  return `${head} {\n${"  b();\n".repeat(lines - 2)}}`;
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
