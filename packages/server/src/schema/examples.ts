import ANSWERS from "./answers.json" with { type: "json" };

/** Example bodies, by the id of their schema and by a title. */
type Examples = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** Bodies of requests. A test sends them all and records the answers of a server. */
export const REQUESTS: Examples = {
  Product: { "A product": { tag: "my-product", name: "My product" } },
  ProductPatch: { "Another name": { name: "Our product", if_revision: 1 } },
  Environment: { "The real one": { slug: "prd", env_name: "Production" } },
  EnvironmentPatch: { "Refuse every call": { active: false } },
  Session: {
    "Tokens issued by this server": {
      tag: "user-session",
      name: "Session of a user",
      schema: { userId: "u-1", plan: "free" },
      selector: "$Session{userId}",
      expiry: 7,
      period: "hours",
    },
    "Tokens of an identity provider": {
      tag: "login",
      issuer: "https://login.example.com/",
      audience: "my-api",
      jwks: "https://login.example.com/.well-known/jwks.json",
      algorithms: ["RS256"],
      selector: "$Session{sub}",
    },
  },
  SessionPatch: { "Longer tokens": { expiry: 12, period: "hours" } },
  Cache: {
    "One second": { tag: "quota-api-requests", name: "Quota of API requests", expiry: 1000 },
  },
  CachePatch: { "Five seconds": { expiry: 5000 } },
  Feature: {
    "Pages of a summary": {
      tag: "summarise",
      name: "Summarise",
      input: { pages: { type: "integer", min: 1, max: 50 } },
      quotas: [
        { quota: "api-requests" },
        { quota: "tokens", amount: "$Input{pages} * 10", settle: "$Result{tokens}" },
      ],
      output: { text: "$Result{text}", left: "$Quota{tokens}{remaining}" },
    },
  },
  FeatureRunInput: {
    "Three pages": {
      env: "prd",
      product_tag: "my-product",
      input: { pages: 3 },
      subject: { userId: "bob", plan: "free" },
    },
  },
  FeatureReserveInput: {
    "Three pages, for work of your own": {
      env: "prd",
      product_tag: "my-product",
      input: { pages: 3 },
      subject: { userId: "bob", plan: "free" },
      reservation: "summary-1",
    },
  },
  FeatureExtendInput: {
    "Two more minutes": {
      env: "prd",
      product_tag: "my-product",
      reservation: "summary-1",
      ttl_ms: 120_000,
    },
  },
  FeatureCommitInput: {
    "What the work used": {
      env: "prd",
      product_tag: "my-product",
      reservation: "summary-1",
      result: { text: "In short: ...", tokens: 24 },
    },
  },
  FeatureReleaseInput: {
    "Work that failed": {
      env: "prd",
      product_tag: "my-product",
      reservation: "summary-1",
      reason: "the model is down",
    },
  },
  FeatureEnabledInput: {
    "Of a user's plan": {
      env: "prd",
      product_tag: "my-product",
      subject: { userId: "ada", plan: "free" },
    },
  },
  FeaturePatch: { "Longer work": { ttl_ms: 300_000, if_revision: 1 } },
  Quota: {
    "By user and plan": {
      tag: "api-requests",
      name: "API requests",
      scope: "$Session{userId}",
      limit: { by: "$Session{plan}", values: { free: 1000, pro: 50_000 }, default: 1000 },
      period: "month",
      time_zone: "Europe/Paris",
      history: 12,
    },
    "Several limits at once": {
      tag: "tokens",
      rules: [
        { name: "user-day", scope: "$Session{userId}", limit: 20_000, period: "day" },
        {
          name: "burst",
          scope: "$Session{userId}",
          limit: 60,
          period: "minute",
          window: "rolling",
        },
        { name: "all-month", limit: 1_000_000, period: "month", alerts: [0.8, 1] },
      ],
    },
  },
  QuotaPatch: { "A higher limit": { limit: 2000, if_revision: 1 } },
  QuotaInput: {
    "Count one request of a user": {
      env: "prd",
      product_tag: "my-product",
      quota_tag: "api-requests",
      action: "increment",
      amount: 1,
      subject: { userId: "ada", plan: "free" },
    },
    "Count for the user of a session": {
      env: "prd",
      product_tag: "my-product",
      quota_tag: "api-requests",
      action: "increment",
      amount: 1,
      session: { tag: "user-session", token: "eyJhbGciOiJIUzI1NiIs..." },
    },
    "Check, and count nothing": {
      env: "prd",
      product_tag: "my-product",
      quota_tag: "api-requests",
      action: "check",
      amount: 10,
      subject: { userId: "ada", plan: "free" },
      cache: "quota-api-requests",
    },
    "Count once, no matter how often it is sent": {
      env: "prd",
      product_tag: "my-product",
      quota_tag: "api-requests",
      action: "increment",
      amount: 25,
      subject: { userId: "ada", plan: "free" },
      idempotency_key: "order-4711",
    },
    "Count under several limits": {
      env: "prd",
      product_tag: "my-product",
      quota_tag: "tokens",
      action: "increment",
      amount: 50,
      subject: "ada",
    },
    "Set an amount aside for a job": {
      env: "prd",
      product_tag: "my-product",
      quota_tag: "api-requests",
      action: "reserve",
      amount: 40,
      at_least: 5,
      subject: { userId: "bob", plan: "free" },
      reservation: "job-17",
      ttl_ms: 120_000,
    },
    "Count what the job has used": {
      env: "prd",
      product_tag: "my-product",
      quota_tag: "api-requests",
      action: "commit",
      amount: 25,
      subject: { userId: "bob", plan: "free" },
      reservation: "job-17",
    },
    "Start at zero again": {
      env: "prd",
      product_tag: "my-product",
      quota_tag: "api-requests",
      action: "reset",
      subject: { userId: "ada", plan: "free" },
    },
  },
  BatchInput: {
    "All or none": {
      inputs: [
        {
          env: "prd",
          product_tag: "my-product",
          quota_tag: "api-requests",
          action: "increment",
          subject: { userId: "ada", plan: "free" },
        },
        {
          env: "prd",
          product_tag: "my-product",
          quota_tag: "tokens",
          action: "increment",
          amount: 50,
          subject: "ada",
        },
      ],
      atomic: true,
    },
  },
  StartInput: {
    "A user signs in": {
      product: "my-product",
      env: "prd",
      tag: "user-session",
      data: { userId: "ada", plan: "pro" },
    },
  },
  DecryptInput: {
    "The data of a token": {
      product: "my-product",
      env: "prd",
      tag: "user-session",
      token: "eyJhbGciOiJIUzI1NiIs...",
    },
  },
  RefreshInput: {
    "Get the next pair of tokens": {
      product: "my-product",
      env: "prd",
      tag: "user-session",
      refresh_token: "rt_...",
    },
  },
  ListInput: {
    "Sessions of a user": {
      product: "my-product",
      env: "prd",
      tag: "user-session",
      identifier: "ada",
      limit: 100,
    },
  },
  RevokeInput: {
    "All sessions of a user": {
      product: "my-product",
      env: "prd",
      tag: "user-session",
      identifier: "ada",
    },
  },
  RotateInput: { "A new key": { product: "my-product", env: "prd" } },
  ApplyInput: {
    "A product with its definitions": {
      products: [
        {
          tag: "my-product",
          name: "Our product",
          environments: [{ slug: "prd", env_name: "Production" }, { slug: "dev" }],
          caches: [{ tag: "quota-api-requests", name: "Quota of API requests", expiry: 2000 }],
        },
      ],
      dry_run: true,
    },
  },
  KeyInput: {
    "A key that may count in one environment": {
      name: "checkout",
      scopes: ["quota:check", "quota:increment"],
      products: ["my-product"],
      environments: ["prd"],
    },
  },
};

/** The examples of every body. */
export const EXAMPLES: Examples = { ...REQUESTS, ...ANSWERS };
