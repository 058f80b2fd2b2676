import { z } from "zod";
import { answer, COUNT, DATA, INSTANT, object, optional, TEXT } from "./part.js";
import { ISSUES } from "./problem.js";
import { QUOTA_RESULT } from "./quota.js";

const TARGET = {
  env: TEXT.meta({ description: "Slug of an environment of the product." }),
  product_tag: TEXT,
};
const CALLER = {
  session: optional(object({ tag: TEXT, token: z.string() })).meta({
    description: "The user, by a token of a session.",
  }),
  subject: optional(z.union([TEXT, DATA])).meta({
    description: "Who is counted, if there is no session.",
  }),
};
const INPUT = DATA.optional().meta({ description: "As the feature's definition describes it." });
const RESERVATION = TEXT.meta({ description: "The id of the reservation." });
const TTL_MS = optional(z.number().meta({ minimum: 1000, maximum: 86_400_000 })).meta({
  description: "How long the amounts stay reserved, in ms. Default that of the definition.",
});

/** The input of `/v1/features/{feature}/run`. */
export const FEATURE_RUN_INPUT = object({
  ...TARGET,
  input: INPUT,
  ...CALLER,
  cache: optional(TEXT),
}).meta({ id: "FeatureRunInput" });

/** The input of `/v1/features/{feature}/reserve`. */
export const FEATURE_RESERVE_INPUT = object({
  ...TARGET,
  input: INPUT,
  ...CALLER,
  cache: optional(TEXT),
  reservation: optional(TEXT).meta({
    description: "An id of your own; the same id with the same input reserves once.",
  }),
  ttl_ms: TTL_MS,
}).meta({ id: "FeatureReserveInput" });

/** The input of `/v1/features/{feature}/commit`. */
export const FEATURE_COMMIT_INPUT = object({
  ...TARGET,
  reservation: RESERVATION,
  input: INPUT,
  ...CALLER,
  result: z
    .unknown()
    .optional()
    .meta({ description: "What the work gave: `$Result` in expressions." }),
}).meta({ id: "FeatureCommitInput" });

/** The input of `/v1/features/{feature}/extend`. */
export const FEATURE_EXTEND_INPUT = object({
  ...TARGET,
  reservation: RESERVATION,
  ttl_ms: TTL_MS,
}).meta({ id: "FeatureExtendInput" });

/** The input of `/v1/features/{feature}/release`. */
export const FEATURE_RELEASE_INPUT = object({
  ...TARGET,
  reservation: RESERVATION,
  reason: optional(TEXT).meta({ description: "Why, for the audit log." }),
}).meta({ id: "FeatureReleaseInput" });

/** The input of `/v1/features/{feature}/enabled`. */
export const FEATURE_ENABLED_INPUT = object({ ...TARGET, ...CALLER }).meta({
  id: "FeatureEnabledInput",
});

const ANSWER = {
  product_tag: z.string(),
  env: z.string(),
  feature_tag: z.string().meta({ description: "Tag of the feature." }),
  quotas: z
    .array(QUOTA_RESULT)
    .meta({ description: "The answers of its quotas, in the order of the definition." }),
};
const ALLOWED = { ...ANSWER, allowed: z.literal(true), code: z.literal("OK") };
const OUTPUT = {
  output: z.unknown().optional().meta({
    description:
      "As the definition says, or else the result of the handler; left out if that is nothing.",
  }),
  issues: ISSUES.optional().meta({
    description: "What could not be calculated after the work; the reserved amount is charged.",
  }),
};
const HOLDS = answer({
  id: z.string().meta({ description: "The id that all its quotas are reserved under." }),
  expires_at: INSTANT.nullable().meta({
    description: "When the first of its holds expires; null if nothing is held.",
  }),
}).meta({ description: "What its quotas are reserved under." });

const DENIED = answer({
  ...ANSWER,
  allowed: z.literal(false),
  code: z.enum(["QUOTA_EXCEEDED", "STORE_UNAVAILABLE", "TIMEOUT"]),
  retry_after_ms: COUNT.nullable(),
}).meta({ id: "FeatureDenied", description: "A quota denied: nothing is held, no handler ran." });

/** The answer of `run`. */
export const FEATURE_ANSWER = z
  .union([
    answer({
      ...ALLOWED,
      reservation: z.string().meta({ description: "The id that its quotas were reserved under." }),
      ...OUTPUT,
    }).meta({ id: "FeatureDone", description: "The handler ran, and what it used is charged." }),
    DENIED,
  ])
  .meta({ id: "FeatureAnswer", description: "A denial is an answer, not a fault." });

/** The answer of `reserve`. */
export const FEATURE_RESERVED = z
  .union([
    answer({
      ...ALLOWED,
      reservation: HOLDS,
      input: DATA.meta({ description: "With the defaults of fields that were left out." }),
      ttl_ms: COUNT.meta({ description: "How long it lasts without `extend`, in milliseconds." }),
    }).meta({ id: "FeatureReserved", description: "Do the work, then call `commit`." }),
    DENIED,
  ])
  .meta({ id: "FeatureReservation" });

const HELD = answer({ ...ALLOWED, reservation: HOLDS }).meta({
  id: "FeatureHeld",
  description: "What became of a reservation.",
});

/** The answer of `release`. */
export const FEATURE_HELD = HELD;

/** The answer of `extend`; a reservation that has expired may be denied. */
export const FEATURE_EXTENDED = z.union([HELD, DENIED]).meta({ id: "FeatureExtended" });

/** The answer of `commit`. */
export const FEATURE_COMMITTED = answer({ ...ALLOWED, reservation: HOLDS, ...OUTPUT }).meta({
  id: "FeatureCommitted",
});

/** The answer of `enabled`. */
export const FEATURE_ENABLED = answer({
  enabled: z.boolean().meta({
    description: "False if a quota that it needs has a limit of 0 or is not defined.",
  }),
}).meta({ id: "FeatureEnabled" });
