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
    z.number().meta({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description: "Default 1." }),
  ),
  session: optional(object({ tag: TEXT, token: z.string() })).meta({
    description: "Whose quota it is, by a token of a session.",
  }),
  subject: optional(z.union([TEXT, DATA])).meta({
    description: "Who is counted, where there is no session.",
  }),
  cache: optional(TEXT),
  idempotency_key: optional(TEXT).meta({
    description: "The same key with the same input counts once in 24 h.",
  }),
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

const NUMBERS = {
  rule: z.string(),
  subject: z.string().nullable(),
  limit: COUNT.nullable(),
  used: COUNT,
  held: COUNT,
  remaining: COUNT.nullable(),
  overage: COUNT,
  period: PERIOD,
  window: WINDOW,
  resets_at: INSTANT.nullable(),
};

const RULE_RESULT = answer({
  ...NUMBERS,
  admits: z.boolean(),
  retry_after_ms: COUNT.nullable(),
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
  exceeded: z.boolean(),
  source: z.enum(["store", "cache"]),
  age_ms: COUNT,
  replayed: z.boolean(),
  degraded: z.literal(false),
  asked_by: z.string().optional(),
  previous_used: COUNT.optional(),
  alerts: z.array(answer({ rule: z.string(), fraction: z.number() })).optional(),
  rules: z.array(RULE_RESULT).optional(),
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
