import type { Client } from "ductape";
import { KINDS, type KindName, type Verb } from "ductape/calls";
import type { Access } from "../access.js";
import { endpoint, type Route } from "../route.js";
import {
  CACHE,
  CACHE_PATCH,
  CACHE_QUERY,
  CACHE_VALUES,
  CACHE_VIEW,
  CACHES_PAGE,
  ENVIRONMENT,
  ENVIRONMENT_PATCH,
  ENVIRONMENT_VIEW,
  ENVIRONMENTS_PAGE,
  PRODUCT,
  PRODUCT_PATCH,
  PRODUCT_VIEW,
  PRODUCTS_PAGE,
  QUOTA,
  QUOTA_PATCH,
  QUOTA_VIEW,
  QUOTAS_PAGE,
} from "../schema/definition.js";
import { FEATURE, FEATURE_PATCH, FEATURE_VIEW, FEATURES_PAGE } from "../schema/feature.js";
import { SESSION, SESSION_PATCH, SESSION_VIEW, SESSIONS_DEFINED } from "../schema/session.js";
import { definitionRoutes } from "./definitions.js";

/** What a key may do with parts of a product that belong to none of its environments. */
const OF_PRODUCT = {
  mayList: () => true,
  requireRead: (access: Access, product: string) => access.requireProduct(product),
  requireCreate: requireWhole,
  requireChange: requireWhole,
};

function requireWhole(access: Access, product: string): void {
  access.requireProduct(product);
  access.requireAllEnvironments();
}

const products = definitionRoutes(KINDS.product, {
  one: "a product",
  missing: ["PRODUCT_NOT_FOUND"],
  input: PRODUCT,
  patch: PRODUCT_PATCH,
  view: PRODUCT_VIEW,
  page: PRODUCTS_PAGE,
  of: ({ product }: Pick<Client, "product">) => ({
    create: (_none, input) => product.create(input),
    update: (_none, tag, patch) => product.update(tag, patch),
    fetch: (_none, tag) => product.fetch(tag),
    fetchAll: () => product.fetchAll(),
    delete: (_none, tag, options) => product.delete(tag, options),
  }),
  idOf: ({ tag }) => tag,
  ...OF_PRODUCT,
  mayList: (access, tag) => access.hasProduct(tag),
  requireCreate(access, _none, tag) {
    access.requireOwnProduct(tag);
    access.requireAllEnvironments();
  },
});

const environments = definitionRoutes(KINDS["product.environments"], {
  one: "an environment",
  missing: ["ENVIRONMENT_NOT_FOUND", "PRODUCT_NOT_FOUND"],
  input: ENVIRONMENT,
  patch: ENVIRONMENT_PATCH,
  view: ENVIRONMENT_VIEW,
  page: ENVIRONMENTS_PAGE,
  of: ({ product }: Pick<Client, "product">) => product.environments,
  idOf: ({ slug }) => slug,
  mayList: (access, slug) => access.hasEnvironment(slug),
  requireRead: (access, product, slug) => access.requireEnvironment(product, slug),
  requireCreate(access, product, slug) {
    access.requireProduct(product);
    access.requireOwnEnvironment(slug);
  },
  requireChange: (access, product, slug) => access.requireEnvironment(product, slug),
});

const quotas = definitionRoutes(KINDS["product.quotas"], {
  one: "a quota",
  missing: ["QUOTA_NOT_FOUND", "PRODUCT_NOT_FOUND"],
  input: QUOTA,
  patch: QUOTA_PATCH,
  view: QUOTA_VIEW,
  page: QUOTAS_PAGE,
  of: ({ product }: Pick<Client, "product">) => product.quotas,
  idOf: ({ tag }) => tag,
  ...OF_PRODUCT,
});

const sessions = definitionRoutes(KINDS["product.sessions"], {
  one: "a session",
  missing: ["SESSION_NOT_FOUND", "PRODUCT_NOT_FOUND"],
  input: SESSION,
  patch: SESSION_PATCH,
  view: SESSION_VIEW,
  page: SESSIONS_DEFINED,
  of: ({ product }: Pick<Client, "product">) => product.sessions,
  idOf: ({ tag }) => tag,
  ...OF_PRODUCT,
});

const caches = definitionRoutes(KINDS["product.caches"], {
  one: "a cache",
  missing: ["CACHE_NOT_FOUND", "PRODUCT_NOT_FOUND"],
  input: CACHE,
  patch: CACHE_PATCH,
  view: CACHE_VIEW,
  page: CACHES_PAGE,
  of: ({ product }: Pick<Client, "product">) => product.caches,
  idOf: ({ tag }) => tag,
  ...OF_PRODUCT,
});

const features = definitionRoutes(KINDS["product.features"], {
  one: "a feature",
  missing: ["FEATURE_NOT_FOUND", "PRODUCT_NOT_FOUND"],
  input: FEATURE,
  patch: FEATURE_PATCH,
  view: FEATURE_VIEW,
  page: FEATURES_PAGE,
  of: ({ product }: Pick<Client, "product">) => product.features,
  idOf: ({ tag }) => tag,
  ...OF_PRODUCT,
});

const cacheValues = endpoint({
  summary: "List the entries in use of a cache, in the process that answers",
  input: CACHE_QUERY,
  answers: { 200: { description: "The entries, by key", schema: CACHE_VALUES } },
  faults: ["PRODUCT_NOT_FOUND", "CACHE_NOT_FOUND"],
  async handle({ service, access, params }, query) {
    const { product = "", tag = "" } = params;
    access.requireProduct(product);
    const values = await service.ductape.product.caches.values(product, {
      ...query,
      cache_tag: tag,
    });
    return { values: values.filter(({ value }) => access.hasEnvironment(value.env)) };
  },
});

/** The routes of each kind of definition. */
export const KIND_ROUTES: Readonly<Record<KindName, Readonly<Record<Verb, Route>>>> = {
  product: products,
  "product.environments": environments,
  "product.quotas": quotas,
  "product.sessions": sessions,
  "product.caches": caches,
  "product.features": features,
};

/** The endpoint of the entries of a cache. */
export const CACHE_ENDPOINTS = { "product.caches.values": cacheValues };
