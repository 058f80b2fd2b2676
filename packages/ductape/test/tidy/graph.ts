// What holds between files: no cycle of imports, and no export that nobody needs.
import { readFileSync } from "node:fs";
import { posix } from "node:path";
import ts from "typescript";
import { hasModifier, LIBRARY, nodesOf, ROOT, SERVER, src, type File, type Rule } from "./files.js";

/** Every name of a file, in a {@link Use}. */
const ALL = "*";

/** A name of a file of the project that another file takes. */
interface Use {
  readonly from: string;
  readonly target: string;
  readonly name: string;
}

const {
  compilerOptions,
}: { readonly compilerOptions: { readonly paths: Readonly<Record<string, readonly string[]>> } } =
  JSON.parse(readFileSync(`${ROOT}tsconfig.json`, "utf8"));

/** The files that the packages publish: what they export is for others. */
const ENTRIES = new Set(
  ["packages/ductape/", "packages/server/"].flatMap((folder) => {
    const config = readFileSync(`${ROOT}${folder}tsdown.config.ts`, "utf8");
    return [...config.matchAll(/"(src\/[^"]+\.ts)"/g)].map(([, path]) => `${folder}${path}`);
  }),
);

/** The rules that need more than one file to be seen. */
export const GRAPH_RULES: Readonly<Record<string, Rule>> = {
  "is in no cycle of imports, types included": {
    breaches: (files) => cyclesIn(files.filter(isSource)),
    planted: [
      [
        [
          [src("base/a"), 'import type { B } from "./b.js"; export type A = B;'],
          [src("base/b"), 'export type B = import("./c.js").C;'],
          [src("base/c"), 'export type { A as C } from "./a.js";'],
        ],
        [`${src("base/a")} -> ${src("base/b")} -> ${src("base/c")} -> ${src("base/a")}`],
      ],
      [
        [
          [`${SERVER}a.ts`, 'import "./b.js";'],
          [`${SERVER}b.ts`, 'const a = await import("./a.js");'],
        ],
        [`${SERVER}a.ts -> ${SERVER}b.ts -> ${SERVER}a.ts`],
      ],
    ],
    kept: [
      [
        [src("base/a"), 'import "./b.js"; import "./c.js";'],
        [src("base/b"), 'import "./c.js";'],
        [src("base/c"), 'import "node:fs";'],
      ],
    ],
  },
  "exports nothing that no other file takes": {
    breaches: (files) => needless(files, (users) => users.length === 0),
    planted: [
      [[[src("base/a"), "export const a = 1, b = a;"]], [`${src("base/a")}: a, b`]],
      [
        [
          [src("base/a"), "export interface A {} export class B {} export function c() {}"],
          [src("base/b"), 'import { B as A } from "./a.js"; new A();'],
        ],
        [`${src("base/a")}: A, c`],
      ],
      [
        [
          [`${SERVER}a.ts`, "export type A = 1;"],
          [src("a"), 'import { A } from "./a.js";'],
        ],
        [`${SERVER}a.ts: A`],
      ],
    ],
    kept: [
      [[src("index"), "export const a = 1;"]],
      [["bench/a.ts", "export const a = 1;"]],
      [
        [src("base/a"), "export enum A {} export type B = 1; export const c = 1;"],
        [src("index"), 'export { A } from "./base/a.js";'],
        ["packages/ductape/test/b.test.ts", 'type B = import("../src/base/a.js").B;'],
        ["bench/c.ts", 'const { c } = await import("../packages/ductape/src/base/a.js");'],
      ],
    ],
  },
  "exports nothing that tests alone use": {
    breaches: (files) =>
      needless(files, (users, file, name) => {
        const isTested = users.length > 0 && users.every((path) => path.includes("/test/"));
        return isTested && namedIn(file, name) < 2;
      }),
    planted: [
      [
        [
          [src("base/a"), "export const a = 1; export const b = 1;"],
          [`packages/ductape/test/a.test.ts`, 'import { a } from "../src/base/a.js";'],
        ],
        [`${src("base/a")}: a`],
      ],
    ],
    kept: [
      [
        [src("base/a"), "export const a = 1; const b = a;"],
        [`packages/ductape/test/a.test.ts`, 'import { a } from "../src/base/a.js";'],
      ],
    ],
  },
};

const isSource = ({ path }: File): boolean => path.startsWith(LIBRARY) || path.startsWith(SERVER);

/** Each cycle once, as the way around it. */
function cyclesIn(files: readonly File[]): string[] {
  const targets = new Map(
    files.map((file) => [file.path, new Set(usesOf(file).map(({ target }) => target))]),
  );
  const done = new Set<string>();
  const found: string[] = [];
  const walk = (path: string, way: readonly string[]): void => {
    const at = way.indexOf(path);
    if (at !== -1) found.push([...way.slice(at), path].join(" -> "));
    if (at !== -1 || done.has(path)) return;
    for (const target of targets.get(path) ?? []) walk(target, [...way, path]);
    done.add(path);
  };
  for (const path of targets.keys()) walk(path, []);
  return found;
}

/** The exports of sources whose users are as `isNeedless` says, by file. */
function needless(
  files: readonly File[],
  isNeedless: (users: readonly string[], file: File, name: string) => boolean,
): string[] {
  const users = new Map<string, string[]>();
  for (const { from, target, name } of files.flatMap(usesOf)) {
    const key = `${target} ${name}`;
    users.set(key, [...(users.get(key) ?? []), from]);
  }
  return files.filter(isSource).flatMap((file) => {
    if (ENTRIES.has(file.path)) return [];
    const of = (name: string): string[] => users.get(`${file.path} ${name}`) ?? [];
    const names = exportsOf(file).filter((name) =>
      isNeedless([...of(name), ...of(ALL)], file, name),
    );
    return names.length === 0 ? [] : [`${file.path}: ${names.join(", ")}`];
  });
}

/** How often a name stands in a file. */
function namedIn({ tree }: File, name: string): number {
  return nodesOf(tree).filter((node) => ts.isIdentifier(node) && node.text === name).length;
}

/** What a file declares and exports. */
function exportsOf({ tree }: File): string[] {
  return tree.statements.flatMap((node) => {
    if (!hasModifier(node, ts.SyntaxKind.ExportKeyword)) return [];
    const declared = ts.isVariableStatement(node) ? node.declarationList.declarations : [node];
    return declared.flatMap((each) => {
      const name = ts.getNameOfDeclaration(each as ts.Declaration);
      return name !== undefined && ts.isIdentifier(name) ? [name.text] : [];
    });
  });
}

/** What a file takes of others of the project. */
function usesOf(file: File): Use[] {
  return nodesOf(file.tree).flatMap((node) => {
    const [specifier, names] = takenBy(node);
    const target = specifier === null ? null : targetOf(file.path, specifier);
    return target === null ? [] : names.map((name) => ({ from: file.path, target, name }));
  });
}

function takenBy(node: ts.Node): readonly [specifier: string | null, names: string[]] {
  if (ts.isImportDeclaration(node)) {
    const bindings = node.importClause?.namedBindings;
    return [textOf(node.moduleSpecifier), bindings === undefined ? [""] : namesOf(bindings)];
  }
  if (ts.isExportDeclaration(node)) {
    const clause = node.exportClause;
    return [textOf(node.moduleSpecifier), clause === undefined ? [ALL] : namesOf(clause)];
  }
  if (ts.isImportTypeNode(node)) {
    const { argument, qualifier } = node;
    const name = qualifier?.getText().split(".")[0] ?? ALL;
    return [ts.isLiteralTypeNode(argument) ? textOf(argument.literal) : null, [name]];
  }
  const isImport = ts.isCallExpression(node) && node.expression.kind === IMPORT;
  return isImport ? [textOf(node.arguments[0]), [ALL]] : [null, []];
}

const IMPORT = ts.SyntaxKind.ImportKeyword;

function namesOf(bindings: ts.NamedImportBindings | ts.NamedExportBindings): string[] {
  if (!ts.isNamedImports(bindings) && !ts.isNamedExports(bindings)) return [ALL];
  return bindings.elements.map(({ propertyName, name }) => (propertyName ?? name).text);
}

function textOf(node: ts.Node | undefined): string | null {
  return node !== undefined && ts.isStringLiteralLike(node) ? node.text : null;
}

/** The file of the project that a name means; null for a package. */
function targetOf(path: string, name: string): string | null {
  if (name.startsWith(".")) return posix.join(posix.dirname(path), name.replace(/\.js$/, ".ts"));
  return compilerOptions.paths[name]?.[0]?.replace("./", "") ?? null;
}
