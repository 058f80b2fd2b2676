import type { KeyedCallName } from "../calls.js";
import { routesOf, type Endpoint, type Route } from "../route.js";
import { APPLY_ENDPOINTS } from "./apply.js";
import { CACHE_ENDPOINTS, KIND_ROUTES } from "./catalogue.js";
import { FEATURE_ENDPOINTS } from "./features.js";
import { KEY_ENDPOINTS } from "./keys.js";
import { QUOTA_ENDPOINTS } from "./quota.js";
import { SESSION_ENDPOINTS } from "./sessions.js";
import { USAGE_ENDPOINTS } from "./usage.js";

/** The endpoints of all calls that need a key, except decisions and calls on definitions. */
const OTHERS: Readonly<Record<Exclude<KeyedCallName, keyof typeof QUOTA_ENDPOINTS>, Endpoint>> = {
  ...CACHE_ENDPOINTS,
  ...APPLY_ENDPOINTS,
  ...FEATURE_ENDPOINTS,
  ...SESSION_ENDPOINTS,
  ...USAGE_ENDPOINTS,
  ...KEY_ENDPOINTS,
};

/** The routes of all calls that need a key, in the order of the OpenAPI document. */
export const ROUTES: readonly Route[] = [
  ...routesOf(QUOTA_ENDPOINTS),
  ...Object.values(KIND_ROUTES).flatMap((routes) => Object.values(routes)),
  ...routesOf(OTHERS),
];
