// The files of the project as the rules of tidiness read them.
import { readdirSync, readFileSync } from "node:fs";
import { posix } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

/** A file of the project: its path from the root, its text and its syntax. */
export interface File {
  readonly path: string;
  readonly text: string;
  readonly tree: ts.SourceFile;
}

/** A file planted to try a rule. */
export type Planted = readonly (readonly [path: string, text: string])[];

/** A rule of docs/STYLE.md or docs/ARCHITECTURE.md, which names every breach by path and place. */
export interface Rule {
  breaches(files: readonly File[]): string[];
  /** Files that break the rule, and each breach that it must name. */
  readonly planted: readonly (readonly [files: Planted, breaches: readonly string[]])[];
  /** Files that nearly break it. */
  readonly kept: readonly Planted[];
}

/** The same for a rule that looks at one file at a time; breaches are such as `line 3: ...`. */
export interface FileRule {
  breaches(file: File): string[];
  readonly planted: readonly (readonly [path: string, text: string, breaches: string[]])[];
  readonly kept: readonly (readonly [path: string, text: string])[];
}

/** The root of the project. */
export const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));
/** The sources of the library. */
export const LIBRARY = "packages/ductape/src/";
/** The sources of the server. */
export const SERVER = "packages/server/src/";
const FOLDERS = [
  LIBRARY,
  "packages/ductape/test/",
  SERVER,
  "packages/server/test/",
  "bench/",
  "examples/",
];

/** Every TypeScript file of the project but settings of tools, which need a default export. */
export const FILES: readonly File[] = [
  ...FOLDERS.flatMap((folder) =>
    readdirSync(`${ROOT}${folder}`, { recursive: true, encoding: "utf8" }).map((name) =>
      posix.join(folder, name.replaceAll("\\", "/")),
    ),
  ),
  ...["", "packages/ductape/", "packages/server/"].flatMap((folder) =>
    readdirSync(`${ROOT}${folder}`).map((name) => `${folder}${name}`),
  ),
]
  .filter((path) => path.endsWith(".ts") && !/\/vectors\/|\.config\.ts$/.test(path))
  .map((path) => fileOf(path, readFileSync(`${ROOT}${path}`, "utf8")));

/** A rule over all files that looks at each alone. */
export function eachFile({ breaches, planted, kept }: FileRule): Rule {
  return {
    breaches: (files) =>
      files.flatMap((file) => breaches(file).map((each) => `${file.path}: ${each}`)),
    planted: planted.map(([path, text, wanted]) => [
      [[path, text]],
      wanted.map((each) => `${path}: ${each}`),
    ]),
    kept: kept.map(([path, text]) => [[path, text]]),
  };
}

/** A file with that text. */
export function fileOf(path: string, text: string): File {
  return { path, text, tree: ts.createSourceFile(path, text, ts.ScriptTarget.ESNext, true) };
}

/** The path of a file of the library. */
export function src(name: string): string {
  return `${LIBRARY}${name}.ts`;
}

/** The nodes of the files, which every rule walks. */
const NODES = new WeakMap<ts.SourceFile, readonly ts.Node[]>();

/** All nodes of a file. */
export function nodesOf(tree: ts.SourceFile): readonly ts.Node[] {
  const known = NODES.get(tree);
  if (known !== undefined) return known;
  const nodes: ts.Node[] = [];
  const visit = (node: ts.Node): void => {
    nodes.push(node);
    ts.forEachChild(node, visit);
  };
  visit(tree);
  NODES.set(tree, nodes);
  return nodes;
}

/** The line of a place in a file, from 1. */
export function lineOf({ tree }: File, at: number): number {
  return tree.getLineAndCharacterOfPosition(at).line + 1;
}

/** A breach with its line. */
export function told(file: File, node: ts.Node, sentence: string): string {
  return `line ${lineOf(file, node.getStart(file.tree))}: ${sentence}`;
}

/** What a file imports or exports again, as it is written there; types included. */
export function importsOf(tree: ts.SourceFile): string[] {
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

/** Whether a declaration has a modifier, such as `export`. */
export function hasModifier(node: ts.Node, kind: ts.SyntaxKind): boolean {
  if (!ts.canHaveModifiers(node)) return false;
  return ts.getModifiers(node)?.some((modifier) => modifier.kind === kind) ?? false;
}
