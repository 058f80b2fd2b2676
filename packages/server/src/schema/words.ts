/** A JSON Schema, as far as it is described here. */
export interface Described {
  readonly description?: string;
  readonly properties?: Readonly<Record<string, unknown>>;
  readonly anyOf?: readonly unknown[];
  readonly items?: unknown;
  readonly [name: string]: unknown;
}

/**
 * What a field is, by its name: one name means the same everywhere. `Schema.name` is for the few
 * that differ. A field whose schema has a description of its own keeps that.
 */
export const WORDS: Readonly<Record<string, string>> = {
  action: "What to do.",
  "Applied.action": "What became of it: `keep` where nothing differs.",
  active: "An environment that is not active refuses every call. Default true.",
  after: "The `next` of the page before.",
  alerts: "Fractions of the limit, such as 0.8: each is reported once in a window.",
  algorithms: "Which signatures of an outside issuer to take: as few as it uses.",
  allowed: "Whether the call was admitted.",
  amount: "How much was asked for.",
  anchor: "An ISO 8601 instant from which windows are stepped, such as the day of a contract.",
  applied: "False after a dry run.",
  audience: "The `aud` that tokens of an outside issuer must have.",
  by: 'The selector that picks the limit, such as "$Session{plan}".',
  cache: "Tag of a cache, which may answer a check and repeat a denial.",
  cache_tag: "Tag of the cache.",
  caches: "The caches of the product.",
  changes: "What became of each definition.",
  code: "How it ended, for programs.",
  "Problem.code": "Which fault it is; it never changes its meaning.",
  component_tag: "Tag of the quota.",
  component_type: "What the entry is of.",
  created_at: "When it was made.",
  data: "What the session holds, like the sample of its definition.",
  decimals: "Fraction digits of amounts and limits. Default 0: integers. It cannot change later.",
  default: "The limit for every other value.",
  degraded: "True for an answer without the store, which counted nothing.",
  description: "For people. Default empty.",
  detail: "What is wrong with this request.",
  encrypted: "Whether tokens hide their data. Default false: signed, but readable.",
  end: "When the window ends; null for a lifetime.",
  env: "Slug of an environment of the product.",
  env_name: "For people. Default its slug.",
  environments: "The environments of the product.",
  "KeyView.environments": 'Slugs of environments, or ["*"] for all.',
  "KeyCreated.environments": 'Slugs of environments, or ["*"] for all.',
  file: "Names a file of the page at /docs.",
  every: "How many units a window lasts: an integer from 1.",
  exceeded: "Whether the limit was in the way.",
  expires_at: "When the token ends.",
  expiry: "How old an answer of the cache may be, in milliseconds: 1 to 86,400,000.",
  "CacheValues.expiry": "When the entry is no longer used.",
  "SessionView.expiry": "How long a token lives, in `period`s; null for an outside issuer.",
  fraction: "Fraction of the limit that was reached.",
  from: "What it was.",
  history: "How many ended windows the rule keeps.",
  id: "The visible part of a key, without its secret.",
  identifier: "Who a session belongs to: what the definition's selector picks.",
  inputs: "Up to 1,000 inputs.",
  issues: "Each wrong field of the input.",
  jwks: "The key set of an outside issuer, or the https URL to fetch it from.",
  key: "The whole key. Keep it: it is shown nowhere else.",
  "CacheValues.key": "Names the entry.",
  keys: "Keys, by id.",
  kid: "The id of the new signing key.",
  kind: "What it is.",
  last_seen: "When the counter was last changed.",
  limit: "How much a window admits; null counts only.",
  "ListInput.limit": "The most of a page.",
  message: "What is wrong with the field, the value it got and what is expected.",
  name: "For people. Default its tag.",
  "Rule.name": 'Names the rule in results. Default "default" for the only rule.',
  "RuleView.name": "Names the rule in results.",
  "KeyView.name": "Whose key it is, for people.",
  "KeyCreated.name": "Whose key it is, for people.",
  on_exceed: "`allow` admits past the limit and reports the overage. Default `reject`.",
  path: "Where the field is, such as `rules[0].limit`.",
  period: "How long a window is.",
  "Session.period": "The unit of `expiry`. Default hours.",
  "SessionPatch.period": "The unit of `expiry`.",
  "SessionView.period": "The unit of `expiry`; null for an outside issuer.",
  product: "Tag of the product.",
  product_tag: "Tag of the product.",
  products: "Products, each with its definitions.",
  "ProductsPage.products": "Products, by tag.",
  "KeyView.products": 'Tags of products, or ["*"] for all.',
  "KeyCreated.products": 'Tags of products, or ["*"] for all.',
  public_key: "The public key of an outside issuer: PEM (SPKI), or a JWK.",
  quota_tag: "Tag of the quota.",
  quotas: "The quotas of the product.",
  refresh_token: "Gets the next pair of tokens. Each is used once.",
  refreshed_at: "When its tokens were last exchanged.",
  remaining: "What is left; null when unlimited.",
  request_id: "Names the request in the logs of the server.",
  results: "A result or a problem for each input, in their order.",
  retry_after_ms:
    "Milliseconds until it may be admitted: 0 when it was, null when unknown or never.",
  retryable: "Whether the same request may succeed later without a change to it.",
  revoked: "How many sessions were ended.",
  revoked_at: "When it was revoked; null: it was not.",
  rounding: "What becomes of an amount with more digits. `exact`, the default, refuses it.",
  rule: "Name of the rule.",
  rules: "The rules, which admit as one. In their place a quota of one rule has its members.",
  scope: 'Who has a counter: "product", or a selector such as "$Session{userId}".',
  scopes: "What the key may do.",
  selector: 'Who a session belongs to, such as "$Session{userId}".',
  session_id: "Names the session.",
  sessions: "The session definitions of the product.",
  "SessionsPage.sessions": "Sessions, by id.",
  schema: "Sample data of a session; null for an outside issuer.",
  issuer: "The `iss` of tokens of an outside issuer; null: they are our own.",
  slug: "Names the environment in calls, such as `prd`.",
  start: "When the window began.",
  status: "How it is.",
  "Problem.status": "The status of the answer.",
  store: "Which store it counts in.",
  subject: "Whose counter; null: of the whole product.",
  subjects: "Who has used how much, by `used` descending.",
  success: "The same as `allowed`.",
  tag: "Names it in calls.",
  "QuotaInput.tag": "Tag of the session definition.",
  time_zone: "The IANA zone whose calendar begins and ends windows.",
  title: "The code in words.",
  to: "What it is now.",
  token: "The access token of a session.",
  type: "Where the code is explained.",
  unit: "The unit that is counted off.",
  "QuotaView.unit": "What amounts are of.",
  updated_at: "When it was last changed.",
  used: "Counted in the window.",
  value: "The counter that was copied.",
  values: "The limit for each value of the selector.",
  "CacheValues.values": "The live entries.",
  week_start: "The day that weeks begin with. Default monday.",
  window: "From when to when is counted.",
  "Rule.window": "`calendar` follows the calendar, `rolling` the last period before each call.",
  "RuleView.window": "`calendar` follows the calendar, `rolling` the last period before each call.",
  "Quota.window": "`calendar` follows the calendar, `rolling` the last period before each call.",
  "QuotaPatch.window":
    "`calendar` follows the calendar, `rolling` the last period before each call.",
  windows: "The window that holds now, then those before it.",
  co_locate: "Whether all its quotas are on one server of a Redis Cluster.",
};

/** A schema in which each field says what it is; `id` is that of the schema it stands in. */
export function described<S extends Described>(id: string, schema: S): S {
  const { properties, anyOf, items } = schema;
  return {
    ...schema,
    ...(properties === undefined ? {} : { properties: fieldsOf(id, properties) }),
    ...(anyOf === undefined ? {} : { anyOf: anyOf.map((each) => within(id, each)) }),
    ...(items === undefined ? {} : { items: within(id, items) }),
  };
}

function fieldsOf(id: string, fields: Readonly<Record<string, unknown>>) {
  const entries = Object.entries(fields).map(([name, field]) => {
    if (!isSchema(field)) return [name, field] as const;
    const { description = ownOf(field) ?? WORDS[`${id}.${name}`] ?? WORDS[name], ...rest } = field;
    return [
      name,
      described(id, { ...(description === undefined ? {} : { description }), ...rest }),
    ] as const;
  });
  return Object.fromEntries(entries);
}

/** What a field that may also be null or `{}` says of itself. */
function ownOf({ anyOf = [], description, $ref }: Described): string | undefined {
  if (description !== undefined || $ref !== undefined) return description;
  for (const each of anyOf) {
    const own = isSchema(each) ? ownOf(each) : undefined;
    if (own !== undefined) return own;
  }
  return undefined;
}

const within = (id: string, value: unknown): unknown =>
  isSchema(value) ? described(id, value) : value;

function isSchema(value: unknown): value is Described {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
