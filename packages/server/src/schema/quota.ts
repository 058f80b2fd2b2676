import { ACTIONS } from "ductape";
import { z } from "zod";
import { COUNT, DATA, INSTANT, object, optional, TEXT, answer } from "./part.js";
import { PERIOD } from "./definition.js";
import { PROBLEM } from "./problem.js";

const ACTION = z.enum(ACTIONS).meta({ id: "Action" });

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
      description:
        "Default 1; for commit and extend what is held; for a decrement with `of` all that was " +
        "charged. Required for set and grant, ignored by reset.",
    }),
  ),
  session: optional(object({ tag: TEXT, token: z.string() })).meta({
    description: "The user, by a token of a session.",
  }),
  subject: optional(z.union([TEXT, DATA])).meta({
    description: "Who is counted, if there is no session.",
  }),
  cache: optional(TEXT),
  idempotency_key: optional(TEXT).meta({
    description:
      "The same key with the same input counts once while its answer is kept, 24 h by default.",
  }),
  idempotency_ttl_ms: optional(
    z.number().meta({
      minimum: 1000,
      maximum: 86_400_000,
      description: "How long to keep the key's answer, in milliseconds. Default 24 h.",
    }),
  ),
  rule: optional(TEXT).meta({
    description: "The rule that reset, set and grant act on; `*` for all.",
  }),
  reservation: optional(TEXT).meta({
    description:
      "The id of a hold. Required for commit, extend and release; a reserve without one gets a " +
      "new one.",
  }),
  ttl_ms: optional(
    z.number().meta({
      minimum: 1000,
      maximum: 86_400_000,
      description: "For reserve and extend: how long to hold it, in milliseconds. Default 10 min.",
    }),
  ),
  at_least: optional(z.number().meta({ minimum: 0 })).meta({
    description: "For reserve and increment: take less than `amount`, if that is at least this.",
  }),
  final: optional(z.boolean()).meta({
    description: "For commit: false counts a part and keeps the rest held. Default true.",
  }),
  on_exceed: optional(z.enum(["reject", "allow"])).meta({
    description:
      "For increment and commit: whether to count past the limit what has already happened. " +
      "Default `allow` for commit, `reject` for increment.",
  }),
  reason: optional(z.string().meta({ minLength: 1, maxLength: 500 })).meta({
    description: "For release: why, for the audit log.",
  }),
  of: optional(TEXT).meta({
    description:
      "For decrement: the charge to take back once, by the idempotency key of an increment or " +
      "the id of a settled hold.",
  }),
}).meta({ id: "QuotaInput" });

/** The input of `/v1/quota/batch`. Each input is checked on its own, so one can fail alone. */
export const BATCH_INPUT = object({
  inputs: z
    .array(z.unknown().meta({ $ref: "#/components/schemas/QuotaInput" }))
    .meta({ maxItems: 1000 }),
  atomic: optional(z.boolean()).meta({ description: "All or none. Default false." }),
}).meta({ id: "BatchInput" });

const WINDOW = answer({ start: INSTANT, end: INSTANT.nullable() }).nullable();

const described = <S extends z.ZodType>(schema: S, description: string) =>
  schema.meta({ description });

const NUMBERS = {
  rule: described(
    z.string(),
    "The rule of these numbers: the one that denies longest, else the one closest to its limit.",
  ),
  subject: described(z.string().nullable(), "Whose counter it is; null: the whole product's."),
  limit: described(COUNT.nullable(), "Includes the grants of the window; null: counts only."),
  used: described(COUNT, "The amount counted in the window, including this call."),
  held: described(COUNT, "Reserved, not yet used; for a concurrency limit, the open holds."),
  remaining: described(
    COUNT.nullable(),
    "`limit - used - held`, never below 0; null if unlimited.",
  ),
  overage: described(COUNT, "By how much the limit is passed."),
  period: described(PERIOD.nullable(), "The length of a window; null for a concurrency limit."),
  window: described(
    WINDOW,
    "The window in which amounts are counted; `end` is null if it never ends. Null for a " +
      "concurrency limit.",
  ),
  resets_at: described(
    INSTANT.nullable(),
    "When the window ends or, if rolling, its oldest amount leaves; null for a lifetime and a " +
      "concurrency limit.",
  ),
};

const APPLIED = {
  applied: described(
    COUNT.optional(),
    "For decrement: what was taken, less than `amount` if less was used.",
  ),
};

const RULE_RESULT = answer({
  ...NUMBERS,
  admits: described(z.boolean(), "False if the rule denied the amount."),
  retry_after_ms: described(
    COUNT.nullable(),
    "Milliseconds until the amount may fit; null if waiting cannot help.",
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

const RESERVATION = answer({
  id: described(z.string(), "The id of the hold."),
  amount: described(COUNT.optional(), "After reserve and extend: what is set aside."),
  expires_at: described(INSTANT.optional(), "When an open hold stops counting by itself."),
  held: described(
    COUNT.optional(),
    "After commit and release: what was still set aside before; 0 once expired.",
  ),
  charged: described(COUNT.optional(), "What the call counted."),
  excess: described(COUNT.optional(), "How much of that was not set aside."),
  expired: described(z.boolean().optional(), "Whether the hold had expired before."),
  window: described(
    WINDOW.optional(),
    "The window it was counted in, which may have ended; null for a concurrency limit.",
  ),
}).meta({ id: "Reservation" });

const DECISION = {
  ...ASKED,
  ...NUMBERS,
  exceeded: described(z.boolean(), "Whether a limit denied the amount or is passed."),
  source: described(z.enum(["store", "cache"]), "Where the numbers come from."),
  age_ms: described(COUNT, "The age of the numbers in milliseconds; 0 from the store."),
  replayed: described(
    z.boolean(),
    "True if this repeats the first answer to the same idempotency key.",
  ),
  degraded: z.literal(false),
  unit: described(z.string().optional(), "What amounts count, unless that is requests."),
  asked_by: described(
    z.string().optional(),
    "The user of the session, if the numbers belong to another subject.",
  ),
  previous_used: described(COUNT.optional(), "For reset and set: what was counted before."),
  ...APPLIED,
  reservation: described(
    RESERVATION.optional(),
    "For reserve, commit, extend and release: what became of the hold.",
  ),
  alerts: described(
    z.array(answer({ rule: z.string(), fraction: z.number() })).optional(),
    "Alerts that only this decision in the window reports.",
  ),
  rules: described(z.array(RULE_RESULT).optional(), "All rules, if there are several."),
};

const ADMITTED = answer({
  ...DECISION,
  allowed: z.literal(true),
  success: z.literal(true),
  code: z.literal("OK"),
  retry_after_ms: z.literal(0),
}).meta({
  id: "Admitted",
  description: "The amount was counted or set aside or, for check, would be.",
});

const DENIED = answer({
  ...DECISION,
  allowed: z.literal(false),
  success: z.literal(false),
  code: z.enum(["QUOTA_EXCEEDED", "NOT_APPLIED"]),
  retry_after_ms: COUNT.nullable(),
}).meta({ id: "Denied", description: "The amount was denied and cost nothing." });

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
