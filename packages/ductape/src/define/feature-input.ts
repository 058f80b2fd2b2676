import { kindOf, show } from "../base/errors.js";
import { Fields, shownName, unknownField, type Empty, type Issues } from "../base/field.js";
import { isLeftOut, isRecord } from "../base/json.js";

/** The type of a field of a feature's input; `json` is any JSON value. */
export type InputType = "integer" | "number" | "string" | "boolean" | "json";

/** A value of a field. */
type Value = string | number | boolean;

/** A field of a feature's input as it is defined. */
export interface InputField {
  readonly type: InputType;
  /** Default true, unless there is a `default`. */
  readonly required?: boolean | Empty | undefined;
  /** The value of a field that is left out. */
  readonly default?: Value | Empty | undefined;
  /** The least number. */
  readonly min?: number | Empty | undefined;
  /** The greatest number. */
  readonly max?: number | Empty | undefined;
  /** The most characters of a text, or of any JSON as text: 1..1,000,000. Default 10,000. */
  readonly max_length?: number | Empty | undefined;
  /** All values that it may have, up to 100. */
  readonly values?: readonly Value[] | Empty | undefined;
}

/** A parsed field: null where nothing is wanted. */
export interface InputFieldBody {
  readonly type: InputType;
  readonly required: boolean;
  readonly default: Value | null;
  readonly min: number | null;
  readonly max: number | null;
  readonly max_length: number | null;
  readonly values: readonly Value[] | null;
}

/** The fields of a feature's input by name. */
export type InputBody = Readonly<Record<string, InputFieldBody>>;

const TYPES: readonly InputType[] = ["integer", "number", "string", "boolean", "json"];
const FIELDS = ["type", "required", "default", "min", "max", "max_length", "values"] as const;
const FIELDS_MAX = 64;
const VALUES_MAX = 100;
const LENGTH_DEFAULT = 10_000;
const LENGTH_MAX = 1_000_000;
const NUMBERS: readonly InputType[] = ["integer", "number"];
const TEXTS: readonly InputType[] = ["string", "json"];

/** Parses the input that a feature takes; problems go to the issues of its definition. */
export function parseInputBody(feature: Fields): InputBody {
  const given = feature.get("input") ?? undefined;
  if (given === undefined) return {};
  const { issues } = feature;
  if (!isRecord(given)) {
    feature.refuse("input", `expects an object of fields, got ${kindOf(given)}`);
    return {};
  }
  const names = Object.keys(given);
  if (names.length > FIELDS_MAX) {
    feature.refuse("input", `expects at most ${FIELDS_MAX} fields, got ${names.length}`);
    return {};
  }
  const parsed = names.map((name) => {
    const path = feature.at(`input.${shownName(name)}`);
    if (!/^[A-Za-z][\w-]{0,63}$/.test(name)) {
      issues.add(path, "expects a name of 1 to 64 letters, digits, dashes and underscores");
    }
    return [name, parseField(new Fields(given[name], path, FIELDS, issues))] as const;
  });
  return Object.fromEntries(parsed);
}

function parseField(fields: Fields): InputFieldBody {
  const type = TYPES.find((each) => each === fields.get("type"));
  if (type === undefined) {
    const got = show(fields.get("type"));
    fields.refuse("type", `expects one of ${TYPES.join(", ")}, got ${got}`);
  }
  const min = bound(fields, "min", type);
  const max = bound(fields, "max", type);
  if (min !== null && max !== null && min > max) {
    fields.refuse("max", `expects at least min, ${min}, got ${max}`);
  }
  const body = { type: type ?? "string", min, max, max_length: lengthOf(fields, type) };
  const values = valuesOf(fields, { ...body, values: null });
  const otherwise = defaultOf(fields, { ...body, values });
  const required = fields.get("required") === null ? true : fields.flag("required", true);
  return { ...body, values, default: otherwise, required: required && otherwise === null };
}

function bound(fields: Fields, name: "min" | "max", type: InputType | undefined): number | null {
  const value = fields.get(name) ?? null;
  if (value === null) return null;
  if (type !== undefined && !NUMBERS.includes(type)) {
    fields.refuse(name, `does not apply to the type ${type}`);
  } else if (typeof value === "number" && Number.isFinite(value)) return value;
  else fields.refuse(name, `expects a finite number, got ${show(value)}`);
  return null;
}

function lengthOf(fields: Fields, type: InputType | undefined): number | null {
  const value = fields.get("max_length") ?? null;
  const isText = type === undefined || TEXTS.includes(type);
  if (value === null) return isText ? LENGTH_DEFAULT : null;
  if (!isText) fields.refuse("max_length", `does not apply to the type ${type}`);
  else if (typeof value === "number" && Number.isInteger(value)) {
    if (value >= 1 && value <= LENGTH_MAX) return value;
    fields.refuse("max_length", `expects 1 to ${LENGTH_MAX} characters, got ${value}`);
  } else fields.refuse("max_length", `expects an integer, got ${show(value)}`);
  return LENGTH_DEFAULT;
}

type Wanted = Omit<InputFieldBody, "required" | "default">;

function valuesOf(fields: Fields, body: Wanted): readonly Value[] | null {
  const given = fields.get("values") ?? null;
  if (given === null) return null;
  if (!Array.isArray(given) || given.length === 0 || given.length > VALUES_MAX) {
    fields.refuse("values", `expects an array of 1 to ${VALUES_MAX} values, got ${show(given)}`);
    return null;
  }
  const values = Array.from(given, (value: unknown, i) => {
    const wrong = body.type === "json" ? "does not apply to the type json" : whyNot(value, body);
    fields.refuse(`values[${i}]`, wrong);
    return isValue(value) ? value : "";
  });
  return values;
}

function defaultOf(fields: Fields, body: Wanted): Value | null {
  const value = fields.get("default") ?? null;
  if (value === null) return null;
  fields.refuse(
    "default",
    isValue(value) ? whyNot(value, body) : `expects a text, a number, true or false`,
  );
  return isValue(value) ? value : null;
}

const isValue = (value: unknown): value is Value =>
  typeof value === "string" || typeof value === "number" || typeof value === "boolean";

/** What is wrong with the value of a field; null: nothing. */
function whyNot(value: unknown, body: Wanted): string | null {
  const { type, min, max, max_length, values } = body;
  const wrong = whyOtherType(value, type);
  if (wrong !== null) return wrong;
  if (typeof value === "number" && min !== null && value < min) {
    return `expects at least ${min}, got ${value}`;
  }
  if (typeof value === "number" && max !== null && value > max) {
    return `expects at most ${max}, got ${value}`;
  }
  const length = typeof value === "string" ? value.length : 0;
  if (max_length !== null && length > max_length) {
    return `expects at most ${max_length} characters, got ${length}`;
  }
  if (values === null || values.some((each) => each === value)) return null;
  return `expects one of ${values.map(show).join(", ")}, got ${show(value)}`;
}

function whyOtherType(value: unknown, type: InputType): string | null {
  switch (type) {
    case "integer":
      return Number.isSafeInteger(value) ? null : `expects an integer, got ${show(value)}`;
    case "number":
      return Number.isFinite(value) ? null : `expects a finite number, got ${show(value)}`;
    case "string":
      if (typeof value !== "string") return `expects a text, got ${show(value)}`;
      return value.isWellFormed() ? null : "expects well-formed Unicode, got a lone surrogate";
    case "boolean":
      return typeof value === "boolean" ? null : `expects true or false, got ${show(value)}`;
    case "json":
      return null;
  }
}
/**
 * The input of a call in the form of its definition: a copy with the defaults of fields that are
 * left out, so a caller may change its object afterwards. Problems go to `issues`.
 */
export function inputLike(
  given: unknown,
  body: InputBody,
  issues: Issues,
): Readonly<Record<string, unknown>> {
  const input = isLeftOut(given) ? {} : given;
  if (!isRecord(input)) {
    issues.add("input", `expects an object, got ${kindOf(input)}`);
    return {};
  }
  const known = Object.keys(body);
  for (const name of Object.keys(input)) {
    if (Object.hasOwn(body, name)) continue;
    const wrong = known.length === 0 ? "is not known: the feature takes no input" : null;
    issues.add(`input.${shownName(name)}`, wrong ?? unknownField(name, known));
  }
  const entries = Object.entries(body).flatMap(([name, field]) => {
    const value = Object.hasOwn(input, name) ? input[name] : undefined;
    const taken = valueFor(value, field, `input.${name}`, issues);
    return taken === undefined ? [] : [[name, taken] as const];
  });
  return Object.fromEntries(entries);
}

function valueFor(value: unknown, field: InputFieldBody, path: string, issues: Issues): unknown {
  if (value === undefined || (field.type !== "json" && isLeftOut(value))) {
    if (field.default !== null) return field.default;
    if (field.required) issues.add(path, `is required: ${nameOf(field.type)}`);
    return undefined;
  }
  if (field.type === "json") return jsonLike(value, field, path, issues);
  issues.add(path, whyNot(value, field));
  return value;
}

function jsonLike(
  value: unknown,
  { max_length }: InputFieldBody,
  path: string,
  issues: Issues,
): unknown {
  const text = jsonText(value);
  if (text === null) issues.add(path, "expects JSON: text, numbers, objects and so on");
  else if (max_length !== null && text.length > max_length) {
    issues.add(path, `expects at most ${max_length} characters as JSON, got ${text.length}`);
  } else {
    const copy: unknown = JSON.parse(text);
    return copy;
  }
  return null;
}

/** Null for what JSON cannot hold, such as an object that contains itself. */
function jsonText(value: unknown): string | null {
  try {
    return JSON.stringify(value) ?? null;
  } catch {
    return null;
  }
}

function nameOf(type: InputType): string {
  if (type === "boolean") return "true or false";
  if (type === "json") return "any JSON";
  return type === "string" ? "a text" : `${type === "integer" ? "an" : "a"} ${type}`;
}
