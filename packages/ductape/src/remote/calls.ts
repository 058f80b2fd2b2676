import { ACTIONS, type Action } from "../decide/action.js";

/** What a call is on the wire. */
interface WireCall {
  readonly method: "GET" | "POST" | "PATCH" | "DELETE";
  /**
   * Such as `/v1/products/:product`. Whatever of the input the path does not name goes into the
   * body of a POST or PATCH, or the query of a GET or DELETE.
   */
  readonly path: string;
  /** The scopes of which a key needs one; null: the call needs no key. */
  readonly scopes: readonly string[] | null;
  /**
   * Whether a client may send it again after a lost answer. It may if the call is `safe`, so that
   * it changes nothing, or `idempotent`, so that twice has the effect of once (RFC 9110, 9.2). A
   * call to send `once` may be repeated only with an idempotency key.
   */
  readonly repeat: "safe" | "idempotent" | "once";
}

/** The commands that make a call, as words after the program's name, or why none does. */
type Commands =
  | { readonly commands: readonly [string, ...string[]] }
  | { readonly commands: readonly []; readonly noCommand: string };

/** A call on the wire and on the command line. */
export type Call = WireCall & Commands;

/** A kind of definition on the wire and on the command line. */
export interface CallsOfKind {
  /** The path of all definitions of the kind. */
  readonly path: string;
  /** The part of the path after it for a single definition. */
  readonly id: `:${string}`;
  /** The word before the commands of {@link VERBS}. */
  readonly command: string;
}

const READ = ["catalogue:read"] as const;
const WRITE = ["catalogue:write"] as const;
const DECISIONS = ACTIONS.map((action): `quota:${Action}` => `quota:${action}`);

/** Every call of a client by its name there, except calls on the {@link KINDS} of definitions. */
export const CALLS = {
  "quota.run": {
    method: "POST",
    path: "/v1/quota/run",
    scopes: DECISIONS,
    repeat: "once",
    commands: ["quota run", "holds release"],
  },
  "quota.runAll": {
    method: "POST",
    path: "/v1/quota/batch",
    scopes: DECISIONS,
    repeat: "once",
    commands: [],
    noCommand: "a shell makes one decision at a time",
  },
  "product.apply": {
    method: "POST",
    path: "/v1/apply",
    scopes: WRITE,
    repeat: "once",
    commands: ["apply"],
  },
  "feature.run": {
    method: "POST",
    path: "/v1/features/:feature/run",
    scopes: ["features:run"],
    repeat: "once",
    commands: ["feature run"],
  },
  "feature.reserve": {
    method: "POST",
    path: "/v1/features/:feature/reserve",
    scopes: ["features:reserve"],
    repeat: "idempotent",
    commands: [],
    noCommand: "the program that does the work reserves for it",
  },
  "feature.commit": {
    method: "POST",
    path: "/v1/features/:feature/commit",
    scopes: ["features:commit"],
    repeat: "idempotent",
    commands: [],
    noCommand: "the program that does the work settles it",
  },
  "feature.extend": {
    method: "POST",
    path: "/v1/features/:feature/extend",
    scopes: ["features:extend"],
    repeat: "idempotent",
    commands: [],
    noCommand: "the program that does the work extends its time",
  },
  "feature.release": {
    method: "POST",
    path: "/v1/features/:feature/release",
    scopes: ["features:release"],
    repeat: "idempotent",
    commands: [],
    noCommand: "`holds release` frees a hold, of a feature or not",
  },
  "features.isEnabled": {
    method: "POST",
    path: "/v1/features/:feature/enabled",
    scopes: ["features:check"],
    repeat: "safe",
    commands: [],
    noCommand: "`quota check` shows the limits",
  },
  "sessions.start": {
    method: "POST",
    path: "/v1/sessions/start",
    scopes: ["sessions:start"],
    repeat: "once",
    commands: ["session start"],
  },
  "sessions.decrypt": {
    method: "POST",
    path: "/v1/sessions/decrypt",
    scopes: ["sessions:decrypt"],
    repeat: "safe",
    commands: ["session inspect"],
  },
  "sessions.refresh": {
    method: "POST",
    path: "/v1/sessions/refresh",
    scopes: ["sessions:refresh"],
    repeat: "idempotent",
    commands: [],
    noCommand: "only the holder of a session refreshes it",
  },
  "sessions.revoke": {
    method: "POST",
    path: "/v1/sessions/revoke",
    scopes: ["sessions:revoke"],
    repeat: "once",
    commands: [],
    noCommand: "the program that starts sessions also ends them",
  },
  "sessions.list": {
    method: "POST",
    path: "/v1/sessions/list",
    scopes: ["sessions:list"],
    repeat: "safe",
    commands: [],
    noCommand: "the program that starts sessions also lists them",
  },
  "product.sessions.rotate": {
    method: "POST",
    path: "/v1/sessions/rotate",
    scopes: ["sessions:rotate"],
    repeat: "once",
    commands: [],
    noCommand: "a program or a schedule rotates keys, over HTTP",
  },
  "usage.subjects": {
    method: "GET",
    path: "/v1/usage/subjects",
    scopes: ["usage:read"],
    repeat: "safe",
    commands: ["usage top", "usage subjects"],
  },
  "usage.history": {
    method: "GET",
    path: "/v1/usage/history",
    scopes: ["usage:read"],
    repeat: "safe",
    commands: ["usage history"],
  },
  "usage.counters": {
    method: "GET",
    path: "/v1/usage/counters",
    scopes: ["usage:read"],
    repeat: "safe",
    commands: [],
    noCommand: "`delete` shows its answer and asks before it deletes",
  },
  "quota.reservations": {
    method: "GET",
    path: "/v1/reservations",
    scopes: ["usage:read"],
    repeat: "safe",
    commands: ["holds ls"],
  },
  "product.caches.values": {
    method: "GET",
    path: "/v1/products/:product/caches/:tag/values",
    scopes: ["usage:read"],
    repeat: "safe",
    commands: [],
    noCommand: "a command has no cache, and a server is asked over HTTP",
  },
  probe: { method: "GET", path: "/readyz", scopes: null, repeat: "safe", commands: ["doctor"] },
} as const satisfies Readonly<Record<string, Call>>;

/** The name of a call of {@link CALLS}. */
export type CallName = keyof typeof CALLS;

/** Every kind of definition, by its name in a client: each has the calls of {@link VERBS}. */
export const KINDS = {
  product: { path: "/v1/products", id: ":product", command: "product" },
  "product.environments": {
    path: "/v1/products/:product/environments",
    id: ":env",
    command: "env",
  },
  "product.quotas": { path: "/v1/products/:product/quotas", id: ":tag", command: "quota" },
  "product.sessions": { path: "/v1/products/:product/sessions", id: ":tag", command: "session" },
  "product.caches": { path: "/v1/products/:product/caches", id: ":tag", command: "cache" },
  "product.features": { path: "/v1/products/:product/features", id: ":tag", command: "feature" },
} as const satisfies Readonly<Record<string, CallsOfKind>>;

/** The name of a kind of definition. */
export type KindName = keyof typeof KINDS;

/** The calls on each kind of definition, by their name in a client. */
export const VERBS = {
  fetchAll: { method: "GET", of: "all", scopes: READ, repeat: "safe", command: "ls" },
  create: { method: "POST", of: "all", scopes: WRITE, repeat: "once", command: "create" },
  fetch: { method: "GET", of: "one", scopes: READ, repeat: "safe", command: "get" },
  update: { method: "PATCH", of: "one", scopes: WRITE, repeat: "once", command: "update" },
  delete: { method: "DELETE", of: "one", scopes: WRITE, repeat: "once", command: "delete" },
} as const;

/** The name of a call of {@link VERBS}. */
export type Verb = keyof typeof VERBS;

/** The row of a call on a kind of definition, such as that of `product.quotas.create`. */
export function callOn(kind: CallsOfKind, verb: (typeof VERBS)[Verb]) {
  const { method, of, scopes, repeat } = verb;
  const path = of === "one" ? `${kind.path}/${kind.id}` : kind.path;
  const commands = [`${kind.command} ${verb.command}`] as const;
  return { method, path, scopes, repeat, commands } satisfies Call;
}

/** The row of every call of a client, by its name there: `product.quotas.create`. */
export const ALL_CALLS: ReadonlyMap<string, Call> = new Map([
  ...Object.entries<Call>(CALLS),
  ...Object.entries(KINDS).flatMap(([name, kind]) =>
    Object.entries(VERBS).map(([verb, row]) => [`${name}.${verb}`, callOn(kind, row)] as const),
  ),
]);

/** A method and a path: `GET /v1/usage/history`. */
export type Place = `${Call["method"]} ${string}`;

/** The {@link Place} of a call. */
export type PlaceOf<Name extends CallName> =
  `${(typeof CALLS)[Name]["method"]} ${(typeof CALLS)[Name]["path"]}`;

/** The `repeat` of the call at a place. */
export type RepeatAt<At extends PlaceOf<CallName>> = {
  [Name in CallName]: PlaceOf<Name> extends At ? (typeof CALLS)[Name]["repeat"] : never;
}[CallName];
