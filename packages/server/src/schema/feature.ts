import { z } from "zod";
import { answer, IF_REVISION, NAME, NEXT, object, optional, STAMPS, TEXT } from "./part.js";

const VALUE = z.union([z.string(), z.number(), z.boolean()]);
const TYPE = z.enum(["integer", "number", "string", "boolean", "json"]);
const AMOUNT = z
  .union([z.number().meta({ minimum: 0 }), z.string().meta({ maxLength: 1000 })])
  .meta({
    id: "Amount",
    description: 'A number, or an expression such as "$Input{pages} * 800".',
  });

const FIELD = object({
  type: TYPE,
  required: optional(z.boolean()),
  default: optional(VALUE),
  min: optional(z.number()),
  max: optional(z.number()),
  max_length: optional(z.number().meta({ minimum: 1, maximum: 1_000_000 })),
  values: optional(z.array(VALUE).meta({ minItems: 1, maxItems: 100 })),
}).meta({ id: "InputField" });

const FIELD_VIEW = answer({
  type: TYPE,
  required: z.boolean(),
  default: VALUE.nullable(),
  min: z.number().nullable(),
  max: z.number().nullable(),
  max_length: z.int().nullable(),
  values: z.array(VALUE).nullable(),
}).meta({ id: "InputFieldView" });

const USE = {
  amount: optional(AMOUNT),
  settle: optional(AMOUNT),
  allow_fail: optional(z.boolean()),
};
const USE_VIEW = { amount: AMOUNT, settle: AMOUNT.nullable(), allow_fail: z.boolean() };

/** What a text, a number or an object of these stands for; the library checks its expressions. */
type TemplateShape = string | number | boolean | null | { [name: string]: TemplateShape };
const TEMPLATE: z.ZodType<TemplateShape, TemplateShape> = z
  .lazy(() =>
    z.union([z.string(), z.number(), z.boolean(), z.null(), z.record(z.string(), TEMPLATE)]),
  )
  .meta({
    id: "Template",
    description: "A text with a path in it is an expression; anything else stays as it is.",
  });
const TEMPLATES = z.record(z.string(), TEMPLATE);

const EVENT_TYPE = z.enum(["quota", "feature"], {
  error: "do any other work in the feature's handler, which runs after the sequence",
});
const EVENT = object({
  type: EVENT_TYPE,
  event: TEXT,
  ...USE,
  input: TEMPLATES.optional(),
}).meta({ id: "Event" });

const EVENT_VIEW = z
  .union([
    answer({ type: z.literal("quota"), event: z.string(), ...USE_VIEW }),
    answer({
      type: z.literal("feature"),
      event: z.string(),
      input: TEMPLATES,
      allow_fail: z.boolean(),
    }),
  ])
  .meta({ id: "EventView" });

const PARTS = {
  input: z.record(z.string(), FIELD).optional(),
  quotas: optional(z.array(object({ quota: TEXT, ...USE })).meta({ maxItems: 16 })),
  sequence: optional(
    z
      .array(
        object({
          tag: TEXT,
          parents: optional(z.array(TEXT).meta({ maxItems: 16 })),
          events: z.array(EVENT).meta({ minItems: 1, maxItems: 16 }),
        }),
      )
      .meta({ maxItems: 16 }),
  ),
  output: TEMPLATES.optional(),
  handler: optional(
    object({
      url: z.string(),
      timeout_ms: optional(z.number().meta({ minimum: 1, maximum: 600_000 })),
    }),
  ),
  ttl_ms: optional(z.number().meta({ minimum: 1000, maximum: 86_400_000 })),
};

/** The input that creates a feature. */
export const FEATURE = object({ tag: TEXT, name: NAME, description: NAME, ...PARTS }).meta({
  id: "Feature",
});

/** A change of a feature. */
export const FEATURE_PATCH = object({
  tag: optional(TEXT),
  name: NAME.nullable(),
  description: NAME.nullable(),
  input: PARTS.input.nullable(),
  quotas: PARTS.quotas.nullable(),
  sequence: PARTS.sequence.nullable(),
  output: PARTS.output.nullable(),
  handler: PARTS.handler.nullable(),
  ttl_ms: PARTS.ttl_ms.nullable(),
  if_revision: IF_REVISION,
}).meta({ id: "FeaturePatch" });

/** A feature in answers. */
export const FEATURE_VIEW = answer({
  tag: z.string(),
  name: z.string(),
  description: z.string(),
  input: z.record(z.string(), FIELD_VIEW),
  quotas: z.array(answer({ quota: z.string(), ...USE_VIEW })),
  sequence: z.array(
    answer({ tag: z.string(), parents: z.array(z.string()), events: z.array(EVENT_VIEW) }),
  ),
  output: TEMPLATES.nullable(),
  handler: answer({ url: z.string(), timeout_ms: z.int() }).nullable(),
  ttl_ms: z.int(),
  ...STAMPS,
}).meta({ id: "FeatureView" });

/** A page of features, by tag. */
export const FEATURES_PAGE = answer({ features: z.array(FEATURE_VIEW), next: NEXT }).meta({
  id: "FeaturesPage",
});
