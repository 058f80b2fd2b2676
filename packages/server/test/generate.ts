import type { randomOf } from "../../ductape/test/support.js";
import { recordOf } from "./support.js";

/** Random numbers with a seed. */
export type Random = ReturnType<typeof randomOf>;

/** An object of JSON. */
export type Json = Readonly<Record<string, unknown>>;

/** Texts that each field is filled with, most of which mean something to the server. */
export type Pools = Readonly<Record<string, readonly unknown[]>>;

const TAGS = ["shop", "q", "users", "prd", "dev", "c", "login", "nope", "a/b", "é"];
/** Texts for fields, most of which mean something to the server of the test. */
export const POOLS: Pools = {
  env: ["prd", "prd", "prd", "dev", "nope"],
  slug: ["prd", "dev", "x"],
  product: ["shop", "shop", "shop", "other", "nope"],
  product_tag: ["shop", "shop", "shop", "other"],
  quota_tag: ["q", "users", "users", "several", "nope"],
  component_tag: ["q", "users"],
  component_type: ["quota"],
  tag: TAGS,
  "tag of quotas": ["q", "users", "several", "nope", "a/b"],
  "tag of caches": ["c", "c", "nope"],
  "tag of features": ["f", "f", "nope"],
  feature: ["f", "f", "nope"],
  "tag of sessions": ["login", "login", "nope"],
  subject: ["u1", "u2", { userId: "u3", plan: "pro" }, { userId: 5 }],
  cache: ["c", "c", "nope"],
  rule: ["default", "*", "a"],
  idempotency_key: ["k1", "k2", "k3"],
  amount: [0, 1, 2, 3, 0.5],
  scope: ["product", "$Session{userId}", "$Session"],
  selector: ["$Session{userId}", "$Input{x}"],
  by: ["$Session{plan}"],
  time_zone: ["UTC", "Europe/Paris", "Mars/Base"],
  alerts: [[0.5, 1], [], [2]],
  window: ["calendar", "rolling"],
  anchor: ["2026-01-31T00:00:00Z", null, "x"],
  period: ["day", "month", "hours", "lifetime", { every: 2, unit: "week" }],
  expiry: [1, 7, 1_000],
  schema: [{ userId: "u", plan: "free" }],
  data: [{ userId: "u1", plan: "free" }, { userId: "u2" }],
  issuer: ["https://issuer.example"],
  limit: [1, 5, 100, null],
  if_revision: [1, 2],
  inputs: [[]],
  after: ["a", "q", '[1,"u1"]'],
  force: ["true", "false"],
  products: [["*"], ["shop"]],
  environments: [["*"], ["prd"]],
  identifier: ["u1", "u2"],
};

/** Values that no field is made for. */
export const HOSTILE: readonly unknown[] = [
  null,
  true,
  -1,
  1.5,
  1e300,
  2 ** 53,
  -0,
  "",
  " ",
  "\0",
  "\ud800",
  "\u{1F600}".repeat(200),
  "a".repeat(300),
  "__proto__",
  "constructor",
  "../../etc/passwd",
  "%2e%2e%2f",
  "'; DROP TABLE cells; --",
  "${jndi:ldap://x}",
  "$Session{__proto__}{polluted}",
  "\r\nSet-Cookie: a=b",
  [],
  [[]],
  [null],
  {},
  { a: 1 },
  JSON.parse('{ "__proto__": { "polluted": 1 } }'),
  Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`m${i}`, i])),
  Array.from({ length: 300 }, (_, i) => i),
];

/** A tag that few definitions have. */
export const newTag = (random: Random): string => `made-${random.below(1_000)}`;

const WHERE = { product_tag: "shop", env: "prd" } as const;
const heldBy = (random: Random) => ({ ...WHERE, reservation: `r${random.below(20)}` });

/** Bodies about features that are right. */
export const FEATURE_BODIES: Readonly<Record<string, (random: Random) => Json>> = {
  "POST /v1/products/{product}/features": (random) => ({
    tag: newTag(random),
    input: { n: { type: "integer", min: 1 } },
    quotas: [{ quota: "q", amount: "min($Input{n} * 2, 9)" }],
  }),
  "PATCH /v1/products/{product}/features/{tag}": () => ({ ttl_ms: 1_000 }),
  "POST /v1/features/{feature}/run": () => WHERE,
  "POST /v1/features/{feature}/reserve": heldBy,
  "POST /v1/features/{feature}/commit": heldBy,
  "POST /v1/features/{feature}/extend": heldBy,
  "POST /v1/features/{feature}/release": heldBy,
  "POST /v1/features/{feature}/enabled": () => WHERE,
};

/** Makes values that a JSON Schema of the document allows. */
export class Generator {
  readonly #schemas: Json;
  readonly #random: Random;
  readonly #pools: Pools;

  constructor(schemas: Json, random: Random, pools: Pools) {
    this.#schemas = schemas;
    this.#random = random;
    this.#pools = pools;
  }

  /** A value of a schema, for the field of this name. */
  value(schema: unknown, name = "", depth = 0): unknown {
    const { $ref, anyOf, const: only, enum: choices, type } = recordOf(schema);
    const pool = this.#pools[name];
    if (pool !== undefined && this.#random.next() < 0.9) return this.#random.pick(pool);
    if (typeof $ref === "string") {
      return this.value(this.#schemas[$ref.split("/").at(-1) ?? ""], name, depth);
    }
    if (Array.isArray(anyOf)) return this.value(this.#random.pick(anyOf), name, depth);
    if (only !== undefined) return only;
    if (Array.isArray(choices)) return this.#random.pick(choices);
    return this.#ofType(type, recordOf(schema), name, depth);
  }

  #ofType(type: unknown, schema: Json, name: string, depth: number): unknown {
    const { below, pick, next } = this.#random;
    if (type === "string") return pick(["a", "b", "text", "2026-01-31T00:00:00Z"]);
    if (type === "number" || type === "integer") return next() < 0.8 ? below(5) : below(1e6) / 4;
    if (type === "boolean") return next() < 0.5;
    if (type === "null") return null;
    if (type === "array") {
      return Array.from({ length: below(4) }, () => this.value(schema["items"] ?? {}, name, depth));
    }
    if (type === "object") return this.#object(schema, depth);
    return pick(HOSTILE);
  }

  #object({ properties = {}, required = [], additionalProperties }: Json, depth: number): Json {
    const wanted = Array.isArray(required) ? required : [];
    const members = Object.entries(recordOf(properties)).filter(
      ([name]) => wanted.includes(name) || this.#random.next() < 0.35,
    );
    const known = members.map(([name, schema]) => [name, this.value(schema, name, depth + 1)]);
    const isOpen = typeof additionalProperties === "object" && depth < 4;
    const { not } = recordOf(isOpen ? additionalProperties : { not: {} });
    if (not !== undefined) return Object.fromEntries(known);
    return { ...Object.fromEntries(known), ...this.#pick("data") };
  }

  #pick(name: string): Json {
    return recordOf(this.#random.pick(this.#pools[name] ?? [{}]));
  }
}

/** The value with one thing in it that is not as it was: a member gone, new, renamed, another's. */
export function mutated(value: unknown, random: Random): unknown {
  const { next, pick } = random;
  if (typeof value !== "object" || value === null || next() < 0.1) return pick(HOSTILE);
  if (Array.isArray(value)) {
    const i = random.below(value.length + 1);
    return [...value.slice(0, i), mutated(value[i] ?? null, random), ...value.slice(i + 1)];
  }
  const names = Object.keys(value);
  const name = names.length === 0 ? "x" : pick(names);
  const { [name]: member, ...rest } = recordOf(value);
  const way = next();
  if (way < 0.25) return rest;
  if (way < 0.45) return { ...rest, [`${name}x`]: member };
  if (way < 0.6) return { ...value, [pick(["x", "toString", "length", "id"])]: pick(HOSTILE) };
  return { ...rest, [name]: mutated(member, random) };
}
