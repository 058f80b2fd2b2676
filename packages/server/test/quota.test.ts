import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Ductape } from "ductape";
import { manualClock } from "ductape/testing";
import { inputOf, startWith, type Started } from "./support.js";

const clock = manualClock("2026-05-15T12:00:00Z");
const DAY = { tag: "q", limit: 5, period: "day" } as const;
const SEVERAL = {
  tag: "several",
  rules: [
    { name: "user", scope: "$Session{userId}", limit: 2, period: "minute", window: "rolling" },
    { name: "équipe 100 %", limit: 9_000_000_000_000_000, period: "month" },
    { name: "all", limit: null, period: "lifetime" },
    { name: 'quo"te\\', limit: 7, period: "lifetime" },
  ],
} as const;
const UNLIMITED = { tag: "unlimited", limit: null, period: "day" } as const;
const COSTS = {
  tag: "costs",
  limit: 0.3,
  period: "day",
  decimals: 12,
  rounding: "nearest",
} as const;
const FRACTIONS = { tag: "fractions", decimals: 2, limit: 1.5, period: "day" } as const;

let server: Started;
beforeAll(async () => {
  const quotas = [DAY, SEVERAL, UNLIMITED, FRACTIONS, COSTS, { ...DAY, tag: "batch" }];
  server = await startWith(quotas, { clock, random: () => 0 });
});
afterAll(() => server.close());

const run = (input: object, headers = {}) =>
  server.call("/v1/quota/run", { body: inputOf({ ...input }), headers });
/** A field without the keys of its counters, which are random for each store. */
const keyless = (field: string | null) => field?.replaceAll(/;pk=:[\w+/]{12}:/g, "");
const batch = (body: unknown) => server.call("/v1/quota/batch", { body });

describe("POST /v1/quota/run", () => {
  it("answers the library's result, with what is left in the fields of draft 11", async () => {
    const { status, body, headers } = await run({ amount: 2 });
    expect(status).toBe(200);
    expect(body).toMatchObject({ allowed: true, used: 2, remaining: 3, limit: 5, code: "OK" });
    expect(headers.get("ratelimit-policy")).toMatch(/^"default";q=5;w=86400;pk=:[\w+/]{12}:$/);
    expect(headers.get("ratelimit")).toMatch(/^"default";r=3;t=43200;pk=:[\w+/]{12}:$/);
    expect(headers.get("retry-after")).toBe(null);
    expect(headers.get("cache-control")).toBe("no-store");
  });

  it("answers a denial with 200, and when to come back", async () => {
    const { status, body, headers } = await run({ amount: 5 });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      allowed: false,
      code: "QUOTA_EXCEEDED",
      retry_after_ms: 43_200_000,
    });
    expect(headers.get("retry-after")).toBe("43200");
  });

  it("gives no time to retry if waiting cannot help", async () => {
    const { body, headers } = await run({ amount: 6 });
    expect(body).toMatchObject({ allowed: false, retry_after_ms: null });
    expect(headers.get("retry-after")).toBe(null);
  });

  it("has one item for each rule with a limit, in strings and integers of the format", async () => {
    const { headers } = await run({ quota_tag: "several", subject: "ada" });
    expect(keyless(headers.get("ratelimit-policy"))).toBe(
      '"user";q=2;w=60, "%C3%A9quipe 100 %25";q=999999999999999;w=2678400, "quo\\"te\\\\";q=7',
    );
    expect(keyless(headers.get("ratelimit"))).toBe(
      '"user";r=1;t=60, "%C3%A9quipe 100 %25";r=999999999999999;t=1425600, "quo\\"te\\\\";r=6',
    );
  });

  it("rounds fractions down, and has no field for a quota that only counts", async () => {
    const fraction = await run({ quota_tag: "fractions", amount: 0.25 });
    expect(keyless(fraction.headers.get("ratelimit-policy"))).toBe('"default";q=1;w=86400');
    expect(keyless(fraction.headers.get("ratelimit"))).toBe('"default";r=1;t=43200');
    const unlimited = await run({ quota_tag: "unlimited" });
    expect(unlimited.body).toMatchObject({ limit: null, used: 1 });
    expect(unlimited.headers.get("ratelimit")).toBe(null);
    expect(unlimited.headers.get("ratelimit-policy")).toBe(null);
  });

  it("reads the header Idempotency-Key as the field, with or without quotes", async () => {
    const first = await run({ quota_tag: "unlimited" }, { "idempotency-key": '"a-1"' });
    const again = await run({ quota_tag: "unlimited" }, { "idempotency-key": "a-1" });
    const field = await run({ quota_tag: "unlimited", idempotency_key: "a-1" });
    expect([first, again, field].map(({ body }) => body["replayed"])).toEqual([false, true, true]);
    expect(again.body["used"]).toBe(first.body["used"]);
    const other = await run({ quota_tag: "unlimited", amount: 2 }, { "idempotency-key": "a-1" });
    expect([other.status, other.body["code"]]).toEqual([422, "IDEMPOTENCY_CONFLICT"]);
    const both = await run({ idempotency_key: "b" }, { "idempotency-key": "a" });
    expect(both.body).toMatchObject({ code: "VALIDATION", issues: [{ path: "idempotency_key" }] });
  });

  it("names each wrong field, the nearest known one, and no token", async () => {
    const { status, body, headers } = await run({
      actoin: "check",
      action: "incremnt",
      amount: "1",
      session: { tag: 1, token: 7 },
    });
    expect(status).toBe(400);
    expect(headers.get("content-type")).toContain("application/problem+json");
    expect(body).toMatchObject({
      type: "/docs#VALIDATION",
      title: "Validation",
      status: 400,
      code: "VALIDATION",
      retryable: false,
      request_id: headers.get("x-request-id"),
    });
    expect(body["issues"]).toEqual([
      {
        path: "action",
        message:
          "expects one of check, increment, decrement, set, reset, grant, reserve, commit, " +
          "extend, release; " +
          'got "incremnt": did you mean increment?',
      },
      { path: "amount", message: 'expects a number, got "1"' },
      { path: "session.tag", message: "expects a string, got 1" },
      { path: "session.token", message: "expects a string, got 7" },
      { path: "actoin", message: "is not a known field; did you mean action?" },
    ]);
    const token = await run({ session: { tag: "s", token: "secret", tokn: "secret" } });
    expect(JSON.stringify(token.body)).not.toContain('"secret');
  });

  it("ignores an amount beside reset, alone, in a batch and from a remote client", async () => {
    await using client = new Ductape({ url: server.url, apiKey: server.root });
    const reset = { quota_tag: "unlimited", action: "reset", amount: 3 } as const;
    const told = { allowed: true, amount: 0, used: 0 };
    expect((await run(reset)).body).toMatchObject(told);
    for (const atomic of [true, false]) {
      const { body } = await batch({ inputs: [inputOf(reset)], atomic });
      expect(body).toMatchObject({ results: [told] });
    }
    const asked = { env: "prd", product_tag: "shop", ...reset };
    expect(await client.processor.quota.run(asked)).toMatchObject(told);
    expect((await run({ ...reset, amount: "3" })).body["code"]).toBe("VALIDATION");
  });

  it("counts computed costs to the last digit, alone and in a batch", async () => {
    const amount = 1_234 * 1.5e-7;
    const told = (used: number, remaining: number) => ({ amount: 0.0001851, used, remaining });
    const first = await run({ quota_tag: "costs", amount });
    expect(first.body).toMatchObject(told(0.0001851, 0.2998149));
    const { body } = await batch({ inputs: [inputOf({ quota_tag: "costs", amount })] });
    expect(body).toMatchObject({ results: [told(0.0003702, 0.2996298)] });
    const path = "/v1/products/shop/quotas/costs";
    expect((await server.call(path)).body).toMatchObject({ decimals: 12, rounding: "nearest" });
    const exact = { method: "PATCH", body: { rounding: "exact" } };
    expect((await server.call(path, exact)).body).toMatchObject({ rounding: "exact" });
    const refused = await run({ quota_tag: "costs", amount: 0.1 + 0.2 });
    expect(refused.body).toMatchObject({ code: "VALIDATION", issues: [{ path: "amount" }] });
    expect(String(refused.body["detail"])).toContain('set its rounding to "nearest" to count 0.3');
    const wrong = { method: "PATCH", body: { rounding: "down" } };
    const { issues } = (await server.call(path, wrong)).body;
    expect(issues).toMatchObject([{ path: "rounding" }]);
  });

  it("leaves the meaning to the library", async () => {
    const { status, body } = await run({ amount: 0.5 });
    expect([status, body["code"]]).toEqual([400, "VALIDATION"]);
    expect((await run({ quota_tag: "no" })).body["code"]).toBe("QUOTA_NOT_FOUND");
    expect(
      (await run({ amount: {}, session: {}, subject: {}, cache: {}, action: "check" })).status,
    ).toBe(200);
    expect((await run(JSON.parse('{ "subject": { "__proto__": 1 } }'))).status).toBe(200);
  });
});

describe("POST /v1/quota/batch", () => {
  const input = (more = {}) => inputOf({ quota_tag: "batch", ...more });

  it("decides each on its own: a fault appears in its place", async () => {
    const inputs = [
      input({ amount: 2 }),
      input({ amuont: 2 }),
      7,
      input({ quota_tag: "no" }),
      input(),
    ];
    const { status, body } = await batch({ inputs });
    expect(status).toBe(200);
    expect(body["results"]).toMatchObject([
      { allowed: true, used: 2 },
      { status: 400, code: "VALIDATION", issues: [{ path: "amuont" }] },
      { status: 400, code: "VALIDATION", issues: [{ path: "input" }] },
      { status: 404, code: "QUOTA_NOT_FOUND" },
      { allowed: true, used: 3 },
    ]);
  });

  it("decides all as one with atomic, or refuses all and names the input", async () => {
    const denied = await batch({ atomic: true, inputs: [input(), input({ amount: 2 })] });
    expect(denied.body["results"]).toMatchObject([
      { allowed: false, code: "NOT_APPLIED" },
      { allowed: false, code: "QUOTA_EXCEEDED" },
    ]);
    const fault = await batch({ atomic: true, inputs: [input(), input({ quota_tag: "no" })] });
    expect([fault.status, fault.body["code"]]).toEqual([404, "QUOTA_NOT_FOUND"]);
    expect(fault.body["detail"]).toContain("inputs[1].quota_tag");
    const wrong = await batch({ atomic: true, inputs: [input(), { env: 1 }] });
    expect(wrong.body["issues"]).toContainEqual({
      path: "inputs[1].env",
      message: "expects a string, got 1",
    });
    expect((await batch({ atomic: true, inputs: [input({ amount: 2 })] })).body).toMatchObject({
      results: [{ allowed: true, used: 5 }],
    });
  });

  it("accepts a thousand inputs in one body of up to 1 MB, and no more", async () => {
    const inputs = Array.from({ length: 1_000 }, () => inputOf({ quota_tag: "unlimited" }));
    const { status, body } = await batch({ inputs });
    expect(status).toBe(200);
    expect(body["results"]).toHaveLength(1_000);
    expect((await batch({ inputs: [...inputs, input()] })).body).toMatchObject({
      code: "VALIDATION",
      issues: [{ path: "inputs" }],
    });
    expect((await batch({ inputs: [] })).body).toEqual({ results: [] });
    expect((await batch({ inputs: {} })).body["code"]).toBe("VALIDATION");
  });
});

it("writes down who reset, set or granted what, before and after, and nothing else", async () => {
  server.audit.length = 0;
  await run({ quota_tag: "batch", action: "reset" });
  await run({ quota_tag: "batch", action: "set", amount: 4, idempotency_key: "once" });
  await run({ quota_tag: "batch", action: "set", amount: 4, idempotency_key: "once" });
  await run({ quota_tag: "batch", action: "grant", amount: 10 });
  await run({ quota_tag: "batch", action: "increment" });
  await run({ quota_tag: "batch", action: "reset", amount: -1 });
  await run({ quota_tag: "costs", action: "grant", amount: 0.1 });
  const actor = { id: "DUCTAPE_ROOT_KEY", name: "DUCTAPE_ROOT_KEY" };
  const target = {
    product_tag: "shop",
    env: "prd",
    quota_tag: "batch",
    rule: "default",
    subject: null,
  };
  expect(server.audit).toMatchObject([
    { log: "audit", event: "quota.reset", actor, target, before: { used: 5 }, after: { used: 0 } },
    { event: "quota.set", before: { used: 0 }, after: { used: 4 } },
    { event: "quota.grant", before: { limit: 5 }, after: { limit: 15 } },
    // 0.4 - 0.1 is 0.30000000000000004.
    { event: "quota.grant", before: { limit: 0.3 }, after: { limit: 0.4 } },
  ]);
});
