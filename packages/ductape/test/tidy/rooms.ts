// Which file may import which, and which are pure, by docs/ARCHITECTURE.md.
import { posix } from "node:path";
import ts from "typescript";
import {
  eachFile,
  hasModifier,
  importsOf,
  LIBRARY,
  nodesOf,
  src,
  told,
  type File,
  type Rule,
} from "./files.js";

/** The rooms of the library from the bottom up: none imports from one above it, types included. */
export const ROOMS: readonly string[] = [
  "base",
  "decide",
  "stores",
  "define",
  "sessions",
  "quota",
  "feature",
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
    "quota/quota quota/events quota/clock-ahead quota/from-record quota/hold quota/hold-calls",
    "quota/reservations",
  ].flatMap((names) => names.split(" ").map((name) => `${name}.ts`)),
);

/** What a pure file must not name: the clock, randomness, and all that waits or reaches outside. */
const IMPURE = new Set(
  "performance process crypto setTimeout setInterval setImmediate fetch globalThis".split(" "),
);
const IMPURE_MEMBERS = new Set(["Date.now", "Math.random"]);

const LINE_1 = ["line 1: a"];
const B = "line 1: b";

/** The rules of rooms and of purity. */
export const ROOM_RULES: Readonly<Record<string, Rule>> = {
  "is pure, where it decides: no clock, no randomness, no waiting, nothing from outside": eachFile({
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
  }),
  "imports from its own room or one below": eachFile({
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
  }),
  "keeps nothing between calls, where it is pure": eachFile({
    breaches: (file) =>
      isPure(file) ? nodesOf(file.tree).flatMap((node) => stateIn(file, node)) : [],
    planted: [
      [src("decide/apply"), "let last = 1;", ["line 1: last"]],
      [src("decide/new-file"), "export var a: number;", ["line 1: a"]],
      [src("quota/plan"), "\nconst a = new Map<string, number>();", ["line 2: a"]],
      [src("base/key"), "const a: WeakMap<object, number> = new WeakMap();", ["line 1: a"]],
      [src("base/text"), "const a: string[] = [];", ["line 1: a"]],
      [src("quota/decision"), "const a = {}; const b = { c: 1 };\nb.c = 2;", [...LINE_1, B]],
      [src("decide/rolling"), "const b = [1, 2];\nfunction c() { b.push(3); }", [B]],
      [src("decide/period"), 'const b = { c: 1 };\nb["c"]++;', [B]],
      [src("decide/period"), "const b = { c: 1 };\ndelete b.c;", [B]],
      [src("define/rule"), "class A { static #a = new Set(); }", ["line 1: #a"]],
    ],
    kept: [
      [src("decide/apply"), "function a() { let b = 1; const c = new Map(); c.set(b, []); }"],
      [src("decide/apply"), "const a: readonly A[] = []; const b: Readonly<B> = {};"],
      [src("quota/plan"), 'const a: ReadonlySet<string> = new Set("abc"); const b = [1, 2];'],
      [src("define/rule"), "const b = { c: 1 } as const; const d = { b: [] }; d.b.length;"],
      [src("define/rule"), "class A { static readonly b = 1; static c(): void {} #d = []; }"],
      [src("define/catalogue"), "let last = 1;"],
      ["bench/a.ts", "let last = 1;"],
    ],
  }),
};

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

/** What a module, or a class, declares that may change between calls. */
function stateIn(file: File, node: ts.Node): string[] {
  const isVariable = ts.isVariableDeclaration(node) && ts.isSourceFile(node.parent.parent.parent);
  const isStatic = ts.isPropertyDeclaration(node) && hasModifier(node, ts.SyntaxKind.StaticKeyword);
  if (!isVariable && !isStatic) return [];
  const isConstant = isVariable
    ? (node.parent.flags & ts.NodeFlags.Const) !== 0
    : hasModifier(node, ts.SyntaxKind.ReadonlyKeyword);
  return isConstant && !mayChange(file, node) ? [] : [told(file, node, node.name.getText())];
}

/** A collection or an object, unless its type forbids changes or nothing in the file makes any. */
function mayChange(
  { tree }: File,
  { name, type, initializer }: ts.VariableDeclaration | ts.PropertyDeclaration,
): boolean {
  if (/^readonly |^Readonly/.test(type?.getText() ?? "") || initializer === undefined) return false;
  if (ts.isNewExpression(initializer)) {
    const made = initializer.expression.getText();
    if (/^(Weak)?(Map|Set)$|^Array$/.test(made) && initializer.arguments?.length !== 1) return true;
  }
  const isEmpty = /^(\[\s*\]|\{\s*\})$/.test(initializer.getText());
  return isEmpty || nodesOf(tree).some((node) => isChangeOf(name.getText(), node));
}

const CHANGES =
  /^(set|add|delete|clear|push|pop|shift|unshift|splice|sort|reverse|fill|copyWithin)$/;

/** `a.set(...)`, `a.b = 1`, `a[b]++` or `delete a.b`. */
function isChangeOf(name: string, node: ts.Node): boolean {
  if (!ts.isPropertyAccessExpression(node) && !ts.isElementAccessExpression(node)) return false;
  if (node.expression.getText() !== name) return false;
  const { parent } = node;
  if (ts.isCallExpression(parent)) {
    return ts.isPropertyAccessExpression(node) && CHANGES.test(node.name.text);
  }
  if (ts.isDeleteExpression(parent)) return true;
  if (ts.isPostfixUnaryExpression(parent)) return true;
  if (ts.isPrefixUnaryExpression(parent)) return INCREMENTS.has(parent.operator);
  return (
    ts.isBinaryExpression(parent) &&
    parent.left === node &&
    parent.operatorToken.kind >= ts.SyntaxKind.FirstAssignment &&
    parent.operatorToken.kind <= ts.SyntaxKind.LastAssignment
  );
}

const INCREMENTS = new Set([ts.SyntaxKind.PlusPlusToken, ts.SyntaxKind.MinusMinusToken]);
