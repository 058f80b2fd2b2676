import { z } from "zod";
import { answer, COUNT, INSTANT, NEXT, object, PAGE, TEXT } from "./part.js";

const TARGET = { product_tag: TEXT, env: TEXT, quota_tag: TEXT, rule: TEXT.optional() };

/** The subjects to list, as a query. */
export const SUBJECTS_QUERY = object({ ...TARGET, ...PAGE });

const WINDOW = { start: INSTANT, end: INSTANT.nullable() };
const NUMBERS = { used: COUNT, limit: COUNT.nullable(), remaining: COUNT.nullable() };

/** A page of subjects, by `used` descending. */
export const SUBJECTS_PAGE = answer({
  subjects: z.array(
    answer({
      subject: z.string().nullable(),
      ...NUMBERS,
      window: answer(WINDOW),
      last_seen: INSTANT,
    }),
  ),
  next: NEXT,
}).meta({ id: "SubjectsPage" });

/** Whose windows to tell, as a query. */
export const HISTORY_QUERY = object({
  ...TARGET,
  subject: TEXT.optional().meta({ description: "Left out for the counter of a whole product." }),
});

/** The windows of one counter, the one that holds now first. */
export const HISTORY = answer({
  rule: z.string(),
  subject: z.string().nullable(),
  keeps: z.int().min(0).meta({ description: "How many ended windows the rule keeps." }),
  windows: z.array(answer({ ...WINDOW, ...NUMBERS })),
}).meta({ id: "UsageHistory" });
