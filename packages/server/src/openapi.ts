import { DuctapeError, ERRORS, ValidationError, type ErrorCode } from "ductape";
import { z } from "zod";
import { PROBLEM_TYPE, problemOf } from "./problem.js";
import { placeOf, takesBody, type Answer, type Route } from "./route.js";
import { PROBLEM } from "./schema/problem.js";
import { EXAMPLES } from "./schema/examples.js";
import { described, WORDS } from "./schema/words.js";

/** A part of an OpenAPI document: plain JSON. */
type Json = { readonly [name: string]: unknown };

/** The prefix of references to schemas. */
export const SCHEMAS_AT = "#/components/schemas/";

/** The faults that any route may answer. */
const OF_ALL: readonly ErrorCode[] = [
  "VALIDATION",
  "REQUEST_TIMEOUT",
  "BODY_TOO_LARGE",
  "MEDIA_TYPE_UNSUPPORTED",
  "HEADERS_TOO_LARGE",
  "INTERNAL",
];
/** The additional faults of any route with a key. */
const OF_KEYED: readonly ErrorCode[] = [
  "UNAUTHORIZED",
  "FORBIDDEN",
  "STORE_UNAVAILABLE",
  "TIMEOUT",
  "OVERLOADED",
  "OUTCOME_UNKNOWN",
];

/** Descriptions of answer headers. */
const HEADERS: Readonly<Record<string, string>> = {
  ETag: "The revision, in quotes.",
  Location: "The path of the new definition.",
  "RateLimit-Policy":
    "For each rule with a limit: the limit (q), its unit (qu) unless that is requests, the " +
    "seconds of its window (w) and an opaque key of the counter (pk), as in " +
    "draft-ietf-httpapi-ratelimit-headers-11. At most 2 kB, else only the binding rule.",
  RateLimit:
    "For each such rule: what is left (r), the seconds until the reset (t) and the key (pk).",
  "Retry-After": "Seconds to wait before the next try.",
};

/** Descriptions of request headers. */
const REQUEST_HEADERS: Readonly<Record<string, string>> = {
  Accept: "Only JSON leads to /openapi.json, anything else to /docs.",
  "Accept-Encoding": "With gzip, the file is sent compressed.",
  "Idempotency-Key": "Replaces the field idempotency_key.",
  "If-Match": "An ETag: changes only that revision, else answers 412.",
  "If-None-Match": "An ETag: answers 304 if it is still current.",
};

/** The OpenAPI 3.1 document of these routes: what they accept and what they answer. */
export function openApiOf(routes: readonly Route[], version: string): Json {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of routes) {
    const path = placeOf(route);
    const operations = paths[path] ?? {};
    operations[route.method.toLowerCase()] = operationOf(route);
    paths[path] = operations;
  }
  return {
    openapi: "3.1.1",
    info: {
      title: "Ductape Quotas",
      version,
      description: "Who may use how much in which period, decided in one call.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/" }],
    security: [{ key: [] }],
    tags: [...new Set(routes.map(groupOf))].map(([name, description]) => ({ name, description })),
    paths,
    components: {
      schemas: schemas(),
      examples: faultExamples(routes),
      securitySchemes: { key: { type: "http", scheme: "bearer", description: "A key dk_..." } },
    },
  };
}

/** The groups of routes, by the first part of their path or the third under a product. */
const GROUPS: Readonly<Record<string, readonly [name: string, description: string]>> = {
  quota: ["decisions", "Count, check, and change what is counted."],
  reservations: ["holds", "What is set aside for work in progress."],
  features: ["runs of features", "Reserve the quotas of a feature, do its work, and charge it."],
  products: ["products", "Products, to which quotas belong."],
  "products/environments": [
    "environments",
    "Where a product runs. Each environment counts on its own.",
  ],
  "products/quotas": ["quotas", "Who may use how much in which period."],
  "products/sessions": [
    "session definitions",
    "The data of user sessions, and how to identify the user.",
  ],
  "products/features": ["features", "What a product does, with the quotas that it uses."],
  "products/caches": ["caches", "How old an answer to a check may be."],
  apply: ["configuration", "All definitions of a file at once."],
  sessions: ["sessions", "Tokens that identify the user."],
  usage: ["usage", "Who has used how much."],
  keys: ["keys", "Who may call this server, and for what."],
};
const SERVER = ["server", "The server itself. Needs no key."] as const;

function groupOf({ path, scopes }: Route) {
  if (scopes === null) return SERVER;
  const [first = "", , third] = path.replace("/v1/", "").split("/");
  const group = GROUPS[`${first}/${third}`] ?? GROUPS[first];
  if (group === undefined) throw new Error(`GROUPS has no description for ${path}`);
  return group;
}

function operationOf(route: Route): Json {
  const { summary, scopes, answers } = route;
  const responses: Record<string, unknown> = {};
  for (const [status, answer] of Object.entries(answers)) responses[status] = answerOf(answer);
  for (const [status, codes] of faultsOf(route)) responses[status] = problemAnswer(codes, status);
  return {
    operationId: operationIdOf(route),
    summary,
    tags: [groupOf(route)[0]],
    ...(scopes === null ? { security: [] } : {}),
    ...(scopes === null ? {} : { description: `Scope: ${scopes.join(" or ")}.` }),
    ...parametersOf(route),
    ...(takesBody(route.method) ? { requestBody: bodyOf(route.input) } : {}),
    responses,
  };
}

/** An id such as `post_quota_run`. */
function operationIdOf({ method, path }: Route): string {
  const words = path.split("/").filter((part) => part !== "" && part !== "v1");
  const named = words.map((word) => (word.startsWith(":") ? `by_${word.slice(1)}` : word));
  return [method.toLowerCase(), ...named].join("_").replaceAll(/[^\w]/g, "_");
}

function parametersOf(route: Route): Json {
  const inPath = [...route.path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: "path",
    description: WORDS[name ?? ""],
    required: true,
    schema: { type: "string", minLength: 1, maxLength: 255 },
  }));
  const inHeader = route.headers.map((name) => ({
    name,
    in: "header",
    description: REQUEST_HEADERS[name],
    required: false,
    schema: { type: "string" },
  }));
  const parameters = [...inPath, ...inHeader, ...(takesBody(route.method) ? [] : queryOf(route))];
  return parameters.length === 0 ? {} : { parameters };
}

function queryOf({ input }: Route): Json[] {
  const { properties = {}, required = [] } = schemaOf(input);
  if (typeof properties !== "object" || properties === null || !Array.isArray(required)) return [];
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: "query",
    required: required.includes(name),
    schema,
  }));
}

function bodyOf(schema: z.ZodType): Json {
  return { required: true, content: contentOf(schema) };
}

function answerOf({ description, schema, headers = [] }: Answer): Json {
  return {
    description,
    ...(headers.length === 0 ? {} : { headers: headersOf(headers) }),
    ...(schema === null ? {} : { content: contentOf(schema) }),
  };
}

/** A body with its schema and examples. */
function contentOf(schema: z.ZodType): Json {
  const shown = Object.entries(EXAMPLES[schemaName(schema)] ?? {});
  const examples = Object.fromEntries(shown.map(([summary, value]) => [summary, { value }]));
  const some = shown.length === 0 ? {} : { examples };
  return { "application/json": { schema: referenceOf(schema), ...some } };
}

function headersOf(names: readonly string[]): Json {
  return Object.fromEntries(
    names.map((name) => [name, { description: HEADERS[name], schema: { type: "string" } }]),
  );
}

/** A problem of each code that these routes may answer. */
function faultExamples(routes: readonly Route[]): Json {
  const codes = new Set(routes.flatMap((route) => [...faultsOf(route).values()].flat()));
  const shown = [...codes].toSorted().map((code) => {
    const fault =
      code === "VALIDATION"
        ? new ValidationError([
            { path: "amount", message: "expects a number of 0 or more, got -1" },
          ])
        : new DuctapeError(code, "what is wrong with this request, in words");
    return [code, { value: problemOf(fault, "aVQ3x1Zc-1c") }] as const;
  });
  return Object.fromEntries(shown);
}

/** The codes of a route's faults, by status. */
function faultsOf({ faults, scopes }: Route): Map<string, ErrorCode[]> {
  const common = scopes === null ? OF_ALL : [...OF_ALL, ...OF_KEYED];
  const byStatus = new Map<string, ErrorCode[]>();
  for (const code of new Set([...common, ...faults])) {
    const status = String(ERRORS[code].httpStatus);
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
    // The condition of a header has a status of its own (RFC 9110, 13.2.2).
    if (code === "REVISION_CONFLICT") byStatus.set("412", [code]);
  }
  return byStatus;
}

function problemAnswer(codes: readonly ErrorCode[], status: string): Json {
  return {
    description: codes.join(", "),
    ...(status === "503" ? { headers: headersOf(["Retry-After"]) } : {}),
    content: {
      [PROBLEM_TYPE]: {
        schema: referenceOf(PROBLEM),
        examples: Object.fromEntries(
          codes.map((code) => [code, { $ref: `#/components/examples/${code}` }]),
        ),
      },
    },
  };
}

const referenceOf = (schema: z.ZodType): Json => ({ $ref: `${SCHEMAS_AT}${schemaName(schema)}` });

/** The name of a body's schema in the document. */
export function schemaName(schema: z.ZodType): string {
  const id = z.globalRegistry.get(schema)?.id;
  if (id === undefined) throw new Error("a schema of a route has no id");
  return id;
}

/** All named schemas, by name. */
export function namedSchemas(): Readonly<Record<string, z.core.JSONSchema.BaseSchema>> {
  const uri = (id: string): string => `${SCHEMAS_AT}${id}`;
  const named = z.toJSONSchema(z.globalRegistry, { io: "input", uri }).schemas;
  return Object.fromEntries(
    Object.entries(named).map(([id, schema]) => [id, described(id, schema)]),
  );
}

function schemas(): Json {
  return Object.fromEntries(
    Object.entries(namedSchemas()).map(([id, schema]) => [id, plain(schema)]),
  );
}

function schemaOf(schema: z.ZodType): Json {
  return plain(described("Query", z.toJSONSchema(schema, { io: "input" })));
}

/** A schema without its dialect and its id. */
function plain({ $schema: _dialect, $id: _id, id: _name, ...schema }: Json): Json {
  return schema;
}
