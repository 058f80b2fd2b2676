// The pages of docs/reference, made of the routes and the commands as they are.
import type { Command, Option } from "commander";
import { ERRORS } from "ductape";
import { z } from "zod";
import { namedSchemas, schemaName, SCHEMAS_AT } from "../src/openapi.js";
import { placeOf, takesBody, type Route } from "../src/route.js";

type Schema = z.core.JSONSchema.BaseSchema;

const HTTP_INTRO = `# HTTP reference

Generated from the routes of the server; a test compares them. A server provides the same as
OpenAPI 3.1 at \`/openapi.json\`, and for people at \`/docs\`.

- Each call under \`/v1\` sends \`Authorization: Bearer dk_...\`; its key needs one of the scopes
  that the route lists, for the product and the environment of the call.
- Bodies are JSON. An optional field may be left out or be \`{}\`. An unknown field is refused.
- A denial is an answer with status 200 and \`allowed: false\`. A fault is
  \`application/problem+json\` (RFC 9457), a [Problem](#problem) whose \`code\` is one of
  [ERRORS](../ERRORS.md). Any route may answer \`VALIDATION\`, \`REQUEST_TIMEOUT\`,
  \`BODY_TOO_LARGE\`, \`MEDIA_TYPE_UNSUPPORTED\`, \`HEADERS_TOO_LARGE\` and \`INTERNAL\`, and one
  with a key \`UNAUTHORIZED\`, \`FORBIDDEN\`, \`STORE_UNAVAILABLE\`, \`TIMEOUT\`, \`OVERLOADED\`
  and \`OUTCOME_UNKNOWN\`; each route below lists the others it may answer.
- Lists come in pages: pass \`next\` as \`after\` to get the next page, until it is null.
- \`ETag\` is the revision of a definition. With \`If-Match\` a call changes only that revision;
  with \`If-None-Match\` it fetches only a different one.`;

const CLI_INTRO = `# Command line reference

Generated from the commands; a test compares them. \`ductape <command> --help\` prints the same.

Commands work on a store in their own process (\`--store\`, or \`DUCTAPE_STORE\`), or through a
server (\`--url\` and \`--api-key\`, or \`DUCTAPE_URL\` and \`DUCTAPE_API_KEY\`). Data goes to
standard output, everything else to standard error. On a terminal data is a table, in colour unless
\`NO_COLOR\` is set; with \`--json\` it is one line of JSON in a stable form.`;

/** The page of these routes. */
export function httpPage(routes: readonly Route[]): string {
  const schemas = namedSchemas();
  const told = reachable(
    schemas,
    routes.flatMap((route) => [route.input, ...Object.values(route.answers).map((a) => a.schema)]),
  );
  return page([
    HTTP_INTRO,
    "## Routes",
    ...routes.flatMap(routeParts),
    "## Bodies",
    ...told.flatMap((name) => schemaParts(name, schemas[name] ?? {})),
  ]);
}

/** The page of a command and all that are under it. */
export function cliPage(program: Command): string {
  const exits = new Map<number, string[]>([[0, ["success"]]]);
  for (const [name, { exitCode }] of Object.entries(ERRORS)) {
    exits.set(exitCode, [...(exits.get(exitCode) ?? []), code(name)]);
  }
  const rows = [...exits]
    .toSorted(([a], [b]) => a - b)
    .map(([exit, why]) => [`${exit}`, why.join(", ")]);
  return page([
    CLI_INTRO,
    "## Exit codes",
    "[ERRORS](../ERRORS.md) explains each fault and what to do.",
    table(["Code", "Of what"], rows),
    ...program.commands.flatMap((command) => commandParts(command, program.name())),
  ]);
}

function routeParts(route: Route): string[] {
  const { method, summary, scopes, headers, input, answers, faults } = route;
  const lines = [`${summary}.`, ""];
  if (scopes !== null) lines.push(`- Scope: ${scopes.map(code).join(" or ")}`);
  else lines.push("- Needs no key");
  if (headers.length > 0) lines.push(`- Headers: ${headers.map(code).join(", ")}`);
  if (takesBody(method)) lines.push(`- Body: ${link(schemaName(input))}`);
  for (const [status, { description, schema, headers: sent = [] }] of Object.entries(answers)) {
    const body = schema === null ? "" : `, ${link(schemaName(schema))}`;
    const told = sent.length === 0 ? "" : `; headers ${sent.map(code).join(", ")}`;
    lines.push(`- ${status}${body}: ${lowered(description)}${told}`);
  }
  if (faults.length > 0) {
    lines.push(`- Faults: ${[...new Set(faults)].map(code).join(", ")}`);
  }
  const query = takesBody(method) ? [] : fieldsOf(z.toJSONSchema(input, { io: "input" }), "Query");
  return [`### ${method} ${placeOf(route)}`, lines.join("\n"), ...query];
}

function schemaParts(name: string, schema: Schema): string[] {
  const fields = fieldsOf(schema, "Field");
  const prose = schema.description ?? "";
  const form = fields.length === 0 ? [`${typeOf(schema)}.`] : fields;
  return [`### ${name}`, ...(prose === "" ? [] : [prose]), ...form];
}

/** A table of an object's fields; empty if it is not an object or has none. */
function fieldsOf({ properties = {}, required = [] }: Schema, head: string): string[] {
  const rows = Object.entries(properties).map(([name, field]) => {
    if (typeof field === "boolean") throw new Error(`the field ${name} is no schema`);
    const must = required.includes(name) ? "yes" : "no";
    return [code(name), typeOf(field), must, descriptionOf(field)];
  });
  return rows.length === 0 ? [] : [table([head, "Type", "Required", "What it is"], rows)];
}

/** In words, with links to the schemas it names. */
function typeOf(schema: Schema): string {
  const { $ref, type, const: only, enum: values, anyOf, items, properties } = schema;
  if ($ref !== undefined) return link($ref.slice(SCHEMAS_AT.length));
  if (only !== undefined) return code(JSON.stringify(only));
  if (values !== undefined) return values.map((each) => code(JSON.stringify(each))).join(", ");
  if (anyOf !== undefined) {
    // The page says only once that any optional field may be `{}`.
    const all = anyOf.filter((each) => each.$ref !== `${SCHEMAS_AT}Empty`).map(typeOf);
    return [...new Set(all)].join(" or ");
  }
  if (type === "array") {
    const item = items === undefined || typeof items === "boolean" || Array.isArray(items);
    return item ? "array" : `array of ${typeOf(items)}`;
  }
  if (properties !== undefined) return code(`{ ${Object.keys(properties).join(", ")} }`);
  const types = [type ?? "any"].flat();
  return `${types.join(" or ")}${rangeOf(schema)}`;
}

function rangeOf({ minimum, maximum, minLength, maxLength, format }: Schema): string {
  if (format !== undefined) return `, ${format}`;
  const isAny = minimum === -Number.MAX_SAFE_INTEGER;
  const [least, most] = [isAny ? undefined : (minimum ?? minLength), maximum ?? maxLength];
  const isWhole = most === undefined || most === Number.MAX_SAFE_INTEGER;
  if (least === undefined && isWhole) return "";
  const unit = minLength === undefined && maxLength === undefined ? "" : " characters";
  if (isWhole) return `, at least ${least}${unit}`;
  return least === undefined ? `, at most ${most}${unit}` : `, ${least} to ${most}${unit}`;
}

const descriptionOf = ({ description, anyOf = [] }: Schema): string =>
  description ?? anyOf.flatMap((each) => each.description ?? [])[0] ?? "";

function commandParts(command: Command, above: string): string[] {
  const name = `${above} ${command.name()}`;
  if (command.commands.length > 0) {
    return [
      `## ${name}`,
      `${sentence(command.description())}`,
      ...command.commands.flatMap((part) => commandParts(part, name)),
    ];
  }
  const flags = command.options.map((option) => [code(option.flags), flagText(option)]);
  const args = command.registeredArguments.map((argument) => {
    const choices = argument.argChoices ?? [];
    const among = choices.length === 0 ? "" : `: ${choices.join(", ")}`;
    return [
      code(argument.required ? `<${argument.name()}>` : `[${argument.name()}]`),
      `${argument.description}${among}`,
    ];
  });
  const rows = [...args, ...flags];
  const level = above.includes(" ") ? "###" : "##";
  return [
    `${level} ${name}`,
    sentence(command.description()),
    ...(rows.length === 0 ? [] : [table(["Argument", "What it is"], rows)]),
  ];
}

function flagText({
  description,
  defaultValue,
  envVar,
  mandatory,
  argChoices = [],
}: Option): string {
  const notes = [
    ...argChoices,
    ...(mandatory ? ["required"] : []),
    ...(defaultValue === undefined || typeof defaultValue === "boolean"
      ? []
      : [`default ${code(String(defaultValue))}`]),
    ...(envVar === undefined ? [] : [`or ${code(envVar)}`]),
  ];
  return notes.length === 0 ? description : `${description} (${notes.join("; ")})`;
}

/** The names of these schemas and of all that they name, in the order of the alphabet. */
function reachable(
  schemas: Readonly<Record<string, Schema>>,
  roots: readonly (z.ZodType | null)[],
): string[] {
  const named = roots.flatMap((each) =>
    each === null ? [] : (z.globalRegistry.get(each)?.id ?? []),
  );
  const found = new Set(["Problem", ...named]);
  for (const name of found) {
    const text = JSON.stringify(schemas[name]?.properties ?? schemas[name]);
    for (const [, other = ""] of text.matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)) {
      if (other !== "Empty") found.add(other);
    }
  }
  return [...found].toSorted();
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), `|${head.map(() => "---").join("|")}|`, ...rows.map(line)].join("\n");
}

const page = (parts: readonly string[]): string => `${parts.join("\n\n")}\n`;
const code = (text: string): string => `\`${text}\``;
const anchor = (title: string): string => title.toLowerCase();
const link = (name: string): string => `[${name}](#${anchor(name)})`;
const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
const lowered = (text: string): string =>
  /^[A-Z][a-z]/.test(text) ? `${text.charAt(0).toLowerCase()}${text.slice(1)}` : text;
