// Sequences, sessions, reservations by the caller, and what plans include.
import { describe, expect, it } from "vitest";
import type { Ductape, FeatureInput, QuotaDefinition } from "ductape";
import { manualClock } from "ductape/testing";
import { clientWith, faultOf } from "./support.js";

const WHERE = { product_tag: "shop", env: "prd" } as const;
const quota = (tag: string, limit: number): QuotaDefinition => ({ tag, limit, period: "day" });
const QUOTAS = [quota("a", 10), quota("b", 10), quota("c", 10)];

async function shopWith(
  features: readonly FeatureInput[],
  quotas: readonly QuotaDefinition[] = QUOTAS,
  clock = Date.now,
): Promise<Ductape> {
  const ductape = await clientWith(quotas, { clock });
  for (const feature of features) await ductape.product.features.create("shop", feature);
  return ductape;
}

const run = (ductape: Ductape, feature_tag: string, more: object = {}) =>
  ductape.processor.feature.run({ ...WHERE, feature_tag, ...more });

/** What is used and held of each quota. */
async function standing(ductape: Ductape, ...tags: readonly string[]) {
  const checks = tags.map((quota_tag) =>
    ductape.processor.quota.run({ ...WHERE, quota_tag, action: "check", amount: 0 }),
  );
  return (await Promise.all(checks)).map(({ used, held }) => [used, held]);
}

describe("a sequence", () => {
  const EXTRACT: FeatureInput = {
    tag: "extract",
    input: { file: { type: "string" } },
    quotas: [{ quota: "a" }],
    output: { pages: "$Result{pages}" },
  };
  const WHOLE: FeatureInput = {
    tag: "whole",
    input: { file: { type: "string" } },
    sequence: [
      {
        tag: "second",
        parents: ["first"],
        events: [{ type: "quota", event: "b", amount: "$Feature{extract}{pages} * 2" }],
      },
      {
        tag: "first",
        events: [{ type: "feature", event: "extract", input: { file: "$Input{file}" } }],
      },
    ],
    output: { pages: "$Feature{extract}{pages}", left: "$Quota{b}{remaining}" },
  };

  it("runs features and reserves quotas in the order that parents tell", async () => {
    await using ductape = await shopWith([EXTRACT, WHOLE]);
    const order: unknown[] = [];
    ductape.features.handle("shop", "extract", async ({ input }) => {
      order.push(input, await standing(ductape, "b"));
      return { pages: 3 };
    });
    ductape.features.handle("shop", "whole", async ({ features }) => {
      order.push(features, await standing(ductape, "b"));
    });
    const answer = await run(ductape, "whole", { input: { file: "x.pdf" } });
    expect(order).toEqual([{ file: "x.pdf" }, [[0, 0]], { extract: { pages: 3 } }, [[0, 6]]]);
    expect(answer).toMatchObject({ allowed: true, output: { pages: 3, left: 4 } });
    expect(await standing(ductape, "a", "b")).toEqual([
      [1, 0],
      [6, 0],
    ]);
  });

  it("needs no handler where it runs features", async () => {
    await using ductape = await shopWith([EXTRACT, { ...WHOLE, output: undefined }]);
    ductape.features.handle("shop", "extract", () => ({ pages: 1 }));
    expect(await run(ductape, "whole", { input: { file: "x" } })).toMatchObject({
      output: { extract: { pages: 1 } },
    });
  });

  it("is denied by a later quota; what an earlier feature did stays charged", async () => {
    await using ductape = await shopWith([EXTRACT, WHOLE]);
    ductape.features.handle("shop", "extract", () => ({ pages: 6 }));
    const answer = await run(ductape, "whole", { input: { file: "x" } });
    expect(answer).toMatchObject({
      allowed: false,
      feature_tag: "whole",
      quotas: [{ quota_tag: "b", amount: 12, code: "QUOTA_EXCEEDED" }],
    });
    expect(await standing(ductape, "a", "b")).toEqual([
      [1, 0],
      [0, 0],
    ]);
  });

  it("is denied by a feature that is denied, unless that may fail", async () => {
    const small = { ...EXTRACT, quotas: [{ quota: "a", amount: 11 }] };
    const events = [{ type: "feature", event: "extract", input: { file: "x" } }] as const;
    const step = (allow_fail: boolean) => [
      { tag: "s", events: events.map((event) => ({ ...event, allow_fail })) },
    ];
    const strict = { tag: "strict", quotas: [{ quota: "c" }], sequence: step(false) };
    const lenient = { tag: "lenient", quotas: [{ quota: "c" }], sequence: step(true) };
    await using ductape = await shopWith([small, strict, lenient]);
    ductape.features.handle("shop", "extract", () => 1);
    expect(await run(ductape, "strict")).toMatchObject({
      allowed: false,
      feature_tag: "strict",
      quotas: [{ quota_tag: "a" }],
    });
    expect(await standing(ductape, "c")).toEqual([[0, 0]]);
    expect(await run(ductape, "lenient")).toMatchObject({ allowed: true, output: {} });
    expect(await standing(ductape, "a", "c")).toEqual([
      [0, 0],
      [1, 0],
    ]);
  });

  it("releases what it holds if an inner handler throws, or an amount is none", async () => {
    const sequence = [
      { tag: "one", events: [{ type: "feature", event: "extract", input: { file: "x" } }] },
      {
        tag: "two",
        parents: ["one"],
        events: [{ type: "quota", event: "b", amount: "$Feature{extract}{pages}" }],
      },
    ] as const;
    await using ductape = await shopWith([
      EXTRACT,
      { tag: "outer", quotas: [{ quota: "c" }], sequence },
    ]);
    const takeBack = ductape.features.handle("shop", "extract", () => {
      throw new Error("no such file");
    });
    await expect(run(ductape, "outer")).rejects.toThrow("no such file");
    takeBack();
    ductape.features.handle("shop", "extract", () => ({ pages: "three" }));
    expect((await faultOf(run(ductape, "outer"))).issues).toEqual([
      {
        path: "sequence[1].events[0].amount",
        message: expect.stringContaining('expects a finite number, got "three"'),
      },
    ]);
    expect(await standing(ductape, "a", "b", "c")).toEqual([
      [1, 0],
      [0, 0],
      [0, 0],
    ]);
  });

  it("refuses features that run each other in a circle, and deep chains", async () => {
    const calling = (tag: string, event: string): FeatureInput => ({
      tag,
      sequence: [{ tag: "s", events: [{ type: "feature", event }] }],
    });
    const chain = Array.from({ length: 9 }, (_, i) => calling(`f${i}`, `f${i + 1}`));
    await using ductape = await shopWith([calling("x", "y"), calling("y", "x"), ...chain]);
    expect((await faultOf(run(ductape, "x"))).issues).toEqual([
      { path: "sequence[0].events[0].event", message: '"x" runs itself' },
    ]);
    expect((await faultOf(run(ductape, "f0"))).issues).toEqual([
      { path: "sequence[0].events[0].event", message: "expects at most 8 levels" },
    ]);
  });
});

describe("who asks for a feature", () => {
  const scope = "$Session{userId}";
  const seats: QuotaDefinition = { tag: "seats", limit: 9, period: "day", scope };
  const feature: FeatureInput = {
    tag: "f",
    quotas: [{ quota: "seats", amount: "$Session{weight} + 1", settle: "$Session{weight}" }],
    output: { plan: "$Session{plan}", left: "$Quota{seats}{remaining}" },
  };

  it("is the owner of its session, or a subject, whose data expressions read", async () => {
    await using ductape = await shopWith([feature], [seats]);
    await ductape.product.sessions.create("shop", {
      tag: "login",
      schema: { userId: "u", plan: "p", weight: 1 },
      selector: scope,
      expiry: 1,
    });
    const data = { userId: "ada", plan: "pro", weight: 3 };
    const place = { product: "shop", env: "prd", tag: "login" };
    const { token } = await ductape.processor.sessions.start({ ...place, data });
    const seen: unknown[] = [];
    ductape.features.handle("shop", "f", ({ session, subject }) => seen.push(session, subject));
    expect(await run(ductape, "f", { session: { tag: "login", token } })).toMatchObject({
      output: { plan: "pro", left: 6 },
      quotas: [{ subject: "ada", used: 3 }],
    });
    const subject = { userId: "bob", plan: "free", weight: 1 };
    expect(await run(ductape, "f", { subject })).toMatchObject({
      output: { plan: "free", left: 8 },
      quotas: [{ subject: "bob", used: 1 }],
    });
    expect(seen).toEqual([data, null, null, subject]);
    const session = { tag: "login", token: "x.y.z" };
    expect(await faultOf(run(ductape, "f", { session }))).toMatchObject({
      code: "SESSION_INVALID",
    });
    expect(await faultOf(run(ductape, "f", { subject: "eve" }))).toMatchObject({
      issues: [{ path: "quotas[0].amount", message: expect.stringContaining("leads nowhere") }],
    });
    expect(await faultOf(run(ductape, "f", { session, subject }))).toMatchObject({
      issues: [{ path: "subject" }],
    });
  });
});

describe("a reservation whose work the caller does", () => {
  const feature: FeatureInput = {
    tag: "f",
    input: { n: { type: "integer" }, style: { type: "string", default: "plain" } },
    quotas: [
      { quota: "a", amount: "$Input{n}", settle: "$Result{n}" },
      { quota: "b", amount: 2, settle: "$Input{n} - 1" },
      { quota: "c", amount: 20, allow_fail: true },
    ],
    output: { n: "$Result{n}", left: "$Quota{a}{remaining}" },
  };
  const start = Date.parse("2026-03-01T12:00:00Z");
  const call = { ...WHERE, feature_tag: "f", input: { n: 4 } } as const;

  it("is charged by what the work gave, once", async () => {
    await using ductape = await shopWith([feature], QUOTAS, manualClock(start));
    const { reserve, commit } = bound(ductape);
    const held = await reserve({ ...call, reservation: "job-1", ttl_ms: 64_000 });
    expect(held).toMatchObject({
      allowed: true,
      code: "OK",
      reservation: { id: "job-1", expires_at: "2026-03-01T12:01:04.000Z" },
      input: { n: 4, style: "plain" },
      ttl_ms: 64_000,
      quotas: [{ quota_tag: "a" }, { quota_tag: "b" }, { quota_tag: "c", allowed: false }],
    });
    expect(await reserve({ ...call, reservation: "job-1", ttl_ms: 64_000 })).toMatchObject({
      quotas: [{ replayed: true }, { replayed: true }, { allowed: false }],
    });
    const done = { ...call, reservation: "job-1", result: { n: 3 } };
    const committed = await commit(done);
    expect(committed).toMatchObject({ output: { n: 3, left: 7 }, reservation: { id: "job-1" } });
    expect(committed).not.toHaveProperty("issues");
    expect(await commit(done)).toMatchObject({ output: { n: 3, left: 7 } });
    expect(await standing(ductape, "a", "b", "c")).toEqual([
      [3, 0],
      [3, 0],
      [0, 0],
    ]);
    expect(await faultOf(commit({ ...done, result: { n: 5 } }))).toMatchObject({
      code: "IDEMPOTENCY_CONFLICT",
    });
    expect(await faultOf(commit({ ...done, reservation: "job-2" }))).toMatchObject({
      code: "RESERVATION_NOT_FOUND",
    });
  });

  it("charges what is held where a settle has no value, and says so", async () => {
    await using ductape = await shopWith([feature]);
    const { reserve, commit } = bound(ductape);
    await reserve({ ...call, reservation: "r" });
    const { issues } = await commit({ ...WHERE, feature_tag: "f", reservation: "r" });
    expect(issues?.map(({ path }) => path)).toEqual(["quotas[0].settle", "quotas[1].settle"]);
    expect(await standing(ductape, "a", "b")).toEqual([
      [4, 0],
      [2, 0],
    ]);
  });

  it("is renewed, and freed", async () => {
    const clock = manualClock(start);
    await using ductape = await shopWith([{ ...feature, ttl_ms: 64_000 }], QUOTAS, clock);
    const { reserve, extend, release } = bound(ductape);
    await reserve({ ...call, reservation: "r" });
    clock.advance(60_000);
    const target = { ...WHERE, feature_tag: "f", reservation: "r" };
    expect(await extend(target)).toMatchObject({
      allowed: true,
      reservation: { expires_at: expect.stringMatching(/^2026-03-01T12:02:04/) },
    });
    clock.advance(60_000);
    expect(await standing(ductape, "a", "b")).toEqual([
      [0, 4],
      [0, 2],
    ]);
    expect(await release({ ...target, reason: "given up" })).toMatchObject({ allowed: true });
    expect(await standing(ductape, "a", "b")).toEqual([
      [0, 0],
      [0, 0],
    ]);
    const lost = await faultOf(release({ ...target, reservation: "none" }));
    expect(lost.code).toBe("RESERVATION_NOT_FOUND");
  });

  it("is refused for a feature whose sequence runs others", async () => {
    const sequence = [{ tag: "s", events: [{ type: "feature", event: "f" }] }] as const;
    await using ductape = await shopWith([feature, { tag: "outer", sequence }]);
    const { reserve } = bound(ductape);
    expect((await faultOf(reserve({ ...WHERE, feature_tag: "outer" }))).issues).toEqual([
      {
        path: "feature_tag",
        message: "runs other features in its sequence; call feature.run instead",
      },
    ]);
  });
});

function bound({ processor }: Ductape) {
  const { feature } = processor;
  return {
    reserve: feature.reserve.bind(feature),
    commit: feature.commit.bind(feature),
    extend: feature.extend.bind(feature),
    release: feature.release.bind(feature),
  };
}

describe("features.isEnabled", () => {
  const by = "$Session{plan}";
  const scope = "$Session{userId}";
  const exports: QuotaDefinition = {
    tag: "export",
    scope,
    limit: { by, values: { pro: 10, own: null }, default: 0 },
    period: "day",
  };
  const features: FeatureInput[] = [
    { tag: "plain" },
    { tag: "f", quotas: [{ quota: "export" }] },
    { tag: "bonus", quotas: [{ quota: "export", allow_fail: true }] },
    { tag: "none", quotas: [{ quota: "gone" }] },
    { tag: "outer", sequence: [{ tag: "s", events: [{ type: "feature", event: "f" }] }] },
  ];

  it.each<[string, string, boolean]>([
    ["f", "pro", true],
    ["f", "own", true],
    ["f", "free", false],
    ["outer", "free", false],
    ["outer", "pro", true],
    ["bonus", "free", true],
    ["none", "pro", false],
    ["plain", "free", true],
  ])("of %s on plan %s is %j", async (feature_tag, plan, isEnabled) => {
    await using ductape = await shopWith(features, [exports]);
    const subject = { userId: "u", plan };
    const call = { ...WHERE, feature_tag, subject };
    expect(await ductape.features.isEnabled(call)).toBe(isEnabled);
  });

  it("stays true where the limit is used up, because the plan includes it", async () => {
    await using ductape = await shopWith(features, [exports]);
    const subject = { userId: "u", plan: "pro" };
    const use = { ...WHERE, quota_tag: "export", action: "increment", amount: 10 } as const;
    expect(await ductape.processor.quota.run({ ...use, subject })).toMatchObject({ remaining: 0 });
    expect(await ductape.features.isEnabled({ ...WHERE, feature_tag: "f", subject })).toBe(true);
    const unknown = { ...WHERE, feature_tag: "x", subject };
    expect(await faultOf(ductape.features.isEnabled(unknown))).toMatchObject({
      code: "FEATURE_NOT_FOUND",
    });
  });
});
