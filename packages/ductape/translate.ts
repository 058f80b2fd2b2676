// Makes Lua of functions of the library, so that a script of the Redis store decides by the same
// source as every other store.
import { createRequire } from "node:module";
import type ts from "typescript";
import type { Plugin } from "typescript-to-lua";

// Loaded where something is translated: a program from source on another store has no use for them.
const require = createRequire(import.meta.url);
const load = (): [typeof ts, typeof import("typescript-to-lua")] => [
  require("typescript"),
  require("typescript-to-lua"),
];

/** TypeScript files by name. */
export type Sources = Readonly<Record<string, string>>;

/**
 * Lua 5.1 with the functions of `roots` and all that they use, as local names of one scope. The
 * functions `given` are called, and left to Lua written by hand, as are those that the functions
 * `after` are made of, which the Lua around this one has. Throws where the source has no
 * Lua, would mean something else there, or wants a library, which each run of a script would make
 * anew.
 */
export function luaOf(
  roots: readonly string[],
  given: readonly string[],
  sources: Sources,
  after: readonly string[] = [],
): string {
  const [typescript, toLua] = load();
  const named = declarationsIn(typescript, sources);
  const outer = after.length === 0 ? [] : needed(typescript, after, roots, named).functions;
  const known = [...given, ...outer].filter((name) => !roots.includes(name));
  const { transpiledFiles, diagnostics } = toLua.transpileVirtualProject(
    { "main.ts": needed(typescript, roots, known, named).text },
    {
      target: typescript.ScriptTarget.ESNext,
      lib: ["lib.es2015.d.ts"],
      types: [],
      skipLibCheck: true,
      strict: true,
      noUncheckedIndexedAccess: true,
      luaTarget: toLua.LuaTarget.Lua51,
      luaLibImport: toLua.LuaLibImportKind.None,
      luaPlugins: [{ plugin: refusals(typescript) }],
      noImplicitGlobalVariables: true,
      noImplicitSelf: true,
      noHeader: true,
    },
  );
  const faults = diagnostics.map(({ messageText, file, start = 0 }) => {
    const line = file?.text.slice(start).split("\n")[0] ?? "";
    return `${typescript.flattenDiagnosticMessageText(messageText, "\n")}: ${line}`;
  });
  const lua = transpiledFiles.find(({ outPath }) => outPath.endsWith("main.lua"))?.lua ?? "";
  for (const [helper] of lua.matchAll(/__TS__\w+/g)) faults.push(`wants a library for ${helper}`);
  if (faults.length > 0) throw new Error(`cannot be made Lua:\n${faults.join("\n")}`);
  return lua;
}

/** Refuses what the compiler takes, and what means something else in Lua. */
function refusals(typescript: typeof ts): Plugin {
  const { SyntaxKind, TypeFlags } = typescript;
  const refuse = (node: ts.Node, why: string): never => {
    throw new Error(`cannot be made Lua: ${node.getText()}: ${why}`);
  };
  const refuseHoles = (items: readonly ts.Expression[], checker: ts.TypeChecker): void => {
    for (const item of items) {
      const type = checker.getTypeAtLocation(item);
      const parts = type.isUnion() ? type.types : [type];
      const isHole = parts.some(
        ({ flags }) => (flags & (TypeFlags.Undefined | TypeFlags.Null)) !== 0,
      );
      if (isHole) refuse(item, "no array of Lua can hold what may be null");
    }
  };
  return {
    visitors: {
      [SyntaxKind.CallExpression]: (node, context) => {
        const callee = node.expression.getText();
        if (callee === "Math.round") refuse(node, "it is rounded in another way from 2^52 on");
        if (callee.endsWith(".push")) refuseHoles(node.arguments, context.checker);
        return context.superTransformExpression(node);
      },
      [SyntaxKind.ArrayLiteralExpression]: (node, context) => {
        refuseHoles(node.elements, context.checker);
        return context.superTransformExpression(node);
      },
      [SyntaxKind.TemplateExpression]: (node) =>
        refuse(node, "a number is written with 14 digits at the most"),
    },
  };
}

/** What the roots need of the sources, as the text of one file, and its functions. */
function needed(
  typescript: typeof ts,
  roots: readonly string[],
  given: readonly string[],
  named: ReadonlyMap<string, readonly ts.Statement[]>,
): { text: string; functions: string[] } {
  const texts: string[] = [];
  const functions: string[] = [];
  const seen = new Set<ts.Statement>();
  const need = (name: string): void => {
    const [statement, other] = named.get(name) ?? [];
    if (statement === undefined || seen.has(statement)) return;
    if (other !== undefined) throw new Error(`cannot be made Lua: ${name} is declared twice`);
    seen.add(statement);
    const text = statement.getText().replace(/^export /, "");
    const isFunction = typescript.isFunctionDeclaration(statement);
    if (isFunction) functions.push(name);
    const isGiven = given.includes(name) && isFunction;
    const body = isGiven ? (statement.body?.getText() ?? "") : "";
    for (const each of referencesIn(typescript, statement, isGiven)) need(each);
    // After what it needs, as a constant may be worked out from another.
    texts.push(isGiven ? `declare ${text.slice(0, -body.length)};` : text);
  };
  roots.forEach(need);
  return { text: texts.join("\n"), functions };
}

function declarationsIn(typescript: typeof ts, sources: Sources): Map<string, ts.Statement[]> {
  const named = new Map<string, ts.Statement[]>();
  for (const [file, text] of Object.entries(sources)) {
    const { statements } = typescript.createSourceFile(
      file,
      text,
      typescript.ScriptTarget.ESNext,
      true,
    );
    for (const statement of statements) {
      for (const name of namesOf(typescript, statement)) {
        named.set(name, [...(named.get(name) ?? []), statement]);
      }
    }
  }
  return named;
}

function namesOf(typescript: typeof ts, statement: ts.Statement): string[] {
  if (typescript.isVariableStatement(statement)) {
    return statement.declarationList.declarations.map(({ name }) => name.getText());
  }
  const isNamed =
    typescript.isFunctionDeclaration(statement) ||
    typescript.isClassDeclaration(statement) ||
    typescript.isInterfaceDeclaration(statement) ||
    typescript.isTypeAliasDeclaration(statement);
  return isNamed && statement.name !== undefined ? [statement.name.text] : [];
}

/** The names that a statement refers to, but for those that it declares itself. */
function referencesIn(typescript: typeof ts, statement: ts.Statement, noBody: boolean): string[] {
  const names = new Set<string>();
  const own = new Set<string>();
  const isVariable = (node: ts.Node): boolean =>
    typescript.isBindingElement(node) ||
    typescript.isParameter(node) ||
    (typescript.isVariableDeclaration(node) && node.parent.parent !== statement);
  const visit = (node: ts.Node): void => {
    if (noBody && typescript.isBlock(node)) return;
    if (typescript.isIdentifier(node)) {
      const { parent } = node;
      const isName = "name" in parent && parent.name === node;
      if (!isName || typescript.isShorthandPropertyAssignment(parent)) names.add(node.text);
      else if (isVariable(parent)) own.add(node.text);
    }
    typescript.forEachChild(node, visit);
  };
  visit(statement);
  return [...names].filter((name) => !own.has(name));
}
