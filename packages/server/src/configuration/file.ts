import { ValidationError, type Configuration, type Issue } from "ductape";
import { isAlias, isMap, isPair, isScalar, isSeq, LineCounter, parseDocument } from "yaml";
import type { Document, Node, Scalar } from "yaml";
import { hintOf } from "./hint.js";
import { syntaxFault } from "./syntax.js";

/** A configuration read from a file. */
export interface ConfigurationFile {
  /** Its content, not yet checked: `product.apply` does that. */
  readonly configuration: Configuration;
  /** An issue with its line and column: `ductape.yaml:12:5`. */
  at(issue: Issue): Issue;
}

/** The most nodes that aliases may expand to, so that a small file stays small. */
const ALIASES_MAX = 100;

/**
 * Reads YAML 1.2, which includes JSON. `name` is the name of the file. Throws `VALIDATION` with
 * the line and column of the first mistake.
 */
export function readConfiguration(text: string, name: string): ConfigurationFile {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const placeAt = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${name}:${line}:${col}`;
  };
  const [fault] = document.errors;
  if (fault !== undefined) {
    const { offset, message } = syntaxFault(text, fault);
    throw new ValidationError([{ path: placeAt(offset), message }]);
  }
  return {
    configuration: valueOf(document, name),
    at({ path, message }) {
      const steps = stepsOf(path);
      const { value, source } = scalarAt(document, steps) ?? {};
      const hint = hintOf({ path, message, value, source, form: "yaml" });
      return {
        path: placeAt(offsetOf(document, steps)),
        message: `${path}: ${message}${hint}`,
      };
    },
  };
}

function valueOf(document: Document, name: string): Configuration {
  try {
    return document.toJS({ maxAliasCount: ALIASES_MAX });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new ValidationError([{ path: name, message }], { cause: error });
  }
}

/** The steps of an issue's path, such as `products[0].limit.values."a.b"`. */
export function stepsOf(path: string): readonly (string | number)[] {
  const steps: (string | number)[] = [];
  for (const [, index, quoted, plain] of path.matchAll(
    /\[(\d+)\]|("(?:[^"\\]|\\.)*")|([^.[\]]+)/g,
  )) {
    if (index !== undefined) steps.push(Number(index));
    else steps.push(quoted === undefined ? (plain ?? "") : String(JSON.parse(quoted)));
  }
  return steps;
}

/** The offset of the last step of a path that exists in the document. */
function offsetOf(document: Document, steps: readonly (string | number)[]): number {
  let node: unknown = document.contents;
  let offset = startOf(node) ?? 0;
  for (const step of steps) {
    if (isAlias(node)) node = node.resolve(document);
    const next = memberOf(node, step);
    if (next === null) break;
    offset = startOf(next.named) ?? offset;
    node = next.value;
  }
  return offset;
}

/** The text, number or boolean at a path; null if there is none. */
function scalarAt(document: Document, steps: readonly (string | number)[]): Scalar | null {
  let node: unknown = document.contents;
  for (const step of steps) {
    if (isAlias(node)) node = node.resolve(document);
    node = memberOf(node, step)?.value;
  }
  return isScalar(node) ? node : null;
}

/** A member of a list or a map: its node, and the node of its key. */
function memberOf(node: unknown, step: string | number): { named: unknown; value: unknown } | null {
  if (isSeq(node) && typeof step === "number" && step < node.items.length) {
    const value = node.items[step];
    return { named: value, value };
  }
  if (!isMap(node)) return null;
  const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step));
  return isPair(pair) ? { named: pair.key, value: pair.value } : null;
}

function startOf(node: unknown): number | null {
  const isNode = (value: unknown): value is Node => isScalar(value) || isMap(value) || isSeq(value);
  if (!isNode(node) && !isAlias(node)) return null;
  return node.range?.[0] ?? null;
}
