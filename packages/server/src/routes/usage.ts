import { show, ValidationError, type SubjectInput } from "ductape";
import { endpoint } from "../route.js";
import {
  COUNTERS,
  COUNTERS_QUERY,
  HISTORY,
  HISTORY_QUERY,
  SUBJECTS_PAGE,
  SUBJECTS_QUERY,
} from "../schema/usage.js";
import { limitOf } from "./definitions.js";

const FAULTS = [
  "PRODUCT_NOT_FOUND",
  "ENVIRONMENT_NOT_FOUND",
  "ENVIRONMENT_INACTIVE",
  "QUOTA_NOT_FOUND",
] as const;

const subjects = endpoint({
  summary: "List who has used how much of a quota",
  input: SUBJECTS_QUERY,
  answers: { 200: { description: "A page, greatest use first", schema: SUBJECTS_PAGE } },
  faults: FAULTS,
  handle({ service, access }, { limit, ...query }) {
    access.requireEnvironment(query.product_tag, query.env);
    return service.ductape.usage.subjects({ ...query, limit: limitOf(limit) });
  },
});

const history = endpoint({
  summary: "List what was used in this window and the earlier ones",
  input: HISTORY_QUERY,
  answers: {
    200: { description: "The current window, then those before it", schema: HISTORY },
  },
  faults: [...FAULTS, "SUBJECT_REQUIRED"],
  handle({ service, access }, { subject, ...query }) {
    access.requireEnvironment(query.product_tag, query.env);
    return service.ductape.usage.history({ ...query, subject: subjectOf(subject) });
  },
});

/**
 * The subject given by the text of a query. Throws `VALIDATION` for a text that only begins like
 * JSON.
 */
function subjectOf(text: string | undefined): SubjectInput | undefined {
  if (text === undefined || !/^[{"]/.test(text)) return text;
  try {
    return JSON.parse(text);
  } catch {
    const message = `expects JSON, because it begins with { or a quote, got ${show(text)}`;
    throw new ValidationError([{ path: "subject", message }]);
  }
}

const counters = endpoint({
  summary: "Count the counters of a product, an environment, a quota or a rule",
  input: COUNTERS_QUERY,
  answers: {
    200: { description: "How many there are, and how many are in use", schema: COUNTERS },
  },
  faults: ["PRODUCT_NOT_FOUND", "ENVIRONMENT_NOT_FOUND", "QUOTA_NOT_FOUND"],
  handle({ service, access }, query) {
    const { product_tag, env } = query;
    if (env === undefined) {
      access.requireProduct(product_tag);
      access.requireAllEnvironments();
    } else access.requireEnvironment(product_tag, env);
    return service.ductape.usage.counters(query);
  },
});

/** The endpoints of usage. */
export const USAGE_ENDPOINTS = {
  "usage.subjects": subjects,
  "usage.history": history,
  "usage.counters": counters,
};
