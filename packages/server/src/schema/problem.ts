import { ERRORS } from "ductape";
import { z } from "zod";
import { answer } from "./part.js";

/** What is wrong with each field of an input. */
export const ISSUES = z.array(answer({ path: z.string(), message: z.string() }));

/** A fault (RFC 9457) from the one table of codes. */
export const PROBLEM = answer({
  type: z.string().meta({ format: "uri-reference" }),
  title: z.string(),
  status: z.int().min(400).max(599),
  detail: z.string(),
  code: z.string().meta({ enum: Object.keys(ERRORS) }),
  retryable: z.boolean(),
  request_id: z.string(),
  issues: ISSUES.optional(),
}).meta({ id: "Problem" });
