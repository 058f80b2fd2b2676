import { z } from "zod";
import { COUNT, DATA, INSTANT, object, optional, TEXT, answer } from "./part.js";
import { PERIOD } from "./definition.js";
import { PROBLEM } from "./problem.js";

const ACTION = z
  .enum(["check", "increment", "decrement", "set", "reset", "grant"])
  .meta({ id: "Action" });

/** The input of `/v1/quota/run`. */
export const QUOTA_INPUT = object({
  env: TEXT.meta({ description: "Slug of an environment of the product." }),
  product_tag: TEXT,
  quota_tag: TEXT,
  action: ACTION,
  amount: optional(
    z.number().meta({
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      description: "Default 1. Required for set and grant, ignored by reset.",
    }),
  ),
  session: optional(object({ tag: TEXT, token: z.string() })).meta({
    description: "Whose quota it is, by a token of a session.",
  }),
  subject: optional(z.union([TEXT, DATA])).meta({
    description: "Who is counted, where there is no session.",
  }),
  cache: optional(TEXT),
  idempotency_key: optional(TEXT).meta({
    description: "The same key with the same input counts once while its answer is kept: 24 h.",
  }),
  idempotency_ttl_ms: optional(
    z.number().meta({
      minimum: 1000,
      maximum: 86_400_000,
      description: "How long the answer of the key is kept, in milliseconds. Default 24 h.",
    }),
  ),
  rule: optional(TEXT).meta({ description: "Which rule reset, set and grant speak to; `*`: all." }),
}).meta({ id: "QuotaInput" });

/** The input of `/v1/quota/batch`. Each input is checked on its own, so that one fails alone. */
export const BATCH_INPUT = object({
  inputs: z
    .array(z.unknown().meta({ $ref: "#/components/schemas/QuotaInput" }))
    .meta({ maxItems: 1000 }),
  atomic: optional(z.boolean()).meta({ description: "All or none. Default false." }),
}).meta({ id: "BatchInput" });

const WINDOW = answer({ start: INSTANT, end: INSTANT.nullable() });

const told = <S extends z.ZodType>(schema: S, description: string) => schema.meta({ description });

const NUMBERS = {
  rule: told(
    z.string(),
    "Whose numbers these are: the rule that denied for longest, else the one closest to its limit.",
  ),
  subject: told(z.string().nullable(), "Whose counter; null: of the whole product."),
  limit: told(COUNT.nullable(), "With the grants of the window; null: counts only."),
  used: told(COUNT, "Counted in the window, with this call."),
  held: told(COUNT, "Reserved, not yet used."),
  remaining: told(COUNT.nullable(), "`limit - used`, never under 0; null when unlimited."),
  overage: told(COUNT, "How far `used` is past the limit."),
  period: PERIOD,
  window: told(WINDOW, "From when to when is counted; an end of null: for ever."),
  resets_at: told(
    INSTANT.nullable(),
    "When the window ends or, rolling, its oldest amount leaves; null for a lifetime.",
  ),
};

const APPLIED = {
  applied: told(
    COUNT.optional(),
    "Of decrement: what was taken, less than `amount` where less was used.",
  ),
};

const RULE_RESULT = answer({
  ...NUMBERS,
  admits: told(z.boolean(), "False for a rule that refused."),
  retry_after_ms: told(
    COUNT.nullable(),
    "Milliseconds until the amount may fit; null when waiting cannot help.",
  ),
  ...APPLIED,
}).meta({ id: "RuleResult" });

const ASKED = {
  action: ACTION,
  env: z.string(),
  product_tag: z.string(),
  quota_tag: z.string(),
  amount: COUNT,
};

const DECISION = {
  ...ASKED,
  ...NUMBERS,
  exceeded: told(z.boolean(), "The limit was in the way, or is passed."),
  source: told(z.enum(["store", "cache"]), "Where the numbers were read."),
  age_ms: told(COUNT, "How old the numbers are, in milliseconds; 0 from the store."),
  replayed: told(z.boolean(), "This is the first answer to the same idempotency key again."),
  degraded: z.literal(false),
  unit: told(z.string().optional(), "What amounts are of, where the quota's are not of requests."),
  asked_by: told(
    z.string().optional(),
    "Who asked by a session, where the numbers are of another subject.",
  ),
  previous_used: told(COUNT.optional(), "Of reset and set: what was counted before."),
  ...APPLIED,
  alerts: told(
    z.array(answer({ rule: z.string(), fraction: z.number() })).optional(),
    "Alerts that this decision, and no other in the window, reports.",
  ),
  rules: told(z.array(RULE_RESULT).optional(), "All rules, where there are several."),
};

const ADMITTED = answer({
  ...DECISION,
  allowed: z.literal(true),
  success: z.literal(true),
  code: z.literal("OK"),
  retry_after_ms: z.literal(0),
}).meta({ id: "Admitted", description: "It was counted or, for check, would be." });

const DENIED = answer({
  ...DECISION,
  allowed: z.literal(false),
  success: z.literal(false),
  code: z.enum(["QUOTA_EXCEEDED", "NOT_APPLIED"]),
  retry_after_ms: COUNT.nullable(),
}).meta({ id: "Denied", description: "It was refused and cost nothing." });

const DEGRADED = answer({
  ...ASKED,
  subject: z.string().nullable(),
  allowed: z.boolean(),
  success: z.boolean(),
  exceeded: z.literal(false),
  code: z.enum(["STORE_UNAVAILABLE", "TIMEOUT"]),
  degraded: z.literal(true),
  retry_after_ms: COUNT.nullable(),
}).meta({ id: "Degraded", description: "The store did not answer: nothing was counted." });

/** The answer of `/v1/quota/run`. */
export const QUOTA_RESULT = z
  .union([ADMITTED, DENIED, DEGRADED])
  .meta({ id: "QuotaResult", description: "A denial is an answer, not a fault." });

/** The answer of `/v1/quota/batch`, in the order of the inputs. */
export const BATCH_RESULT = answer({ results: z.array(z.union([QUOTA_RESULT, PROBLEM])) }).meta({
  id: "BatchResult",
});
