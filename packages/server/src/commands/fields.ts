import { Option, type Command } from "commander";
import { ValidationError } from "ductape";
import { z } from "zod";
import { stepsOf } from "../configuration/file.js";
import { hintOf } from "../configuration/hint.js";

type Shape = Readonly<Record<string, z.ZodType>>;
type JsonSchema = z.core.JSONSchema.BaseSchema;

/** Adds a flag for each field of a definition except its name: `--time-zone` for `time_zone`. */
export function withFieldFlags(command: Command, { shape }: { readonly shape: Shape }, id: string) {
  for (const [name, schema] of Object.entries(shape)) {
    if (name === id || name === "if_revision") continue;
    command.addOption(new Option(`--${flagOf(name)} <value>`, textOf(schema)));
  }
  return command;
}

/** The fields of a definition given by flags, each in the form that its schema accepts. */
export function fieldsOf(
  flags: Readonly<Record<string, unknown>>,
  { shape }: { readonly shape: Shape },
): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  for (const [name, schema] of Object.entries(shape)) {
    const text = flags[new Option(`--${flagOf(name)} <value>`).attributeName()];
    if (typeof text === "string") fields[name] = valueOf(text, schema);
  }
  return fields;
}

/** Adds to each issue of `fields` a suggestion of what to write, if there is one. */
export async function hinted<T>(kind: string, fields: unknown, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ValidationError)) throw error;
    const issues = error.issues.map(({ path, message }) => {
      const value = stepsOf(path).reduce(memberOf, fields);
      const hint = hintOf({ path: `${kind}.${path}`, message, value, form: "flag" });
      return { path, message: message + hint };
    });
    throw new ValidationError(issues, { cause: error });
  }
}

function memberOf(value: unknown, name: string | number): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  return Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined;
}

const flagOf = (name: string): string => name.replaceAll("_", "-");

/**
 * The text itself or the JSON in it, whichever the field accepts; if neither, the more likely one.
 */
function valueOf(text: string, schema: z.ZodType): unknown {
  const json = parsed(text);
  const isStructure = typeof json === "object" && json !== null;
  const readings = isStructure ? [json, text] : [text, json];
  const taken = readings.find((each) => each !== undefined && schema.safeParse(each).success);
  return taken ?? json ?? text;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The description of a field and the forms it accepts. */
function textOf(schema: z.ZodType): string {
  const { $defs = {}, ...root } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
  const takes = [...new Set(formsOf(root, $defs))].join(", ");
  const described = descriptionOf(root)?.replace(/\.$/, "");
  return described === undefined ? takes : `${described} (${takes})`;
}

function descriptionOf({ description, anyOf = [] }: JsonSchema): string | undefined {
  if (description !== undefined) return description;
  return anyOf.flatMap((each) => descriptionOf(each) ?? [])[0];
}

/** Words for everything that a schema accepts, except null, which `--unset` covers. */
function formsOf(schema: JsonSchema, defs: Readonly<Record<string, JsonSchema>>): string[] {
  const { $ref, anyOf, enum: words, type } = schema;
  if ($ref !== undefined) {
    const name = $ref.replace("#/$defs/", "");
    const named = name === "Empty" ? undefined : defs[name];
    return named === undefined ? [] : formsOf(named, defs);
  }
  if (anyOf !== undefined) return anyOf.flatMap((each) => formsOf(each, defs));
  if (words !== undefined) return words.map(String);
  return [type ?? []].flat().flatMap((each) => TYPES[each] ?? []);
}

const TYPES: Readonly<Record<string, string>> = {
  string: "a text",
  number: "a number",
  integer: "an integer",
  boolean: "true, false",
  object: "JSON",
  array: "a JSON array",
};
