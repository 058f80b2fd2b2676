// The fields of holds: what each action takes, and the errors of wrong ones.
import { describe, expect, it } from "vitest";
import type { Ductape, Issue } from "ductape";
import { callAny, clientWith, faultOf, inputOf } from "./support.js";

const QUOTAS = [
  { tag: "q", limit: 10, period: "day" },
  { tag: "slots", limit: 2, window: "concurrent" },
  {
    tag: "both",
    rules: [
      { name: "day", limit: 10, period: "day" },
      { name: "slots", limit: 2, window: "concurrent" },
    ],
  },
] as const;

/** The issues of an input that must be refused. */
async function issuesOf(ductape: Ductape, input: object): Promise<readonly Issue[]> {
  const whole = { ...inputOf(), ...input };
  const fault = await faultOf(() => callAny(ductape.processor.quota, "run", whole));
  expect(fault.code, JSON.stringify(input)).toBe("VALIDATION");
  return fault.issues ?? [];
}

const ALL = "check increment decrement set reset grant reserve commit extend release".split(" ");

/** The actions of each field, with values that are right and wrong. */
const FIELDS: readonly {
  readonly field: string;
  readonly actions: readonly string[];
  readonly right: unknown;
  readonly wrong: readonly unknown[];
}[] = [
  {
    field: "reservation",
    actions: ["reserve", "commit", "extend", "release"],
    right: "x".repeat(255),
    wrong: ["", "x".repeat(256), 1, null, "a\0", "\uD800"],
  },
  {
    field: "ttl_ms",
    actions: ["reserve", "extend"],
    right: 86_400_000,
    wrong: [999, 86_400_001, 1_000.5, Number.NaN, "1000", null],
  },
  {
    field: "at_least",
    actions: ["reserve", "increment"],
    right: 0,
    wrong: [-1, 6, Number.NaN, Infinity, "1", null],
  },
  { field: "final", actions: ["commit"], right: false, wrong: ["false", 0, null] },
  {
    field: "on_exceed",
    actions: ["increment", "commit"],
    right: "allow",
    wrong: ["deny", true, null],
  },
  {
    field: "reason",
    actions: ["release"],
    right: "x".repeat(500),
    wrong: ["", "x".repeat(501), 1, null, "a\0"],
  },
  { field: "of", actions: ["decrement"], right: "k", wrong: ["", 1, null, "x".repeat(256)] },
];

const amountOf = (action: string) => (action === "release" ? {} : { amount: 5 });
const idOf = (action: string, field: string) =>
  ["commit", "extend", "release"].includes(action) && field !== "reservation"
    ? { reservation: "r" }
    : {};

describe.each(FIELDS)("the field $field", ({ field, actions, right, wrong }) => {
  it("is taken by its actions alone; any other says to which it belongs", async () => {
    await using ductape = await clientWith(QUOTAS);
    for (const action of ALL) {
      const input = { action, ...amountOf(action), ...idOf(action, field), [field]: right };
      if (actions.includes(action)) {
        const call = callAny(ductape.processor.quota, "run", { ...inputOf(), ...input });
        const code = await call.then(
          () => "OK",
          (error: { code: string }) => error.code,
        );
        // There may be no such hold, or it may be settled, but the input is right.
        expect(code, action).not.toBe("VALIDATION");
        continue;
      }
      const issues = await issuesOf(ductape, input);
      expect(issues).toEqual([
        { path: field, message: expect.stringContaining(`has no meaning for ${action}`) },
      ]);
    }
  });

  it("names a wrong value, and what is expected", async () => {
    await using ductape = await clientWith(QUOTAS);
    const action = actions[0] ?? "";
    for (const value of wrong) {
      const input = { action, ...amountOf(action), ...idOf(action, field), [field]: value };
      const issues = await issuesOf(ductape, input);
      expect(issues.map(({ path }) => path)).toEqual([field]);
    }
  });

  it("may be undefined or {}, as any optional field", async () => {
    await using ductape = await clientWith(QUOTAS);
    for (const value of [undefined, {}]) {
      const whole = { ...inputOf(), action: "increment", amount: 0, [field]: value };
      await callAny(ductape.processor.quota, "run", whole);
    }
  });
});

describe("an input of a hold", () => {
  it.each(["commit", "extend", "release"])("needs the id of a hold to %s", async (action) => {
    await using ductape = await clientWith(QUOTAS);
    expect(await issuesOf(ductape, { action })).toEqual([
      { path: "reservation", message: `is required for ${action}: the id of a hold` },
    ]);
  });

  it("refuses what contradicts itself", async () => {
    await using ductape = await clientWith(QUOTAS);
    const cases = [
      ["amount", { action: "release", reservation: "r", amount: 1 }],
      ["idempotency_key", { action: "decrement", of: "k", idempotency_key: "i" }],
      ["at_least", { action: "increment", amount: 2, at_least: 1, on_exceed: "allow" }],
      ["rule", { action: "reserve", rule: "default" }],
      ["rule", { action: "commit", reservation: "r", rule: "default" }],
    ] as const;
    for (const [path, input] of cases) {
      expect((await issuesOf(ductape, input)).map((issue) => issue.path)).toEqual([path]);
    }
  });

  it("checks at_least against the digits that the quota counts", async () => {
    await using ductape = await clientWith(QUOTAS);
    const issues = await issuesOf(ductape, { action: "reserve", amount: 2, at_least: 0.5 });
    expect(issues.map(({ path }) => path)).toEqual(["at_least"]);
  });

  it("suggests the nearest known field", async () => {
    await using ductape = await clientWith(QUOTAS);
    expect(await issuesOf(ductape, { action: "commit", reservaton: "r" })).toContainEqual({
      path: "reservaton",
      message: "is not a known field; did you mean reservation?",
    });
  });

  it("gets an id of its own where none is given, another for each", async () => {
    await using ductape = await clientWith(QUOTAS);
    const quota = ductape.quota({ env: "prd", product_tag: "shop", quota_tag: "q" });
    const ids = await Promise.all(
      Array.from({ length: 5 }, async () => (await quota.reserve()).reservation?.id),
    );
    expect(new Set(ids).size).toBe(5);
    for (const id of ids) expect(id).toMatch(/^[\w-]{36}$/);
  });

  it("returns the first answer for a repeated key, with the id it made then", async () => {
    await using ductape = await clientWith(QUOTAS);
    const input = inputOf({ action: "reserve", amount: 2, idempotency_key: "k" });
    const first = await ductape.processor.quota.run(input);
    const again = await ductape.processor.quota.run(input);
    expect(again).toEqual({ ...first, replayed: true });
    expect(again.held).toBe(2);
  });
});

describe("a quota that counts open holds", () => {
  it.each(["increment", "decrement", "set", "reset", "grant"])(
    "refuses %s, and says what to do instead",
    async (action) => {
      await using ductape = await clientWith(QUOTAS);
      for (const input of [
        { quota_tag: "slots" },
        ...(action === "increment" || action === "decrement"
          ? []
          : [{ quota_tag: "both", rule: "slots" }]),
      ]) {
        const issues = await issuesOf(ductape, { action, amount: 1, ...input });
        expect(issues).toEqual([
          { path: "action", message: expect.stringContaining("reserve, and commit or release") },
        ]);
      }
    },
  );

  it("is passed by where other rules are meant", async () => {
    await using ductape = await clientWith(QUOTAS);
    const run = (input: object) =>
      ductape.processor.quota.run({ ...inputOf(), quota_tag: "both", ...input });
    expect(await run({ amount: 3 })).toMatchObject({ rule: "day", used: 3 });
    expect(await run({ action: "decrement", amount: 1 })).toMatchObject({
      rule: "day",
      applied: 1,
    });
    expect(await run({ action: "set", amount: 7, rule: "*" })).toMatchObject({ previous_used: 2 });
    expect(await run({ action: "reset", rule: "*" })).toMatchObject({ previous_used: 7 });
  });
});

describe("the definition of a concurrency limit", () => {
  const concurrent = { limit: 2, window: "concurrent" } as const;

  it("has no period and no end of windows", async () => {
    await using ductape = await clientWith([]);
    const { quotas } = ductape.product;
    const wrong = { period: "day", alerts: [0.8], history: 3, anchor: "2026-01-31T00:00:00Z" };
    for (const [path, value] of Object.entries(wrong)) {
      const input = { tag: "s", ...concurrent, [path]: value };
      const fault = await faultOf(() => callAny(quotas, "create", "shop", input));
      expect(fault.issues?.map((issue) => issue.path)).toEqual([path]);
    }
    const view = await quotas.create("shop", { tag: "s", ...concurrent });
    expect(view.rules).toMatchObject([{ window: "concurrent", period: null, limit: 2 }]);
    // What is read can be written.
    const { revision: _, created_at: _1, updated_at: _2, ...body } = view;
    expect(await quotas.create("shop", { ...body, tag: "t" })).toMatchObject({ rules: view.rules });
  });

  it("limits whole holds, also where amounts have decimals", async () => {
    await using ductape = await clientWith([]);
    const input = { tag: "s", decimals: 2, window: "concurrent" } as const;
    const fault = await faultOf(ductape.product.quotas.create("shop", { ...input, limit: 1.5 }));
    expect(fault.issues?.map(({ path }) => path)).toEqual(["limit"]);
    await ductape.product.quotas.create("shop", { ...input, limit: 2 });
    const quota = ductape.quota({ env: "prd", product_tag: "shop", quota_tag: "s" });
    expect(await quota.reserve({ amount: 0.25 })).toMatchObject({
      held: 1,
      limit: 2,
      remaining: 1,
    });
  });

  it("can be raised, but become no other kind of window", async () => {
    await using ductape = await clientWith(QUOTAS);
    const { quotas } = ductape.product;
    expect(await quotas.update("shop", "slots", { limit: 3 })).toMatchObject({
      rules: [{ limit: 3, window: "concurrent" }],
    });
    for (const [tag, change] of [
      ["slots", { window: "calendar", period: "day" }],
      ["q", { window: "concurrent", period: null }],
    ] as const) {
      const fault = await faultOf(quotas.update("shop", tag, change));
      expect(fault).toMatchObject({ code: "VALIDATION", issues: [{ path: "window" }] });
      expect(fault.message).toContain("make another rule");
    }
  });
});
