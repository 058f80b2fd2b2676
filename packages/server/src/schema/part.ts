import { z } from "zod";

/** `{}`, which any optional field accepts and which means that the field is left out. */
const EMPTY = z.record(z.string(), z.never()).meta({
  id: "Empty",
  description: "An optional field may be `{}`, which means the same as leaving it out.",
});

/** A field that may be missing or `{}`. */
export function optional<S extends z.ZodType>(schema: S) {
  return z.union([schema, EMPTY]).optional();
}

/**
 * An object with these fields and no others. The issue for an unknown field lists the known
 * ones, so that `wire.ts` can suggest the nearest.
 */
export function object<S extends z.ZodRawShape>(shape: S) {
  const known = Object.keys(shape).join(" ");
  return z.strictObject(shape, {
    error: ({ code }) => (code === "unrecognized_keys" ? known : undefined),
  });
}

/** An object in answers: a newer server may add fields. */
export function answer<S extends z.ZodRawShape>(shape: S) {
  return z.object(shape);
}

/** A tag, slug, subject or key. The library checks the bounds that are documented here. */
export const TEXT = z.string().meta({ minLength: 1, maxLength: 255 });

/** A text for people. */
export const NAME = optional(z.string().meta({ maxLength: 1000 }));

/** An object of any members. */
export const DATA = z.record(z.string(), z.unknown());

/** An instant in answers, ISO 8601 in UTC. */
export const INSTANT = z.string().meta({ format: "date-time" });

/** A count in answers, never negative. */
export const COUNT = z.number().min(0);

/** The fields of every stored definition. */
export const STAMPS = {
  revision: z.int().min(1).meta({ description: "Increases with every change; also the ETag." }),
  created_at: INSTANT,
  updated_at: INSTANT,
};

/** The revision that a change applies to. */
export const IF_REVISION = optional(
  z.number().meta({ description: "Changes only that revision. If-Match does the same." }),
);

/** A number in a query, as text. */
const LIMIT = z
  .string()
  .regex(/^\d{1,4}$/, "expects an integer from 1 to 1000")
  .meta({
    type: "integer",
    minimum: 1,
    maximum: 1000,
    description: "The maximum length of a page.",
  });

/** Which page of a list. */
export const PAGE = {
  limit: LIMIT.optional(),
  after: z.string().optional().meta({ description: "`next` from the previous page." }),
};

/** Where the next page begins; null at the end. */
export const NEXT = z
  .string()
  .nullable()
  .meta({ description: "Pass it as `after` to get the next page; null at the end." });
