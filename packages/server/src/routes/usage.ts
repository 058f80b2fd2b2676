import { route, type Route } from "../route.js";
import { SUBJECTS_PAGE, SUBJECTS_QUERY } from "../schema/usage.js";
import { limitOf } from "./definitions.js";

const subjects = route({
  method: "GET",
  path: "/v1/usage/subjects",
  summary: "List who has used how much of a quota",
  scopes: ["usage:read"],
  input: SUBJECTS_QUERY,
  answers: { 200: { description: "A page, by used descending", schema: SUBJECTS_PAGE } },
  faults: ["PRODUCT_NOT_FOUND", "ENVIRONMENT_NOT_FOUND", "ENVIRONMENT_INACTIVE", "QUOTA_NOT_FOUND"],
  handle({ service, access }, { limit, ...query }) {
    access.requireEnvironment(query.product_tag, query.env);
    return service.ductape.usage.subjects({ ...query, limit: limitOf(limit) });
  },
});

/** The routes of usage. */
export const USAGE_ROUTES: readonly Route[] = [subjects];
