import { isUtf8 } from "node:buffer";
import { show, unknownField, ValidationError, type Issue } from "ductape";
import type { z } from "zod";

/** The deepest nesting of a body, more than any valid input has. */
const DEPTH_MAX = 32;
const ISSUES_MAX = 32;

/**
 * Parses a body as JSON. Throws `VALIDATION` if it is not JSON in UTF-8, is nested deeper than 32
 * levels, or has a number beyond 2^53 - 1, which would be read as a different one.
 */
export function parseJson(body: Buffer): unknown {
  if (body.length === 0) throw invalid("body", "expects JSON, got nothing");
  // Invalid UTF-8 would all become the same character, so two keys could become one.
  if (!isUtf8(body)) throw invalid("body", "expects JSON in UTF-8");
  const text = body.toString("utf8");
  const mayBeLarge = scan(text);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Not the parser's message, which quotes the body and so might show a token.
    throw invalid("body", "expects JSON, got invalid JSON");
  }
  if (mayBeLarge) refuseLarge(value, "");
  return value;
}

const [QUOTE, BACKSLASH, ZERO, NINE] = [0x22, 0x5c, 0x30, 0x39];
/** A number with fewer digits is below 2^53, unless it has an exponent. */
const DIGITS_MIN = 16;

/**
 * Scans each character once before anything is built. Throws if the nesting is too deep; returns
 * true if a number may be beyond 2^53 - 1.
 */
function scan(text: string): boolean {
  let [depth, digits, isText, mayBeLarge] = [0, 0, false, false];
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (isText) {
      if (unit === BACKSLASH) i++;
      else if (unit === QUOTE) isText = false;
    } else if (unit >= ZERO && unit <= NINE) {
      if (++digits >= DIGITS_MIN) mayBeLarge = true;
    } else {
      // "e" and "E" occur in numbers, and in true and false, where a check does no harm.
      if (digits > 0 && (unit === 0x65 || unit === 0x45)) mayBeLarge = true;
      digits = 0;
      if (unit === QUOTE) isText = true;
      else if (unit === 0x5b || unit === 0x7b) depth++;
      else if (unit === 0x5d || unit === 0x7d) depth--;
      if (depth > DEPTH_MAX)
        throw invalid("body", `expects at most ${DEPTH_MAX} levels of nesting`);
    }
  }
  return mayBeLarge;
}

function refuseLarge(value: unknown, path: string): void {
  if (typeof value === "number" && Math.abs(value) > Number.MAX_SAFE_INTEGER) {
    const message = `expects a number from -(2^53 - 1) to 2^53 - 1, got ${show(value)}`;
    throw invalid(path === "" ? "body" : path, message);
  }
  if (typeof value !== "object" || value === null) return;
  for (const [name, member] of Object.entries(value)) {
    const step = Array.isArray(value) ? `[${name}]` : `${path === "" ? "" : "."}${shown(name)}`;
    refuseLarge(member, `${path}${step}`);
  }
}

const shown = (name: string): string => (/^\w{1,64}$/.test(name) ? name : show(name));

/**
 * Checks the form of a value that came over the wire; its meaning is checked by the library. The
 * value itself is passed on, not a copy. Throws `VALIDATION` with one issue for each wrong field,
 * after `prefix`; `name` is that of the whole.
 */
export function checkWire<S extends z.ZodType>(
  schema: S,
  value: unknown,
  name: string,
  prefix = "",
): asserts value is z.input<S> {
  const { success, error } = schema.safeParse(value);
  if (success) return;
  const issues = error.issues.flatMap((issue) => issuesOf(issue, value, []));
  const listed = issues.slice(0, ISSUES_MAX).map(({ path, message }) => ({
    path: path === "" ? name : `${prefix}${path}`,
    message,
  }));
  throw new ValidationError(listed);
}

type Path = readonly PropertyKey[];
type WireIssue = z.core.$ZodIssue;

/** The issues in the fields of `input`, whose path is `above`. */
function issuesOf(issue: WireIssue, input: unknown, above: Path): Issue[] {
  const path = [...above, ...issue.path];
  const value = issue.path.reduce(memberOf, input);
  if (issue.code === "unrecognized_keys") {
    const known = issue.message.split(" ");
    return issue.keys.map((key) => ({
      path: pathText([...path, key]),
      message: unknownField(key, known),
    }));
  }
  if (issue.code === "invalid_union") return unionIssues(issue, value, path);
  return [{ path: pathText(path), message: messageOf(issue, value, path) }];
}

/** Those of the alternative that is the nearest: of the right type, else the first. */
function unionIssues(
  issue: Extract<WireIssue, { code: "invalid_union" }>,
  value: unknown,
  path: Path,
): Issue[] {
  const isDeeper = (issues: readonly WireIssue[]): boolean =>
    issues.some((each) => each.path.length > 0 || each.code === "unrecognized_keys");
  const alternatives = issue.errors;
  // `{}` is the last alternative of optional fields: what it says of others helps nobody.
  const named = alternatives.length > 1 ? alternatives.slice(0, -1) : alternatives;
  const nearest = named.find(isDeeper) ?? named[0] ?? [];
  return nearest.flatMap((each) => issuesOf(each, value, path));
}

function messageOf(issue: WireIssue, value: unknown, path: Path): string {
  const got = isSecret(path) && typeof value === "string" ? "a string" : show(value);
  if (issue.code === "invalid_type") {
    const wanted = TYPES[issue.expected] ?? issue.expected;
    return value === undefined ? `is required: ${wanted}` : `expects ${wanted}, got ${got}`;
  }
  if (issue.code === "invalid_value") {
    const values = issue.values.map(String);
    const wanted =
      values.length === 1 ? `expects ${values[0]}` : `expects one of ${values.join(", ")}`;
    // A schema may say what to do instead.
    const note = issue.message.startsWith("Invalid ") ? "" : `; ${issue.message}`;
    if (typeof value !== "string") return `${wanted}; got ${got}${note}`;
    const near = /did you mean (.*)\?$/.exec(unknownField(value, values))?.[1];
    return `${wanted}; got ${got}${near === undefined ? note : `: did you mean ${near}?`}`;
  }
  return `${issue.message}, got ${got}`;
}

const TYPES: Readonly<Record<string, string>> = {
  string: "a string",
  number: "a number",
  boolean: "true or false",
  object: "an object",
  record: "an object",
  array: "an array",
  null: "null",
};

const isSecret = (path: Path): boolean => /token/i.test(String(path.at(-1)));

function memberOf(value: unknown, name: PropertyKey): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  return Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined;
}

function pathText(path: Path): string {
  return path
    .map((name, i) => {
      if (typeof name === "number") return `[${name}]`;
      return `${i === 0 ? "" : "."}${shown(String(name))}`;
    })
    .join("");
}

function invalid(path: string, message: string): ValidationError {
  return new ValidationError([{ path, message }]);
}
