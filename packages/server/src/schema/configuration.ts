import { z } from "zod";
import { CACHE, ENVIRONMENT, PRODUCT, QUOTA } from "./definition.js";
import { FEATURE } from "./feature.js";
import { answer, object, optional } from "./part.js";
import { SESSION } from "./session.js";

const PRODUCT_CONFIGURATION = object({
  ...PRODUCT.shape,
  environments: optional(z.array(ENVIRONMENT)),
  quotas: optional(z.array(QUOTA)),
  sessions: optional(z.array(SESSION)),
  caches: optional(z.array(CACHE)),
  features: optional(z.array(FEATURE)),
}).meta({ id: "ProductConfiguration" });

const PRODUCTS = z.array(PRODUCT_CONFIGURATION);

/** Definitions as written in a file. */
export const CONFIGURATION = object({ products: PRODUCTS }).meta({ id: "Configuration" });

/** A configuration to apply. */
export const APPLY_INPUT = object({
  products: PRODUCTS,
  dry_run: optional(z.boolean()).meta({
    description: "Reports what would change, and changes nothing.",
  }),
}).meta({ id: "ApplyInput" });

const FIELD_CHANGE = answer({
  field: z.string().meta({ description: "Such as `rules[user].limit`." }),
  from: z.unknown(),
  to: z.unknown(),
});

/** What was done with each definition of a configuration. */
export const APPLIED = answer({
  changes: z.array(
    answer({
      kind: z.enum(["product", "environment", "quota", "session", "cache", "feature"]),
      product_tag: z.string(),
      id: z.string().meta({ description: "The tag, or the slug of an environment." }),
      action: z.enum(["create", "update", "keep"]),
      fields: z
        .array(FIELD_CHANGE)
        .meta({ description: "The fields that differ, if it was updated." }),
    }),
  ),
  applied: z.boolean(),
}).meta({ id: "Applied" });
