import { PERIOD_UNITS } from "ductape";
import { z } from "zod";
import {
  answer,
  COUNT,
  IF_REVISION,
  INSTANT,
  NAME,
  NEXT,
  object,
  optional,
  PAGE,
  STAMPS,
  TEXT,
} from "./part.js";

const UNIT = z.enum(PERIOD_UNITS);

/** The length of a window. */
export const PERIOD = z
  .union([z.enum([...UNIT.options, "lifetime"]), object({ every: z.number(), unit: UNIT })])
  .meta({ id: "Period" });

const ONE_LIMIT = z.number().meta({ minimum: 0 }).nullable();
const LIMIT = z
  .union([
    ONE_LIMIT,
    object({ by: TEXT, values: z.record(z.string(), ONE_LIMIT), default: ONE_LIMIT }),
  ])
  .meta({ id: "Limit", description: "A number, null to count only, or a choice by a selector." });

const DECIMALS = z.number().meta({ minimum: 0, maximum: 12 });
const ROUNDING = z.enum(["exact", "up", "nearest"]);
const WINDOW_KIND = z.enum(["calendar", "rolling", "concurrent"]);
const ON_EXCEED = z.enum(["reject", "allow"]);
const WEEKDAY = z.enum([
  "monday",
  "tuesday",
  "wednesday",
  "thursday",
  "friday",
  "saturday",
  "sunday",
]);

const RULE_OPTIONS = {
  scope: optional(TEXT).meta({
    description: '"product", or a selector such as "$Session{userId}".',
  }),
  window: optional(WINDOW_KIND),
  time_zone: optional(z.string()).meta({ description: "An IANA zone. Default UTC." }),
  week_start: optional(WEEKDAY),
  on_exceed: optional(ON_EXCEED),
  alerts: optional(z.array(z.number()).meta({ maxItems: 16 })),
  history: optional(z.number().meta({ minimum: 0, maximum: 400 })).meta({
    description: "How many ended windows to keep for usage.history. Default 0.",
  }),
};
const ANCHOR = optional(z.string().nullable());

const RULE_PERIOD = optional(PERIOD.nullable());

const RULE = object({
  name: optional(TEXT),
  limit: LIMIT,
  period: RULE_PERIOD,
  ...RULE_OPTIONS,
  anchor: ANCHOR,
}).meta({
  id: "Rule",
});

const RULE_VIEW = answer({
  name: z.string(),
  scope: z.string(),
  limit: LIMIT,
  period: PERIOD.nullable(),
  window: WINDOW_KIND,
  time_zone: z.string(),
  week_start: WEEKDAY,
  anchor: z.string().nullable(),
  on_exceed: ON_EXCEED,
  alerts: z.array(z.number()),
  history: z.int(),
}).meta({ id: "RuleView" });

const CO_LOCATE = optional(z.boolean()).meta({
  description:
    "Keeps all quotas of an environment on one server of a Redis Cluster. Cannot be changed later.",
});

/** The input that creates a product. */
export const PRODUCT = object({
  tag: TEXT,
  name: NAME,
  description: NAME,
  co_locate: CO_LOCATE,
}).meta({ id: "Product" });

/** A change of a product: changes the fields it names; null restores a default. */
export const PRODUCT_PATCH = object({
  tag: optional(TEXT),
  name: NAME.nullable(),
  description: NAME.nullable(),
  co_locate: CO_LOCATE.nullable(),
  if_revision: IF_REVISION,
}).meta({ id: "ProductPatch" });

/** A product in answers. */
export const PRODUCT_VIEW = answer({
  tag: z.string(),
  name: z.string(),
  description: z.string(),
  co_locate: z.boolean(),
  ...STAMPS,
}).meta({ id: "ProductView" });

/** The input that creates an environment. */
export const ENVIRONMENT = object({
  slug: TEXT,
  env_name: NAME,
  description: NAME,
  active: optional(z.boolean()),
}).meta({ id: "Environment" });

/** A change of an environment. */
export const ENVIRONMENT_PATCH = object({
  slug: optional(TEXT),
  env_name: NAME.nullable(),
  description: NAME.nullable(),
  active: optional(z.boolean()).nullable(),
  if_revision: IF_REVISION,
}).meta({ id: "EnvironmentPatch" });

/** An environment in answers. */
export const ENVIRONMENT_VIEW = answer({
  slug: z.string(),
  env_name: z.string(),
  description: z.string(),
  active: z.boolean(),
  ...STAMPS,
}).meta({ id: "EnvironmentView" });

const AMOUNT_UNIT = optional(z.string().meta({ minLength: 1, maxLength: 64 })).meta({
  description: 'What amounts count, such as "tokens". Default "requests".',
});

/** The input that creates a quota: `rules`, or the fields of a single rule. */
export const QUOTA = object({
  tag: TEXT,
  name: NAME,
  description: NAME,
  decimals: optional(DECIMALS),
  rounding: optional(ROUNDING),
  unit: AMOUNT_UNIT,
  rules: optional(z.array(RULE).meta({ minItems: 1, maxItems: 16 })),
  limit: optional(LIMIT),
  period: RULE_PERIOD,
  ...RULE_OPTIONS,
  anchor: ANCHOR,
}).meta({ id: "Quota" });

/** A change of a quota. */
export const QUOTA_PATCH = object({
  tag: optional(TEXT),
  name: NAME.nullable(),
  description: NAME.nullable(),
  decimals: optional(DECIMALS).nullable(),
  rounding: optional(ROUNDING).nullable(),
  unit: AMOUNT_UNIT.nullable(),
  rules: optional(z.array(RULE)).nullable(),
  limit: optional(LIMIT),
  period: RULE_PERIOD,
  scope: RULE_OPTIONS.scope.nullable(),
  window: RULE_OPTIONS.window.nullable(),
  time_zone: RULE_OPTIONS.time_zone.nullable(),
  week_start: RULE_OPTIONS.week_start.nullable(),
  anchor: ANCHOR,
  on_exceed: RULE_OPTIONS.on_exceed.nullable(),
  alerts: RULE_OPTIONS.alerts.nullable(),
  history: RULE_OPTIONS.history.nullable(),
  if_revision: IF_REVISION,
}).meta({ id: "QuotaPatch" });

/** A quota in answers. */
export const QUOTA_VIEW = answer({
  tag: z.string(),
  name: z.string(),
  description: z.string(),
  decimals: z.int(),
  rounding: ROUNDING,
  unit: z.string(),
  rules: z.array(RULE_VIEW),
  ...STAMPS,
}).meta({ id: "QuotaView" });

/** The input that creates a cache. */
export const CACHE = object({
  tag: TEXT,
  name: NAME,
  description: NAME,
  expiry: z.number().meta({ description: "Milliseconds.", minimum: 1, maximum: 86_400_000 }),
}).meta({ id: "Cache" });

/** A change of a cache. */
export const CACHE_PATCH = object({
  tag: optional(TEXT),
  name: NAME.nullable(),
  description: NAME.nullable(),
  expiry: optional(z.number()),
  if_revision: IF_REVISION,
}).meta({ id: "CachePatch" });

/** A cache in answers. */
export const CACHE_VIEW = answer({
  tag: z.string(),
  name: z.string(),
  description: z.string(),
  expiry: z.int(),
  ...STAMPS,
}).meta({ id: "CacheView" });

/** Which entries in use to list. */
export const CACHE_QUERY = object({
  component_tag: TEXT.optional(),
  component_type: z.literal("quota").optional(),
});

/** The entries in use of a cache in the process that answers. */
export const CACHE_VALUES = answer({
  values: z.array(
    answer({
      key: z.string(),
      value: answer({
        env: z.string(),
        rule: z.string(),
        subject: z.string().nullable(),
        used: COUNT,
        held: COUNT.meta({
          description: "Reserved, not yet used; for a concurrency limit, the open holds.",
        }),
        window: answer({ start: INSTANT, end: INSTANT.nullable() }).nullable(),
      }),
      cache_tag: z.string(),
      product_tag: z.string(),
      component_tag: z.string(),
      component_type: z.literal("quota"),
      expiry: INSTANT,
    }),
  ),
}).meta({ id: "CacheValues" });

/** Which page of definitions to list. */
export const PAGE_QUERY = object(PAGE);

/** How to delete a definition. */
export const DELETE_QUERY = object({
  force: z
    .enum(["true", "false"])
    .optional()
    .meta({ description: "Deletes even if counters are in use." }),
});

/** A page of products, by tag. */
export const PRODUCTS_PAGE = answer({ products: z.array(PRODUCT_VIEW), next: NEXT }).meta({
  id: "ProductsPage",
});

/** A page of environments, by slug. */
export const ENVIRONMENTS_PAGE = answer({
  environments: z.array(ENVIRONMENT_VIEW),
  next: NEXT,
}).meta({ id: "EnvironmentsPage" });

/** A page of quotas, by tag. */
export const QUOTAS_PAGE = answer({ quotas: z.array(QUOTA_VIEW), next: NEXT }).meta({
  id: "QuotasPage",
});

/** A page of caches, by tag. */
export const CACHES_PAGE = answer({ caches: z.array(CACHE_VIEW), next: NEXT }).meta({
  id: "CachesPage",
});
