import { z } from "zod";
import { answer, COUNT, INSTANT, NEXT, object, PAGE, TEXT } from "./part.js";

const TARGET = { product_tag: TEXT, env: TEXT, quota_tag: TEXT, rule: TEXT.optional() };

/** The subjects to list, as a query. */
export const SUBJECTS_QUERY = object({
  ...TARGET,
  ...PAGE,
  window: z
    .enum(["now", "last"])
    .optional()
    .meta({ description: "`last`: the last window that has ended, of a day or longer." }),
});

const HELD = COUNT.meta({
  description: "Reserved, not yet used; for a concurrency limit, the open holds.",
});
const WINDOW = { start: INSTANT, end: INSTANT.nullable() };
const NUMBERS = { used: COUNT, held: HELD, limit: COUNT.nullable(), remaining: COUNT.nullable() };

/** A page of subjects, greatest use first. */
export const SUBJECTS_PAGE = answer({
  subjects: z.array(
    answer({
      subject: z.string().nullable(),
      ...NUMBERS,
      window: answer(WINDOW).nullable().meta({ description: "Null for a concurrency limit." }),
      last_seen: INSTANT,
    }),
  ),
  next: NEXT,
}).meta({ id: "SubjectsPage" });

const SUBJECT =
  "As subjects lists it; a text that begins with { or a quote is JSON: an object of selector " +
  "values, or a subject. Left out for the counter of a whole product.";

/** Whose windows to list, as a query. */
export const HISTORY_QUERY = object({
  ...TARGET,
  subject: z.string().optional().meta({ description: SUBJECT }),
});

/** The windows of one subject, the current one first. */
export const HISTORY = answer({
  rule: z.string(),
  subject: z.string().nullable(),
  keeps: z.int().min(0).meta({ description: "How many ended windows the rule keeps." }),
  last_seen: INSTANT.nullable().meta({ description: "Null if there is no counter." }),
  windows: z.array(answer({ ...WINDOW, ...NUMBERS })),
}).meta({ id: "UsageHistory" });

/** Which counters to count, as a query. */
export const COUNTERS_QUERY = object({
  product_tag: TEXT,
  env: TEXT.optional().meta({ description: "If left out, all environments." }),
  quota_tag: TEXT.optional(),
  rule: TEXT.optional(),
});

/** How many counters there are. */
export const COUNTERS = answer({
  counters: z.int().min(0).meta({ description: "All stored counters." }),
  in_use: z
    .int()
    .min(0)
    .meta({ description: "Counters with something used in their current window." }),
}).meta({ id: "KeptCounters" });
