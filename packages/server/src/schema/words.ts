/** The parts of a JSON Schema that descriptions are added to. */
interface Described {
  readonly description?: string;
  readonly properties?: Readonly<Record<string, unknown>>;
  readonly anyOf?: readonly unknown[];
  readonly items?: unknown;
  readonly [name: string]: unknown;
}

const WINDOWS =
  "`calendar` follows the calendar, `rolling` the period before each call; `concurrent` counts " +
  "open holds.";

/**
 * The description of each field by its name, because one name means the same everywhere.
 * `Schema.name` is for the few that differ. A description in the schema itself takes precedence.
 */
export const WORDS: Readonly<Record<string, string>> = {
  action: "What to do.",
  "Applied.action": "What was done with it; `keep` if nothing differs.",
  active: "An inactive environment refuses every call. Default true.",
  allow_fail: "Continues if it is denied. Default false.",
  after: "`next` from the previous page.",
  alerts: "Fractions of the limit, such as 0.8; each is reported once in a window.",
  algorithms: "Signature algorithms to accept from an outside issuer: only those it uses.",
  allowed: "Whether the call was admitted.",
  amount: "The amount of the call.",
  "Feature.amount": "What to reserve before the work. Default 1.",
  "FeaturePatch.amount": "What to reserve before the work. Default 1.",
  "Event.amount": "What to reserve before the work. Default 1.",
  "FeatureView.amount": "What to reserve before the work.",
  "EventView.amount": "What to reserve before the work.",
  anchor: "An ISO 8601 instant from which windows are counted, such as the start of a contract.",
  applied: "False after a dry run.",
  audience: "The `aud` required in tokens of an outside issuer.",
  by: 'The selector that picks the limit, such as "$Session{plan}".',
  cache: "Tag of a cache that may answer a check and repeat a denial.",
  cache_tag: "Tag of the cache.",
  caches: "The caches of the product.",
  changes: "What was done with each definition.",
  code: "The outcome, for programs.",
  "Problem.code": "The fault; a code never changes its meaning.",
  component_tag: "Tag of the quota.",
  component_type: "What the entry caches.",
  created_at: "When it was created.",
  data: "The data of the session, like the sample in its definition.",
  decimals:
    "Fraction digits of amounts and limits. Default 0, for integers. Cannot be changed later.",
  default: "The limit for every other value.",
  degraded: "True if the store did not answer and nothing was counted.",
  description: "A text for people. Default empty.",
  detail: "What is wrong with this request.",
  encrypted: "Whether tokens are encrypted. Default false: signed, but readable.",
  end: "When the window ends; null for a lifetime.",
  env: "Slug of an environment of the product.",
  env_name: "A name for people. Default the slug.",
  environments: "The environments of the product.",
  "KeyView.environments": 'Slugs of environments, or ["*"] for all.',
  "KeyCreated.environments": 'Slugs of environments, or ["*"] for all.',
  feature: "Tag of the feature.",
  features: "The features of the product.",
  file: "A file of the page at /docs.",
  every: "How many units a window lasts: an integer from 1.",
  exceeded: "Whether a limit denied the amount or is passed.",
  expires_at: "When the token expires.",
  expiry: "The greatest age of a cached answer, in milliseconds: 1 to 86,400,000.",
  event: "Tag of the quota or of the feature.",
  events: "What to reserve and run in this step.",
  "CacheValues.expiry": "When the entry expires.",
  "SessionView.expiry": "How long a token lives, in `period`s; null for an outside issuer.",
  fraction: "The fraction of the limit that was reached.",
  from: "The old value.",
  handler: "Where to call the handler over HTTP; null: nowhere.",
  "Feature.handler": "Where to call the handler over HTTP, if none is registered in the process.",
  "FeaturePatch.handler": "Where to call the handler over HTTP.",
  history: "How many ended windows the rule keeps.",
  id: "The visible part of a key, without its secret.",
  identifier: "Who a session belongs to: the value that the definition's selector picks.",
  input: "The fields of its input by name. Default: it takes none.",
  "FeatureView.input": "The fields of its input by name.",
  "Event.input": "The input of a feature, with expressions.",
  "EventView.input": "The input of a feature, with expressions.",
  inputs: "Up to 1,000 inputs.",
  issues: "Each wrong field of the input.",
  jwks: "The key set of an outside issuer, or the https URL to fetch it from.",
  key: "The whole key. Store it: it is never shown again.",
  "CacheValues.key": "Identifies the entry.",
  keys: "Keys, by id.",
  kid: "The id of the new signing key.",
  kind: "The kind of definition.",
  last_seen: "When the counter last changed.",
  limit: "How much a window admits; null counts only.",
  "ListInput.limit": "The maximum length of a page.",
  max: "The greatest number.",
  max_length: "The most characters of a text, or of any JSON as text. Default 10,000.",
  message: "What is wrong with the field: its value, and what is expected.",
  min: "The least number.",
  name: "A name for people. Default the tag.",
  "Rule.name": 'The rule\'s name in results. Default "default" for a single rule.',
  "RuleView.name": "The rule's name in results.",
  "KeyView.name": "A name for people, such as the key's owner.",
  "KeyCreated.name": "A name for people, such as the key's owner.",
  on_exceed: "`allow` admits past the limit and reports the overage. Default `reject`.",
  output: "What a run returns: data with expressions. Default: the result of the handler.",
  parents: "Steps that must be done before this one.",
  path: "The path of the field, such as `rules[0].limit`.",
  period: "The length of a window; none for a concurrent one.",
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
  quota: "Tag of the quota.",
  quotas: "The quotas of the product.",
  "Feature.quotas": "The quotas that it uses, reserved as one decision.",
  "FeaturePatch.quotas": "The quotas that it uses, reserved as one decision.",
  "FeatureView.quotas": "The quotas that it uses, reserved as one decision.",
  refresh_token: "Exchanged for the next pair of tokens. Usable once.",
  refreshed_at: "When its tokens were last exchanged.",
  remaining: "What is left; null when unlimited.",
  required: "Whether it must be given. Default true, unless there is a `default`.",
  request_id: "Identifies the request in the server's logs.",
  results: "A result or a problem for each input, in the same order.",
  retry_after_ms: "Milliseconds until it may be admitted; 0 if it was, null if unknown or never.",
  retryable: "Whether the same request may succeed later unchanged.",
  revoked: "How many sessions were revoked.",
  revoked_at: "When it was revoked; null if it was not.",
  rounding: "How to round an amount with more digits. `exact`, the default, refuses it.",
  rule: "Name of the rule.",
  rules: "The rules, all of which must admit. A quota with one rule may have its fields instead.",
  scope: 'What gets its own counter: "product", or a selector such as "$Session{userId}".',
  scopes: "What the key allows.",
  selector: 'Who a session belongs to, such as "$Session{userId}".',
  sequence: "Further quotas and other features, in the order of their `parents`.",
  session_id: "The id of the session.",
  sessions: "The session definitions of the product.",
  "SessionsPage.sessions": "Sessions, by id.",
  schema: "Sample data of a session; null for an outside issuer.",
  issuer: "The `iss` of an outside issuer's tokens; null: this server issues them.",
  settle: "What was used, once the work is done. Default: what was reserved.",
  slug: "The environment's name in calls, such as `prd`.",
  start: "When the window began.",
  status: "The state of the server.",
  "Problem.status": "The HTTP status of the answer.",
  store: "The store it counts in.",
  subject: "Whose counter it is; null: the whole product's.",
  subjects: "Who has used how much, greatest use first.",
  success: "The same as `allowed`.",
  tag: "Its name in calls.",
  "QuotaInput.tag": "Tag of the session definition.",
  timeout_ms: "How long a call of the handler may take, in milliseconds. Default 30,000.",
  time_zone: "The IANA zone whose calendar determines the windows.",
  title: "The code in words.",
  to: "The new value.",
  token: "The access token of a session.",
  ttl_ms: "How long amounts stay reserved without a heartbeat, in ms. Default 60,000.",
  type: "Where the code is explained.",
  unit: "The unit of the period.",
  "QuotaView.unit": "What amounts count.",
  updated_at: "When it last changed.",
  url: "Where the handler is called, with a signed request.",
  used: "The amount counted in the window.",
  value: "The copied counter.",
  "Event.type": "A quota to reserve, or a feature to run.",
  "EventView.type": "A quota to reserve, or a feature to run.",
  "InputField.type": "The type of its value; `json` is any JSON.",
  "InputFieldView.type": "The type of its value; `json` is any JSON.",
  "InputField.default": "The value of a field that is left out.",
  "InputFieldView.default": "The value of a field that is left out; null if it has none.",
  "InputField.values": "All values that it may have.",
  "InputFieldView.values": "All values that it may have; null for any.",
  values: "The limit for each value of the selector.",
  "CacheValues.values": "The entries in use.",
  week_start: "The first day of a week. Default monday.",
  window: "The window in which amounts are counted.",
  "Rule.window": WINDOWS,
  "RuleView.window": WINDOWS,
  "Quota.window": WINDOWS,
  "QuotaPatch.window": WINDOWS,
  windows: "The current window, then those before it.",
  co_locate: "Whether all its quotas share one server of a Redis Cluster.",
};

/** A schema with a description of each field; `id` is that of the schema that contains it. */
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

/** The description of a field that may also be null or `{}`. */
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
