import type { Command } from "commander";
import {
  amountText,
  type Cache,
  type Client,
  type Environment,
  type Feature,
  type LimitInput,
  type OutagePolicy,
  type Period,
  type Product,
  type QuotaView,
  type Rule,
  type SessionView,
} from "ductape";
import type { KindName, KINDS } from "ductape/calls";
import {
  CACHE,
  CACHE_PATCH,
  ENVIRONMENT,
  ENVIRONMENT_PATCH,
  PRODUCT,
  PRODUCT_PATCH,
  QUOTA,
  QUOTA_PATCH,
} from "../schema/definition.js";
import { FEATURE, FEATURE_PATCH } from "../schema/feature.js";
import { SESSION, SESSION_PATCH } from "../schema/session.js";
import { addDefinitions, type Listed } from "./definitions.js";

/** The command of a kind of definition. */
export type KindCommand = (typeof KINDS)[KindName]["command"];

/** What adds the calls of each kind of definition to its command. */
export const KIND_COMMANDS: Readonly<Record<KindCommand, (command: Command) => void>> = {
  quota: (command) =>
    addDefinitions(command, {
      name: "quota",
      id: "tag",
      description: "decide by a quota; list, print, create, update and delete quotas of a product",
      input: QUOTA,
      patch: QUOTA_PATCH,
      of: inProduct((client) => client.product.quotas),
      heads: ["TAG", "RULE", "LIMIT", "PERIOD", "SCOPE"],
      rowsOf: ({ tag, rules }: QuotaView) =>
        rules.map((rule) => [tag, rule.name, limitText(rule.limit), periodText(rule), rule.scope]),
      example: "calls --product shop --limit 100 --period day --scope '$Session{userId}'",
      countersOf: (product_tag, quota_tag) => ({ product_tag, quota_tag }),
    }),
  product: (command) =>
    addDefinitions(command, {
      name: "product",
      id: "tag",
      description: "list, print, create, update and delete products",
      input: PRODUCT,
      patch: PRODUCT_PATCH,
      isProduct: true,
      of: ({ product: calls }) => ({
        create: (input) => calls.create(input),
        update: (id, patch) => calls.update(id, patch),
        fetchAll: () => calls.fetchAll(),
        fetch: (id) => calls.fetch(id),
        remove: (id, options) => calls.delete(id, options),
      }),
      heads: ["TAG", "NAME"],
      rowsOf: ({ tag, name }: Product) => [[tag, name]],
      example: 'shop --name "My shop"',
      countersOf: (_none, product_tag) => ({ product_tag }),
    }),
  env: (command) =>
    addDefinitions(command, {
      name: "env",
      id: "slug",
      description: "list, print, create, update and delete environments of a product",
      input: ENVIRONMENT,
      patch: ENVIRONMENT_PATCH,
      of: inProduct((client) => client.product.environments),
      heads: ["SLUG", "NAME", "ACTIVE"],
      rowsOf: ({ slug, env_name, active }: Environment) => [
        [slug, env_name, active ? "yes" : "no"],
      ],
      example: "prd --product shop",
      countersOf: (product_tag, slug) => ({ product_tag, env: slug }),
    }),
  session: (command) =>
    addDefinitions(command, {
      name: "session",
      id: "tag",
      description: "start and inspect sessions; list, print, create, update and delete definitions",
      input: SESSION,
      patch: SESSION_PATCH,
      of: inProduct((client) => client.product.sessions),
      heads: ["TAG", "NAME", "SELECTOR", "TOKENS LIVE"],
      rowsOf: ({ tag, name, selector, expiry, period, issuer }: SessionView) => [
        [tag, name, selector, expiry === null ? `as ${issuer} says` : `${expiry} ${period}`],
      ],
      example: `login --product shop --schema '{"id":"ada"}' --selector '$Session{id}' --expiry 7`,
      countersOf: () => null,
    }),
  cache: (command) =>
    addDefinitions(command, {
      name: "cache",
      id: "tag",
      description: "list, print, create, update and delete caches of a product",
      input: CACHE,
      patch: CACHE_PATCH,
      of: inProduct((client) => client.product.caches),
      heads: ["TAG", "NAME", "EXPIRY MS"],
      rowsOf: ({ tag, name, expiry }: Cache) => [[tag, name, String(expiry)]],
      example: "fast --product shop --expiry 1000",
      countersOf: () => null,
    }),
  feature: (command) =>
    addDefinitions(command, {
      name: "feature",
      id: "tag",
      description: "run a feature; list, print, create, update and delete features of a product",
      input: FEATURE,
      patch: FEATURE_PATCH,
      of: inProduct((client) => client.product.features),
      heads: ["TAG", "NAME", "QUOTAS"],
      rowsOf: ({ tag, name, quotas }: Feature) => [
        [tag, name, quotas.map(({ quota }) => quota).join(", ")],
      ],
      example: `summarise --product shop --quotas '[{"quota":"calls"}]'`,
      countersOf: () => null,
    }),
};

interface CallsIn<Input, Patch, V> {
  create(product: string, input: Input): Promise<V>;
  update(product: string, id: string, patch: Patch): Promise<V>;
  fetchAll(product: string): Promise<V[]>;
  fetch(product: string, id: string): Promise<V>;
  delete(product: string, id: string, options: object): Promise<void>;
}

/** The calls of a kind within a product. */
function inProduct<Input, Patch, V extends Listed>(
  callsOf: (client: Client<OutagePolicy>) => CallsIn<Input, Patch, V>,
) {
  return (client: Client<OutagePolicy>, product: string) => {
    const calls = callsOf(client);
    return {
      create: (input: Input) => calls.create(product, input),
      update: (id: string, patch: Patch) => calls.update(product, id, patch),
      fetchAll: () => calls.fetchAll(product),
      fetch: (id: string) => calls.fetch(product, id),
      remove: (id: string, options: object) => calls.delete(product, id, options),
    };
  };
}

const PLANS_SHOWN = 3;

/** A limit in a few words: `free 100, pro none, else 10`. */
function limitText(limit: LimitInput): string {
  if (limit === null) return "none";
  if (typeof limit === "number") return amountText(limit);
  const plans = Object.entries(limit.values).map(([plan, each]) => `${plan} ${limitText(each)}`);
  const others = plans.length > PLANS_SHOWN ? ["..."] : [];
  return [...plans.slice(0, PLANS_SHOWN), ...others, `else ${limitText(limit.default)}`].join(", ");
}

/** When windows begin and end, in a few words: `rolling 5 minutes`, `month, Europe/Paris`. */
function periodText({ period, window, time_zone, anchor }: Rule): string {
  if (period === null) return window;
  const length = window === "rolling" ? `rolling ${lengthText(period)}` : lengthText(period);
  const zone = time_zone === "UTC" || window === "rolling" ? "" : `, ${time_zone}`;
  return `${length}${zone}${anchor === null ? "" : `, from ${anchor}`}`;
}

const lengthText = (period: Period): string =>
  typeof period === "string" ? period : `${period.every} ${period.unit}s`;
