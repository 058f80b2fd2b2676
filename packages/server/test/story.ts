// The examples of the OpenAPI document as one story, played against a real server.
import { manualClock } from "ductape/testing";
import { REQUESTS } from "../src/schema/examples.js";
import { recordOf, start, type Reply } from "./support.js";

/** One call: its example, and that of its answer; by their schema and what they are of. */
export interface Scene {
  readonly method: string;
  readonly path: string;
  readonly body?: readonly [schema: string, title?: string];
  readonly status: number;
  readonly answer?: readonly [schema: string, title?: string];
}

const SHOP = "/v1/products/my-product";
const SUMMARISE = "/v1/features/summarise";
const QUERY = "product_tag=my-product&env=prd&quota_tag=api-requests";

/** All of them, in the order in which they are played. */
export const SCENES: readonly Scene[] = [
  { method: "GET", path: "/healthz", status: 200, answer: ["Health"] },
  { method: "GET", path: "/readyz", status: 200, answer: ["Ready"] },
  post("/v1/products", ["Product"], 201, ["ProductView"]),
  post(`${SHOP}/environments`, ["Environment"], 201, ["EnvironmentView"]),
  post(`${SHOP}/sessions`, ["Session"], 201, ["SessionView"]),
  post(`${SHOP}/sessions`, ["Session", "Tokens of an identity provider"], 201),
  post(`${SHOP}/caches`, ["Cache"], 201, ["CacheView"]),
  post(`${SHOP}/quotas`, ["Quota"], 201, ["QuotaView"]),
  post(`${SHOP}/quotas`, ["Quota", "Several limits at once"], 201),
  post(`${SHOP}/features`, ["Feature"], 201, ["FeatureView"]),
  get("/v1/products", ["ProductsPage"]),
  get(`${SHOP}/environments`, ["EnvironmentsPage"]),
  get(`${SHOP}/sessions`, ["SessionDefinitionsPage"]),
  get(`${SHOP}/caches`, ["CachesPage"]),
  get(`${SHOP}/features`, ["FeaturesPage"]),
  get(`${SHOP}/quotas?limit=1`, ["QuotasPage"]),
  post("/v1/sessions/start", ["StartInput"], 200, ["StartedSession"]),
  post("/v1/sessions/decrypt", ["DecryptInput"], 200, ["SessionData"]),
  post("/v1/quota/run", ["QuotaInput"], 200, ["QuotaResult", "Admitted"]),
  post("/v1/quota/run", ["QuotaInput", "Count for the user of a session"], 200),
  post("/v1/quota/run", ["QuotaInput", "Check, and count nothing"], 200),
  get(`${SHOP}/caches/quota-api-requests/values`, ["CacheValues"]),
  post("/v1/quota/run", ["QuotaInput", "Count once, no matter how often it is sent"], 200),
  post("/v1/quota/batch", ["BatchInput"], 200, ["BatchResult"]),
  post("/v1/quota/run", ["QuotaInput", "Count under several limits"], 200, [
    "QuotaResult",
    "Denied",
  ]),
  post(`${SUMMARISE}/enabled`, ["FeatureEnabledInput"], 200, ["FeatureEnabled"]),
  post(`${SUMMARISE}/run`, ["FeatureRunInput"], 200, ["FeatureAnswer"]),
  post(`${SUMMARISE}/reserve`, ["FeatureReserveInput"], 200, ["FeatureReservation"]),
  post(`${SUMMARISE}/extend`, ["FeatureExtendInput"], 200, ["FeatureExtended"]),
  post(`${SUMMARISE}/commit`, ["FeatureCommitInput"], 200, ["FeatureCommitted"]),
  post(`${SUMMARISE}/release`, ["FeatureReleaseInput"], 200, ["FeatureHeld"]),
  get(`/v1/usage/subjects?${QUERY}`, ["SubjectsPage"]),
  get("/v1/usage/counters?product_tag=my-product", ["KeptCounters"]),
  get(`/v1/usage/history?${QUERY}&subject=ada`, ["UsageHistory"]),
  post("/v1/quota/run", ["QuotaInput", "Set an amount aside for a job"], 200),
  get("/v1/reservations?product_tag=my-product&env=prd", ["ReservationsPage"]),
  post("/v1/quota/run", ["QuotaInput", "Count what the job has used"], 200),
  post("/v1/quota/run", ["QuotaInput", "Start at zero again"], 200),
  post("/v1/sessions/list", ["ListInput"], 200, ["SessionsPage"]),
  post("/v1/sessions/refresh", ["RefreshInput"], 200),
  post("/v1/sessions/revoke", ["RevokeInput"], 200, ["Revoked"]),
  post("/v1/sessions/rotate", ["RotateInput"], 200, ["Rotated"]),
  post("/v1/keys", ["KeyInput"], 201, ["KeyCreated"]),
  get("/v1/keys", ["KeysPage"]),
  get("/v1/keys/{id}", ["KeyView"]),
  patch(SHOP, ["ProductPatch"]),
  patch(`${SHOP}/sessions/user-session`, ["SessionPatch"]),
  patch(`${SHOP}/caches/quota-api-requests`, ["CachePatch"]),
  patch(`${SHOP}/quotas/api-requests`, ["QuotaPatch"]),
  patch(`${SHOP}/features/summarise`, ["FeaturePatch"]),
  post("/v1/apply", ["ApplyInput"], 200, ["Applied"]),
  patch(`${SHOP}/environments/prd`, ["EnvironmentPatch"]),
  { method: "GET", path: `${SHOP}/quotas/none`, status: 404, answer: ["Problem"] },
];

function get(path: string, answer: Scene["answer"]): Scene {
  return { method: "GET", path, status: 200, ...(answer === undefined ? {} : { answer }) };
}

function post(
  path: string,
  body: NonNullable<Scene["body"]>,
  status: number,
  answer?: Scene["answer"],
): Scene {
  return { method: "POST", path, body, status, ...(answer === undefined ? {} : { answer }) };
}

function patch(path: string, body: NonNullable<Scene["body"]>): Scene {
  return { method: "PATCH", path, body, status: 200 };
}

/** The example of a schema. Throws if there is none. */
export function exampleOf([id, title]: readonly [schema: string, title?: string]): unknown {
  const examples = REQUESTS[id] ?? {};
  const value = title === undefined ? Object.values(examples)[0] : examples[title];
  if (value === undefined) throw new Error(`there is no example of ${id}: ${title ?? "at all"}`);
  return value;
}

/** Plays every scene on a server of its own; gives what each was answered. */
export async function play(): Promise<(readonly [Scene, Reply])[]> {
  const server = await start({ clock: manualClock("2026-01-15T09:30:00Z") });
  const summary = { text: "In short: ...", tokens: 24 };
  server.ductape.features.handle("my-product", "summarise", () => summary);
  const tokens = { token: "", refresh_token: "", id: "" };
  const played: (readonly [Scene, Reply])[] = [];
  for (const scene of SCENES) {
    const { method, path, body } = scene;
    const sent = body === undefined ? {} : { body: withTokens(exampleOf(body), tokens) };
    const reply = await server.call(path.replace("{id}", tokens.id), { method, ...sent });
    const { token, refresh_token, id } = reply.body;
    if (typeof token === "string") tokens.token = token;
    if (typeof refresh_token === "string") tokens.refresh_token = refresh_token;
    if (typeof id === "string") tokens.id = id;
    played.push([scene, reply]);
  }
  await server.close();
  return played;
}

/** Those of the server in place of the ones that are shown. */
function withTokens(value: unknown, tokens: Readonly<Record<string, string>>): unknown {
  return changed(value, (name, text) => tokens[name] ?? text);
}

/** What a server answers, as the document shows it. */
export async function answers(): Promise<Record<string, Record<string, unknown>>> {
  const found: Record<string, Record<string, unknown>> = {};
  for (const [{ answer }, { body }] of await play()) {
    if (answer === undefined) continue;
    const [id, title = "An answer"] = answer;
    found[id] = { ...found[id], [title]: masked(body) };
  }
  return found;
}

/** What no two runs have in common. */
const SECRETS = new Set(
  "token refresh_token refreshToken session_id sessionId kid key request_id reservation".split(" "),
);

/** Those of a key and of a run are random; others are tags. */
const KEY_ID = /^([a-z0-9]{10}|[0-9a-f-]{36})$/;

/** A body without what no two runs have in common. */
function masked(value: unknown): unknown {
  return changed(value, (name, text) =>
    SECRETS.has(name) || (name === "id" && KEY_ID.test(text)) ? "..." : text,
  );
}

function changed(value: unknown, change: (name: string, text: string) => string): unknown {
  if (Array.isArray(value)) return value.map((each) => changed(each, change));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(recordOf(value)).map(
    ([name, member]) =>
      [name, typeof member === "string" ? change(name, member) : changed(member, change)] as const,
  );
  return Object.fromEntries(entries);
}
