import type { Route } from "../route.js";
import { APPLY_ROUTES } from "./apply.js";
import { CATALOGUE_ROUTES } from "./catalogue.js";
import { KEY_ROUTES } from "./keys.js";
import { QUOTA_ROUTES } from "./quota.js";
import { SESSION_ROUTES } from "./sessions.js";
import { USAGE_ROUTES } from "./usage.js";

/** All routes that ask for a key. */
export const ROUTES: readonly Route[] = [
  ...QUOTA_ROUTES,
  ...CATALOGUE_ROUTES,
  ...APPLY_ROUTES,
  ...SESSION_ROUTES,
  ...USAGE_ROUTES,
  ...KEY_ROUTES,
];
