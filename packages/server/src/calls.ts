import { CALLS, type Call } from "ductape/calls";

/**
 * Every call that a server answers, except those on definitions: the calls of every client, and
 * those that only a server has.
 */
export const SERVER_CALLS = {
  ...CALLS,
  "keys.list": {
    method: "GET",
    path: "/v1/keys",
    scopes: ["keys:admin"],
    repeat: "safe",
    commands: ["key ls"],
  },
  "keys.create": {
    method: "POST",
    path: "/v1/keys",
    scopes: ["keys:admin"],
    repeat: "once",
    commands: ["key create"],
  },
  "keys.fetch": {
    method: "GET",
    path: "/v1/keys/:id",
    scopes: ["keys:admin"],
    repeat: "safe",
    commands: [],
    noCommand: "`key ls` shows the same",
  },
  "keys.revoke": {
    method: "DELETE",
    path: "/v1/keys/:id",
    scopes: ["keys:admin"],
    repeat: "once",
    commands: ["key revoke"],
  },
  health: {
    method: "GET",
    path: "/healthz",
    scopes: null,
    repeat: "safe",
    commands: [],
    noCommand: "balancers and supervisors ask for it",
  },
  metrics: {
    method: "GET",
    path: "/metrics",
    scopes: null,
    repeat: "safe",
    commands: [],
    noCommand: "Prometheus asks for it",
  },
  openapi: {
    method: "GET",
    path: "/openapi.json",
    scopes: null,
    repeat: "safe",
    commands: [],
    noCommand: "tools and clients ask for it",
  },
  home: {
    method: "GET",
    path: "/",
    scopes: null,
    repeat: "safe",
    commands: [],
    noCommand: "browsers ask for it",
  },
  docs: {
    method: "GET",
    path: "/docs",
    scopes: null,
    repeat: "safe",
    commands: [],
    noCommand: "browsers ask for it",
  },
  "docs.file": {
    method: "GET",
    path: "/docs/:file",
    scopes: null,
    repeat: "safe",
    commands: [],
    noCommand: "browsers ask for it",
  },
} as const satisfies Readonly<Record<string, Call>>;

/** The name of a call of {@link SERVER_CALLS}. */
export type ServerCallName = keyof typeof SERVER_CALLS;

/** The name of a call that needs no key. */
export type OpenCallName = {
  [Name in ServerCallName]: (typeof SERVER_CALLS)[Name]["scopes"] extends null ? Name : never;
}[ServerCallName];

/** The name of a call that needs a key. */
export type KeyedCallName = Exclude<ServerCallName, OpenCallName>;
