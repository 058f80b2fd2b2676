import { Agent, request, type IncomingHttpHeaders } from "node:http";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Store } from "ductape";
import { MemoryStore } from "../../ductape/src/stores/memory/memory.js";
import { draws } from "../../ductape/test/draws.js";
import { randomOf, seedOf } from "../../ductape/test/support.js";
import {
  FEATURE_BODIES,
  Generator,
  HOSTILE,
  mutated,
  newTag,
  POOLS,
  type Json,
  type Pools,
  type Random,
} from "./generate.js";
import { filesOfDocs, recordOf, start, type Started } from "./support.js";

const seed = seedOf();

/** A request, all of it text that is put on the wire. */
interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: string | undefined;
  /** The operation that it is meant for; null: none. */
  readonly operation: Operation | null;
}

interface Answered {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

interface Operation {
  readonly method: string;
  readonly path: string;
  readonly definition: Json;
}

let server: Started;
let store: Store;
const agent = new Agent({ keepAlive: true, maxSockets: 4 });
beforeAll(async () => {
  store = new MemoryStore(Date.now);
  server = await start({ store });
  server.ductape.features.handle("shop", "f", () => 1);
});
afterAll(async () => {
  agent.destroy();
  await server.close();
});

it(`answers valid, mutated and hostile requests as its document says (SEED=${seed})`, async () => {
  const random = randomOf(seed);
  const document = (await server.call("/openapi.json")).body;
  const answers = new Answers(document);
  const operations = operationsOf(document);
  pools = { ...pools, file: await filesOfDocs(server.url) };
  const succeeded = new Set<string>();
  const refused = new Set<string>();
  const statuses = new Map<number, number>();
  let requests = 0;
  for (const i of draws("REQUESTS", { least: 500, seconds: 15 })) {
    requests++;
    if (i % 25 === 0) pools = { ...pools, ...(await prepare()) };
    const asked = requestOf(operations, random, document);
    const before = await counters();
    const answered = await send(asked);
    const shown = JSON.stringify({ asked, answered }).slice(0, 2_000);
    statuses.set(answered.status, (statuses.get(answered.status) ?? 0) + 1);
    expect(answered.status, shown).toBeLessThan(500);
    expect(answers.wrongIn(asked, answered), shown).toBe(null);
    if (answered.status >= 400) expect(await counters(), shown).toEqual(before);
    if (isWithoutKey(asked)) expect([400, 401, 415], shown).toContain(answered.status);
    const name = `${asked.operation?.method} ${asked.operation?.path}`;
    (answered.status < 400 ? succeeded : refused).add(name);
  }
  console.log(`answers by status: ${JSON.stringify([...statuses].toSorted(([a], [b]) => a - b))}`);
  expect(server.warnings.filter((warning) => warning.includes("internal"))).toEqual([]);
  // A run that reached nothing would show nothing.
  expect(statuses.get(200) ?? 0).toBeGreaterThan(requests / 5);
  if (requests >= 10_000) {
    const failed = operations.filter(({ method, path }) => !succeeded.has(`${method} ${path}`));
    expect(failed).toEqual([]);
    expect(refused.size).toBeGreaterThan(operations.length / 2);
  }
}, 1_800_000);

let pools: Pools = POOLS;

const TARGET = { product: "shop", env: "prd", tag: "login" };

/** Bodies that are right, where the schema alone seldom gives one. */
const FITTING: Readonly<Record<string, (random: Random) => unknown>> = {
  "POST /v1/quota/run": (random) => quotaInput(random),
  "POST /v1/quota/batch": (random) => ({
    inputs: [quotaInput(random), quotaInput(random)],
    atomic: random.next() < 0.5,
  }),
  "POST /v1/products": (random) => ({ tag: newTag(random), name: "Made" }),
  "PATCH /v1/products/{product}": () => ({ name: "Changed", description: null }),
  "POST /v1/products/{product}/environments": (random) => ({ slug: newTag(random) }),
  "PATCH /v1/products/{product}/environments/{env}": () => ({ env_name: "Changed" }),
  "POST /v1/products/{product}/quotas": (random) => ({
    tag: newTag(random),
    limit: { by: "$Session{plan}", values: { free: 1, pro: null }, default: 1 },
    period: { every: 2, unit: "week" },
    alerts: [0.8, 1],
  }),
  "PATCH /v1/products/{product}/quotas/{tag}": () => ({ description: "Changed" }),
  "POST /v1/products/{product}/caches": (random) => ({ tag: newTag(random), expiry: 9 }),
  "PATCH /v1/products/{product}/caches/{tag}": () => ({ expiry: 10 }),
  ...FEATURE_BODIES,
  "POST /v1/products/{product}/sessions": (random) => ({
    tag: newTag(random),
    schema: { userId: "u" },
    selector: "$Session{userId}",
    expiry: 1,
  }),
  "PATCH /v1/products/{product}/sessions/{tag}": () => ({ encrypted: false }),
  "POST /v1/apply": (random) => ({
    products: [{ tag: "shop", caches: [{ tag: newTag(random), expiry: 9 }] }],
  }),
  "POST /v1/sessions/start": () => ({ ...TARGET, data: { userId: "u4" } }),
  "POST /v1/sessions/decrypt": (random) => ({ ...TARGET, token: oneOf("token", random) }),
  "POST /v1/sessions/refresh": (random) => ({
    ...TARGET,
    [random.pick(["refresh_token", "refreshToken"])]: oneOf("refreshToken", random),
  }),
  "POST /v1/sessions/revoke": () => ({ ...TARGET, identifier: "u4" }),
  "POST /v1/sessions/list": () => TARGET,
  "POST /v1/sessions/rotate": () => ({ product: "shop", env: "prd" }),
  "POST /v1/keys": () => ({ scopes: ["usage:read"], products: ["shop"], environments: ["*"] }),
};

function quotaInput(random: Random): unknown {
  const action = random.pick(["check", "increment", "decrement", "set", "reset", "grant"]);
  const amount = action === "reset" ? {} : { amount: random.below(4) };
  const quota_tag = random.pick(["q", "users", "several"]);
  const who = quota_tag === "users" ? { subject: random.pick(["u1", "u2"]) } : {};
  const rule = quota_tag === "several" ? { rule: "*" } : {};
  const more = random.pick([{}, { cache: "c" }, { idempotency_key: `k${random.below(50)}` }]);
  const input = { env: "prd", product_tag: "shop", quota_tag, action };
  return { ...input, ...amount, ...who, ...(action === "increment" ? {} : rule), ...more };
}

/** Makes again what was deleted, so that requests go on to reach something. */
async function prepare(): Promise<Record<string, readonly unknown[]>> {
  const { product, processor } = server.ductape;
  const scope = "$Session{userId}";
  const rules = ["a", "b"].map((name) => ({ name, limit: 50, period: "day" as const }));
  const schema = { userId: "u", plan: "free" };
  const session = { tag: "login", schema, selector: scope, expiry: 9 };
  const made: (() => Promise<unknown>)[] = [
    () => product.create({ tag: "shop" }),
    () => product.environments.create("shop", { slug: "prd" }),
    () => product.environments.update("shop", "prd", { active: true }),
    () => product.quotas.create("shop", { tag: "q", limit: 100, period: "day" }),
    () => product.quotas.create("shop", { tag: "users", limit: 20, period: "day", scope }),
    () => product.quotas.create("shop", { tag: "several", rules }),
    () => product.caches.create("shop", { tag: "c", expiry: 50 }),
    () => product.features.create("shop", { tag: "f", quotas: [{ quota: "q" }] }),
    () => product.sessions.create("shop", session),
  ];
  for (const make of made) await make().catch(() => undefined);
  const target = { product: "shop", env: "prd", tag: "login" };
  const started = await processor.sessions.start({ ...target, data: { userId: "u1" } });
  const limited = await server.keys.create(
    { scopes: ["quota:check", "sessions:*"], products: ["shop"], environments: ["prd"] },
    { id: "test", name: "test" },
  );
  const { token, refreshToken, sessionId } = started;
  return {
    token: [token, token, `login:${token}`, "x.y.z"],
    refreshToken: [refreshToken, refreshToken, "x"],
    sessionId: [sessionId, "x"],
    session: [
      { tag: "login", token },
      { tag: "login", token: "x" },
    ],
    id: [limited.id, "nobody"],
    key: [limited.key],
  };
}

function operationsOf(document: Json): Operation[] {
  return Object.entries(recordOf(document["paths"])).flatMap(([path, methods]) =>
    Object.entries(recordOf(methods)).map(([method, definition]) => {
      return { method: method.toUpperCase(), path, definition: recordOf(definition) };
    }),
  );
}

function requestOf(operations: readonly Operation[], random: Random, document: Json): Asked {
  const schemas = recordOf(recordOf(document["components"])["schemas"]);
  const generator = new Generator(schemas, random, pools);
  const operation = random.pick(operations);
  if (operation === undefined) throw new Error("the document has no operations");
  const way = random.next();
  const parameters = listOf(operation.definition["parameters"]);
  const path = pathOf(operation, parameters, random, way);
  const headers = headersOf(operation, random, way);
  for (const { name } of parameters.filter((each) => each["in"] === "header")) {
    if (random.next() < 0.3) headers[String(name)] = random.pick(['"1"', '"2"', "k1", "*", "x"]);
  }
  const body = bodyOf(operation, generator, random, way);
  if (body !== undefined) headers["content-type"] ??= "application/json";
  const isOther = way > 0.97;
  const method = isOther ? random.pick(["PUT", "POST", "DELETE", "OPTIONS"]) : operation.method;
  const isMeant = !isOther && path.isMeant;
  return { method, path: path.text, headers, body, operation: isMeant ? operation : null };
}

function pathOf(
  { path }: Operation,
  parameters: readonly Json[],
  random: Random,
  way: number,
): { text: string; isMeant: boolean } {
  let isMeant = true;
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const kind = name === "tag" ? `tag of ${path.split("/")[4]}` : name;
    const value = way > 0.9 && random.next() < 0.3 ? random.pick(HOSTILE) : oneOf(kind, random);
    const text = typeof value === "string" ? value.toWellFormed() : JSON.stringify(value);
    // These are other paths, or none.
    if (text === "" || text.length > 255) isMeant = false;
    return encodeURIComponent(text);
  });
  const query = parameters
    .filter((each) => each["in"] === "query")
    .filter(({ required }) => (required === true && way < 0.9) || random.next() < 0.3)
    .map(({ name }) => {
      const value = way > 0.8 ? random.pick(HOSTILE) : queryValue(String(name), random);
      const text = typeof value === "string" ? value.toWellFormed() : JSON.stringify(value);
      return `${String(name)}=${encodeURIComponent(text)}`;
    });
  if (way > 0.95 && random.next() < 0.3) query.push("x=1", "limit=1&limit=2");
  return { text: query.length === 0 ? filled : `${filled}?${query.join("&")}`, isMeant };
}

const queryValue = (name: string, random: Random): unknown =>
  name === "limit" ? random.pick([1, 2, 100]) : oneOf(name, random);

function oneOf(name: string, random: Random): unknown {
  const pool = pools[name] ?? ["a"];
  return pool[random.below(pool.length)];
}

function headersOf({ path }: Operation, random: Random, way: number): Record<string, string> {
  const headers: Record<string, string> = {};
  const luck = random.next();
  const key = luck < 0.9 ? server.root : luck < 0.95 ? String(oneOf("key", random)) : null;
  if (key !== null && path.startsWith("/v1")) headers["authorization"] = `Bearer ${key}`;
  if (way > 0.93 && random.next() < 0.2) headers["content-type"] = "text/plain";
  if (way > 0.93 && random.next() < 0.1) headers["content-encoding"] = "gzip";
  if (way > 0.93 && random.next() < 0.1) headers["authorization"] = "Bearer dk_x";
  return headers;
}

function bodyOf(
  { method, path, definition }: Operation,
  generator: Generator,
  random: Random,
  way: number,
): string | undefined {
  if (definition["requestBody"] === undefined) return undefined;
  const content = recordOf(recordOf(definition["requestBody"])["content"]);
  const { schema } = recordOf(content["application/json"]);
  const fitting = way < 0.4 ? FITTING[`${method} ${path}`] : undefined;
  if (fitting !== undefined) return JSON.stringify(fitting(random));
  let value = generator.value(schema, "body");
  if (Array.isArray(Object(value).inputs))
    value = { ...recordOf(value), inputs: inputsOf(generator, random) };
  if (way > 0.55) value = mutated(value, random);
  const text = JSON.stringify(value) ?? "";
  if (way < 0.94) return text;
  const at = random.below(text.length);
  return random.pick([
    text.slice(0, at),
    `${text.slice(0, at)}\u0000${text.slice(at)}`,
    `${"[".repeat(500)}${text}`,
    text.replace(/\d/, "99999999999999999999"),
    text.padEnd(70_000, " "),
    "",
  ]);
}

function inputsOf(generator: Generator, random: Random): unknown[] {
  return Array.from({ length: random.below(5) }, () => {
    const input = generator.value({ $ref: "#/components/schemas/QuotaInput" });
    return random.next() < 0.3 ? mutated(input, random) : input;
  });
}

function isWithoutKey({ path, headers, operation }: Asked): boolean {
  return operation !== null && path.startsWith("/v1") && headers["authorization"] === undefined;
}

function send({ method, path, headers, body }: Asked): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const lengths = body === undefined ? {} : { "content-length": Buffer.byteLength(body) };
    const options = { agent, method, path, headers: { ...headers, ...lengths } };
    const call = request(`${server.url}`, options, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => {
        const text = Buffer.concat(chunks).toString("utf8");
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text });
      });
    });
    call.on("error", reject);
    call.end(body);
  });
}

/** All counters, as text. */
async function counters(): Promise<string> {
  const all: string[] = [];
  for await (const { space, subject, counter } of store.scan("")) {
    all.push(JSON.stringify([space, subject, counter]));
  }
  return all.toSorted().join("\n");
}

/** Checks answers against the document. */
class Answers {
  readonly #ajv = new Ajv2020({ strict: false, allErrors: false });
  readonly #compiled = new Map<string, ValidateFunction>();

  constructor(document: Json) {
    addFormats.default(this.#ajv);
    this.#ajv.addSchema(document, "document");
  }

  /** What is wrong with an answer; null: nothing. */
  wrongIn({ method, operation }: Asked, { status, headers, text }: Answered): string | null {
    if (headers["x-request-id"] === undefined) return "it has no request id";
    const type = (headers["content-type"] ?? "").split(";")[0];
    const wanted = operation === null ? null : recordOf(operation.definition["responses"])[status];
    if (operation !== null && wanted === undefined && status !== 404) {
      return `${method} ${operation.path} does not tell of ${status}`;
    }
    if (wanted === undefined || wanted === null) {
      return status < 400 ? null : this.#mismatch("#/components/schemas/Problem", text);
    }
    const content = recordOf(recordOf(wanted)["content"] ?? {});
    if (Object.keys(content).length === 0) return null;
    const body = content[type ?? ""];
    if (body === undefined)
      return `it is ${type}, the document says ${Object.keys(content).join()}`;
    return this.#mismatch(String(recordOf(recordOf(body)["schema"])["$ref"]), text);
  }

  #mismatch(reference: string, text: string): string | null {
    const known = this.#compiled.get(reference);
    const validate = known ?? this.#ajv.compile({ $ref: `document${reference}` });
    this.#compiled.set(reference, validate);
    return validate(JSON.parse(text)) === true ? null : this.#ajv.errorsText(validate.errors);
  }
}

function listOf(value: unknown): Json[] {
  return Array.isArray(value) ? value.map(recordOf) : [];
}
