import { z } from "zod";
import { answer, COUNT, INSTANT, NEXT, object, PAGE, TEXT } from "./part.js";

/** The open holds to list, as a query. */
export const RESERVATIONS_QUERY = object({
  product_tag: TEXT,
  env: TEXT,
  quota_tag: TEXT.optional().meta({ description: "If left out, all quotas." }),
  subject: TEXT.optional().meta({ description: "Whose counters hold them. If left out, all." }),
  older_than_ms: z
    .string()
    .regex(/^\d{1,15}$/, "expects an integer from 0")
    .meta({
      type: "integer",
      minimum: 0,
      description: "Lists those reserved at least so many milliseconds ago.",
    })
    .optional(),
  ...PAGE,
});

/** A page of open holds, the oldest first. */
export const RESERVATIONS_PAGE = answer({
  reservations: z
    .array(
      answer({
        quota_tag: z.string(),
        id: z.string().meta({ description: "The id of the hold." }),
        subject: z.string().nullable(),
        subjects: z.array(z.string()).meta({
          description: "Whose counters hold it, besides those of the whole product.",
        }),
        amount: COUNT.meta({ description: "What was reserved." }),
        held: COUNT.meta({ description: "What is still set aside." }),
        opened_at: INSTANT.meta({ description: "When it was reserved." }),
        expires_at: INSTANT.meta({ description: "When it stops counting by itself." }),
        age_ms: COUNT.meta({ description: "How long it has been open, in milliseconds." }),
        state: z.literal("open").meta({ description: "It is neither settled nor expired." }),
      }),
    )
    .meta({ description: "Open holds, the oldest first." }),
  next: NEXT,
}).meta({ id: "ReservationsPage" });
