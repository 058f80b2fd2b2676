import type { Scope } from "../src/access.js";

/** What a key needs besides a scope. */
export type Reach =
  /** Its own product and environment. */
  | "environment"
  /** Its own product. */
  | "product"
  /** Its own product, and all environments. */
  | "whole"
  /** Nothing: only what is in its reach is listed or made. */
  | "none";

/** A request that changes nothing, whoever makes it, because it cannot be carried out. */
export interface Sample {
  readonly method: string;
  /** The pattern of its route. */
  readonly route: string;
  readonly path: string;
  readonly scope: Exclude<Scope, "*" | "quota:admin" | `${string}:*`>;
  readonly reach: Reach;
  readonly body?: object;
  readonly headers?: Readonly<Record<string, string>>;
}

const NEVER = { "if-match": '"999999"' };
const ACTIONS = [
  "check",
  "increment",
  "decrement",
  "set",
  "reset",
  "grant",
  "reserve",
  "commit",
  "extend",
  "release",
] as const;

/**
 * A request for each route and each action, on a product, an environment and what is in them. It
 * is the one table of what keys need, written by hand beside the routes.
 */
export function samplesOf(product: string, env: string): Sample[] {
  const base = `/v1/products/${product}`;
  return [
    ...ACTIONS.flatMap((action) => quotaSamples(product, env, action)),
    reservationsSample(product, env),
    ...definitionSamples("/v1/products", ":product", "/v1/products", product, "none", "whole", {
      tag: product,
    }),
    ...definitionSamples(
      "/v1/products/:product/environments",
      ":env",
      `${base}/environments`,
      env,
      "environment",
      "environment",
      { slug: env },
    ),
    ...kindSamples(base, "quotas", { tag: "q", limit: 1, period: "day" }),
    ...kindSamples(base, "caches", { tag: "q", expiry: 1 }),
    ...kindSamples(base, "features", { tag: "q" }),
    ...kindSamples(base, "sessions", {
      tag: "q",
      schema: { u: "u" },
      selector: "$Session{u}",
      expiry: 1,
    }),
    {
      method: "GET",
      route: "/v1/products/:product/caches/:tag/values",
      path: `${base}/caches/q/values`,
      scope: "usage:read",
      reach: "product",
    },
    ...sessionSamples(product, env),
    ...featureSamples(product, env),
    {
      method: "POST",
      route: "/v1/apply",
      path: "/v1/apply",
      scope: "catalogue:write",
      reach: "whole",
      body: { products: [{ tag: product, quotas: [{ tag: "q" }] }] },
    },
    {
      method: "GET",
      route: "/v1/usage/subjects",
      path: `/v1/usage/subjects?product_tag=${product}&env=${env}&quota_tag=q`,
      scope: "usage:read",
      reach: "environment",
    },
    {
      method: "GET",
      route: "/v1/usage/history",
      path: `/v1/usage/history?product_tag=${product}&env=${env}&quota_tag=q&subject=u`,
      scope: "usage:read",
      reach: "environment",
    },
    {
      method: "GET",
      route: "/v1/usage/counters",
      path: `/v1/usage/counters?product_tag=${product}&env=${env}&quota_tag=q`,
      scope: "usage:read",
      reach: "environment",
    },
    ...keySamples(),
  ];
}

function reservationsSample(product: string, env: string): Sample {
  return {
    method: "GET",
    route: "/v1/reservations",
    path: `/v1/reservations?product_tag=${product}&env=${env}&quota_tag=q`,
    scope: "usage:read",
    reach: "environment",
  };
}

function quotaSamples(product: string, env: string, action: (typeof ACTIONS)[number]): Sample[] {
  const amount = action === "reset" ? {} : { amount: 1 };
  // Without a subject the quota cannot be decided: a fault after all that a key is asked for.
  const input = { env, product_tag: product, quota_tag: "q", action, ...amount };
  const common = { method: "POST", scope: `quota:${action}`, reach: "environment" } as const;
  return [
    { ...common, route: "/v1/quota/run", path: "/v1/quota/run", body: input },
    {
      ...common,
      route: "/v1/quota/batch",
      path: "/v1/quota/batch",
      body: { inputs: [input], atomic: true },
    },
  ];
}

function kindSamples(base: string, kind: string, body: object): Sample[] {
  const route = `/v1/products/:product/${kind}`;
  return definitionSamples(route, ":tag", `${base}/${kind}`, "q", "product", "whole", body);
}

function definitionSamples(
  route: string,
  param: string,
  path: string,
  id: string,
  read: Reach,
  write: Reach,
  body: object,
): Sample[] {
  const one = { route: `${route}/${param}`, path: `${path}/${id}` };
  const listed = route === "/v1/products" ? "none" : "product";
  const fetched = route === "/v1/products" ? "product" : read;
  return [
    { method: "GET", route, path, scope: "catalogue:read", reach: listed },
    { method: "POST", route, path, scope: "catalogue:write", reach: write, body },
    { method: "GET", ...one, scope: "catalogue:read", reach: fetched },
    {
      method: "PATCH",
      ...one,
      scope: "catalogue:write",
      reach: write,
      body: {},
      headers: NEVER,
    },
    { method: "DELETE", ...one, scope: "catalogue:write", reach: write, headers: NEVER },
  ];
}

function sessionSamples(product: string, env: string): Sample[] {
  const target = { product, env, tag: "q" };
  const inputs = {
    start: { ...target, data: {} },
    decrypt: { ...target, token: "none" },
    refresh: { ...target, refresh_token: "none" },
    revoke: { ...target, session_id: "none" },
    list: target,
    rotate: { product, env },
  } as const;
  const names = ["start", "decrypt", "refresh", "revoke", "list", "rotate"] as const;
  return names.map((name) => ({
    method: "POST",
    route: `/v1/sessions/${name}`,
    path: `/v1/sessions/${name}`,
    scope: `sessions:${name}`,
    reach: "environment",
    body: inputs[name],
  }));
}

function featureSamples(product: string, env: string): Sample[] {
  const target = { product_tag: product, env };
  const settled = { ...target, reservation: "none" };
  const inputs = {
    run: target,
    // Its quota counts by a user, and nobody is named.
    reserve: target,
    commit: settled,
    extend: settled,
    release: settled,
    enabled: target,
  } as const;
  const names = ["run", "reserve", "commit", "extend", "release", "enabled"] as const;
  return names.map((name) => ({
    method: "POST",
    route: `/v1/features/:feature/${name}`,
    path: `/v1/features/q/${name}`,
    scope: name === "enabled" ? "features:check" : `features:${name}`,
    reach: "environment",
    body: inputs[name],
  }));
}

function keySamples(): Sample[] {
  const common = { scope: "keys:admin", reach: "none" } as const;
  const one = { route: "/v1/keys/:id", path: "/v1/keys/nobody" };
  const body = { scopes: [], products: [], environments: [] };
  return [
    { ...common, method: "GET", route: "/v1/keys", path: "/v1/keys" },
    { ...common, method: "POST", route: "/v1/keys", path: "/v1/keys", body },
    { ...common, ...one, method: "GET" },
    { ...common, ...one, method: "DELETE" },
  ];
}
