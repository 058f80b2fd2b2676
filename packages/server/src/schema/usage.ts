import { z } from "zod";
import { answer, COUNT, INSTANT, NEXT, object, PAGE, TEXT } from "./part.js";

/** The subjects to list, as a query. */
export const SUBJECTS_QUERY = object({
  product_tag: TEXT,
  env: TEXT,
  quota_tag: TEXT,
  rule: TEXT.optional(),
  ...PAGE,
});

/** A page of subjects, by `used` descending. */
export const SUBJECTS_PAGE = answer({
  subjects: z.array(
    answer({
      subject: z.string().nullable(),
      used: COUNT,
      limit: COUNT.nullable(),
      remaining: COUNT.nullable(),
      window: answer({ start: INSTANT, end: INSTANT.nullable() }),
      last_seen: INSTANT,
    }),
  ),
  next: NEXT,
}).meta({ id: "SubjectsPage" });
