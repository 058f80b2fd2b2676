import { route, type Route } from "../route.js";
import { HISTORY, HISTORY_QUERY, SUBJECTS_PAGE, SUBJECTS_QUERY } from "../schema/usage.js";
import { limitOf } from "./definitions.js";

const FAULTS = [
  "PRODUCT_NOT_FOUND",
  "ENVIRONMENT_NOT_FOUND",
  "ENVIRONMENT_INACTIVE",
  "QUOTA_NOT_FOUND",
] as const;

const subjects = route({
  method: "GET",
  path: "/v1/usage/subjects",
  summary: "List who has used how much of a quota",
  scopes: ["usage:read"],
  input: SUBJECTS_QUERY,
  answers: { 200: { description: "A page, by used descending", schema: SUBJECTS_PAGE } },
  faults: FAULTS,
  handle({ service, access }, { limit, ...query }) {
    access.requireEnvironment(query.product_tag, query.env);
    return service.ductape.usage.subjects({ ...query, limit: limitOf(limit) });
  },
});

const history = route({
  method: "GET",
  path: "/v1/usage/history",
  summary: "Tell what was used in this window and in those before",
  scopes: ["usage:read"],
  input: HISTORY_QUERY,
  answers: {
    200: { description: "The window that holds now, then those before", schema: HISTORY },
  },
  faults: [...FAULTS, "SUBJECT_REQUIRED"],
  handle({ service, access }, query) {
    access.requireEnvironment(query.product_tag, query.env);
    return service.ductape.usage.history(query);
  },
});

/** The routes of usage. */
export const USAGE_ROUTES: readonly Route[] = [subjects, history];
