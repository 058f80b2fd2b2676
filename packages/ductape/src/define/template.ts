import { show } from "../base/errors.js";
import { shownName, type Issues } from "../base/field.js";
import { isRecord } from "../base/json.js";
import { checkText } from "../base/text.js";
import { expressionIn, found, type ExpressionScope } from "./expression.js";

/**
 * Data with expressions in it: a text with a `$` is an expression, any other text stays as it is.
 */
export type Template = string | number | boolean | null | { readonly [name: string]: Template };

const CHARS_MAX = 1_000;
const DEPTH_MAX = 8;
const MEMBERS_MAX = 64;

/** Parses a template; problems go to `issues`, and null takes the place of what is wrong. */
export function parseTemplate(value: unknown, path: string, issues: Issues, depth = 0): Template {
  if (value === null || typeof value === "boolean") return value;
  if (typeof value === "number" && Number.isFinite(value)) return value;
  if (typeof value === "string") {
    issues.add(path, whyNoText(value));
    return value;
  }
  if (isRecord(value)) return parseMembers(value, path, issues, depth);
  const wanted = "expects a text, a number, true, false, null or an object of these";
  issues.add(path, `${wanted}, got ${show(value)}`);
  return null;
}

function parseMembers(
  value: Record<string, unknown>,
  path: string,
  issues: Issues,
  depth: number,
): Template {
  const members = Object.entries(value);
  if (depth >= DEPTH_MAX) issues.add(path, `expects at most ${DEPTH_MAX} levels`);
  if (members.length > MEMBERS_MAX) {
    issues.add(path, `expects at most ${MEMBERS_MAX} members, got ${members.length}`);
  }
  if (depth >= DEPTH_MAX || members.length > MEMBERS_MAX) return null;
  // fromEntries makes every name an own member, even `__proto__`.
  return Object.fromEntries(
    members.map(([name, member]) => {
      const at = `${path}.${shownName(name)}`;
      issues.add(at, checkText(name));
      return [name, parseTemplate(member, at, issues, depth + 1)] as const;
    }),
  );
}

function whyNoText(text: string): string | null {
  if (text.includes("$")) {
    const expression = expressionIn(text);
    return typeof expression === "string" ? expression : null;
  }
  if (text.length > CHARS_MAX) {
    return `expects at most ${CHARS_MAX} characters, got ${text.length}`;
  }
  return text.isWellFormed() ? null : "expects well-formed Unicode, got a lone surrogate";
}

/** Every text with an expression in a template, with its path. */
export function expressionsIn(
  value: Template,
  path: string,
): { readonly path: string; readonly text: string }[] {
  if (typeof value === "string") return value.includes("$") ? [{ path, text: value }] : [];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, member]) =>
    expressionsIn(member, `${path}.${shownName(name)}`),
  );
}
/**
 * The data that a template stands for. What a path does not find is null; a calculation that fails
 * is null too, and an issue.
 */
export function filledIn(
  value: Template,
  scope: ExpressionScope,
  path: string,
  issues: Issues,
): unknown {
  if (typeof value === "string" && value.includes("$")) {
    const expression = expressionIn(value);
    if (typeof expression === "string") throw new Error(`${path}: ${expression}`);
    const { value: filled, wrong } = found(expression, scope);
    issues.add(path, wrong);
    return filled;
  }
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [
      name,
      filledIn(member, scope, `${path}.${shownName(name)}`, issues),
    ]),
  );
}
