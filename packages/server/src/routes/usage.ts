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
  answers: { 200: { description: "A page, by used descending", schema: SUBJECTS_PAGE } },
  faults: FAULTS,
  handle({ service, access }, { limit, ...query }) {
    access.requireEnvironment(query.product_tag, query.env);
    return service.ductape.usage.subjects({ ...query, limit: limitOf(limit) });
  },
});

const history = endpoint({
  summary: "Tell what was used in this window and in those before",
  input: HISTORY_QUERY,
  answers: {
    200: { description: "The window that holds now, then those before", schema: HISTORY },
  },
  faults: [...FAULTS, "SUBJECT_REQUIRED"],
  handle({ service, access }, { subject, ...query }) {
    access.requireEnvironment(query.product_tag, query.env);
    return service.ductape.usage.history({ ...query, subject: subjectOf(subject) });
  },
});

/** The subject that a text of a query means. Throws `VALIDATION` for what only begins as JSON. */
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
  answers: { 200: { description: "How many are kept, and in use", schema: COUNTERS } },
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
