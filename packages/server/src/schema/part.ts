import { z } from "zod";

/** `{}`, which any optional field takes and which means that it is left out. */
export const EMPTY = z
  .record(z.string(), z.never())
  .meta({ id: "Empty", description: "An optional field may be `{}`: as if it were left out." });

/** A field that may be left out, in words or as `{}`. */
export function optional<S extends z.ZodType>(schema: S) {
  return z.union([schema, EMPTY]).optional();
}

/**
 * An object of these fields and no others. What is told of an unknown field is the list of those
 * that are known, for `wire.ts` to find the nearest.
 */
export function object<S extends z.ZodRawShape>(shape: S) {
  const known = Object.keys(shape).join(" ");
  return z.strictObject(shape, {
    error: ({ code }) => (code === "unrecognized_keys" ? known : undefined),
  });
}

/** An object as answers tell it: a newer server may tell more. */
export function answer<S extends z.ZodRawShape>(shape: S) {
  return z.object(shape);
}

/** A tag, slug, subject or key. Its bounds are told here and checked by the library. */
export const TEXT = z.string().meta({ minLength: 1, maxLength: 255 });

/** A text for people. */
export const NAME = optional(z.string().meta({ maxLength: 1000 }));

/** An object of any members. */
export const DATA = z.record(z.string(), z.unknown());

/** An instant in answers, ISO 8601 in UTC. */
export const INSTANT = z.string().meta({ format: "date-time" });

/** A count in answers: not negative. */
export const COUNT = z.number().min(0);

/** What every stored definition has. */
export const STAMPS = {
  revision: z.int().min(1).meta({ description: "Counts the changes; also in the ETag." }),
  created_at: INSTANT,
  updated_at: INSTANT,
};

/** The revision that a change is of. */
export const IF_REVISION = optional(
  z.number().meta({ description: "Changes that revision and no other. If-Match does the same." }),
);

/** A number in a query, as text. */
const LIMIT = z
  .string()
  .regex(/^\d{1,4}$/, "wants an integer from 1 to 1000")
  .meta({ type: "integer", minimum: 1, maximum: 1000, description: "Most of a page." });

/** Which page of a list. */
export const PAGE = {
  limit: LIMIT.optional(),
  after: z.string().optional().meta({ description: "The `next` of the page before." }),
};

/** What follows a page: null at the end. */
export const NEXT = z
  .string()
  .nullable()
  .meta({ description: "What to pass as `after` for the next page; null at the end." });
