import { isDeepStrictEqual } from "node:util";
import { describe, expect, it } from "vitest";
import { Ductape } from "ductape";
import { callAny, clientWith, faultOf } from "./support.js";

const LONG = "x".repeat(10_000);
const ILL_FORMED = "a\uD800b";
const TEXTS = [undefined, null, 7, 1n, true, "", {}, [], LONG, ILL_FORMED, "a\0b", Symbol("s")];

/** What is wrong where: a member's path, and values that are refused with exactly that path. */
type Bad = readonly (readonly [path: string, values: readonly unknown[]])[];

const bare: unknown = Object.create(null);
const NAMES = [1, null, true, [], LONG, ILL_FORMED, { a: 1 }];
const NUMBERS = [-1, -0.5, Number.NaN, Infinity, -Infinity, 2 ** 53, 1n, "1", true, [1], () => 1];

const BAD_PRODUCT: Bad = [
  ["tag", [...TEXTS, bare, { toString: () => "q" }]],
  ["name", NAMES],
  ["description", NAMES],
  ["limit", [1]],
];

const BAD_ENVIRONMENT: Bad = [
  ["slug", [...TEXTS, bare]],
  ["env_name", NAMES],
  ["description", NAMES],
  ["active", ["true", 1, 0, null, [], { a: 1 }]],
  ["tag", ["q"]],
];

/** Beside `{ tag: "q", limit: 1, period: "day" }`. */
const BAD_QUOTA: Bad = [
  ["tag", [...TEXTS, bare, { toString: () => "q" }]],
  ["name", NAMES],
  ["description", NAMES],
  ["unit", ["", " ", "a b", "a".repeat(65), "\u00fc", '"', "-a", "a\n", 5, null, ["a"], true]],
  ["rounding", ["down", "UP", null, 1, true, ["up"]]],
  ["decimals", [-1, 13, 0.5, Number.NaN, "2", 2n, null, [2], { a: 1 }]],
  ["limit", [...NUMBERS, undefined, {}, 0.5, 1.000001, bare]],
  [
    "limit.by",
    [
      { by: "plan", values: { a: 1 }, default: 1 },
      { values: { a: 1 }, default: 1 },
    ],
  ],
  ["limit.by", [{ by: `$Session{${LONG}}`, values: { a: 1 }, default: 1 }]],
  ["limit.values", [1, [], null, undefined, {}, new Map([["a", 1]])].map(valuesOf)],
  ["limit.values.a", NUMBERS.map((a) => valuesOf({ a }))],
  ["limit.values.a", [valuesOf({ a: undefined }), valuesOf({ a: {} })]],
  ['limit.values.""', [valuesOf({ "": 1 })]],
  ["limit.default", [{ by: "$Session{plan}", values: { a: 1 } }]],
  ["limit.default", NUMBERS.map((each) => ({ ...valuesOf({ a: 1 }), default: each }))],
  ["limit.def", [{ ...valuesOf({ a: 1 }), def: 1 }]],
  ["period", [undefined, null, "", "days", "Day", "lifetim", 1, true, {}, [], "__proto__"]],
  ["period.every", [0, -1, 1.5, 10_001, "2", 2n, null, undefined].map(everyOf)],
  ["period.unit", [{ every: 2, unit: "lifetime" }, { every: 2 }, { every: 2, unit: 1 }]],
  ["period.unti", [{ every: 2, unit: "day", unti: 1 }]],
  ["window", ["Rolling", "fixed", null, 1, true, [], { a: 1 }]],
  ["time_zone", ["Mars/Olympus", "+02:00", "CEST", "", null, 1, LONG, "Europe/Paris\0", "BST"]],
  ["week_start", ["mon", "Monday", 1, null, "holiday"]],
  ["anchor", ["2026-02-30T00:00:00Z", "2026-01-31", "2026-01-31T00:00:00", "2026-13-01T00:00:00Z"]],
  ["anchor", ["2026-01-31T25:00:00Z", "2026-01-31T00:00:60Z", "2026-01-31T00:00:00+99:00"]],
  ["anchor", ["2025-02-29T00:00:00Z", "2026-04-31T00:00:00Z", "2026-00-10T00:00:00Z", "31 Jan"]],
  ["anchor", [0, new Date(0), "", true, `2026-01-31T00:00:00.${"0".repeat(10_000)}Z`]],
  ["on_exceed", ["deny", "ALLOW", null, 1]],
  ["scope", ["user", "$Session", "$Session{}", "$Session{a", "$Session{a}b", "$Input{a}", "", 1]],
  ["scope", [null, `$Session{${LONG}}`, `$Session{${ILL_FORMED}}`, "$Session{a\0}", []]],
  ["alerts", [0.8, "0.8", null, { a: 1 }, Array.from({ length: 17 }, (_, i) => (i + 1) / 20)]],
  ["alerts[0]", [0, 11, 10.1, -1, Number.NaN, Infinity, "1", null, undefined, 1n].map(listOf)],
  ["alerts[1]", [[0.5, 0], Object.assign([0.5], { 2: 1 })]],
  ["rules", [null, 1, "r", [], rulesOf(17), { a: 1 }].map(inRules)],
  ["limt", [1]],
  ["rule", [{ limit: 1 }]],
  ["revision", [1]],
  ['"with space"', [1]],
];

const RULE = { name: "r", limit: 1, period: "day" } as const;
/** Beside a good first rule. */
const BAD_RULE: readonly (readonly [path: string, rule: unknown])[] = [
  ["", undefined],
  ["", null],
  ["", 1],
  ["", [RULE]],
  [".name", { ...RULE, name: undefined }],
  [".name", { ...RULE, name: {} }],
  [".name", { ...RULE, name: bare }],
  [".name", { ...RULE, name: "*" }],
  [".name", { ...RULE, name: "good" }],
  [".name", { ...RULE, name: LONG }],
  [".name", { ...RULE, name: ILL_FORMED }],
  [".limit", { ...RULE, limit: Number.NaN }],
  [".limit", { name: "r", period: "day" }],
  [".limit", Object.assign(Object.create({ limit: 1 }), { name: "r", period: "day" })],
  [".period", { ...RULE, period: "fortnight" }],
  [".window", { ...RULE, window: "rolling", period: "lifetime" }],
  [".anchor", { ...RULE, window: "rolling", anchor: "2026-01-31T00:00:00Z" }],
  [".anchor", { ...RULE, period: "lifetime", anchor: "2026-01-31T00:00:00Z" }],
  [".decimals", { ...RULE, decimals: 2 }],
  [".tag", { ...RULE, tag: "q" }],
];

function valuesOf(values: unknown) {
  return { by: "$Session{plan}", values, default: 1 };
}

function everyOf(every: unknown) {
  return { every, unit: "day" };
}

function listOf(value: unknown) {
  return [value];
}

function rulesOf(count: number) {
  return Array.from({ length: count }, (_, i) => ({ name: `r${i}`, limit: 1, period: "day" }));
}

const isEmpty = (value: unknown) => value === bare || isDeepStrictEqual(value, {});

/** As the members of a rule must not stand beside `rules`. */
function inRules(rules: unknown) {
  return { rules, limit: undefined, period: undefined };
}

/** Every refusal of a table; each names the one wrong field and shows what it got, in bounds. */
async function expectRefused(bad: Bad, call: (fields: object) => Promise<unknown>): Promise<void> {
  for (const [path, values] of bad) {
    const member = /^"?[\w ]+"?/.exec(path)?.[0].replaceAll('"', "") ?? "";
    for (const [i, value] of values.entries()) {
      const fields = member === "rules" && Object(value) === value ? value : { [member]: value };
      const fault = await faultOf(() => call(Object(fields)));
      const name = `${path}, value ${i}`;
      expect(fault.code, name).toBe("VALIDATION");
      expect(
        fault.issues?.map((issue) => issue.path),
        `${name}: ${fault.message}`,
      ).toEqual([path]);
      expect(fault.message.length, name).toBeLessThan(400);
    }
  }
}

describe("a bad definition", () => {
  it("of a product is VALIDATION that names the field, and makes nothing", async () => {
    await using ductape = new Ductape({ store: "memory:" });
    const create = (fields: object) => callAny(ductape.product, "create", { tag: "q", ...fields });
    await expectRefused(BAD_PRODUCT, create);
    expect(await ductape.product.fetchAll()).toEqual([]);
  });

  it("of an environment is VALIDATION that names the field, and makes nothing", async () => {
    await using ductape = await clientWith([]);
    const { environments } = ductape.product;
    const create = (fields: object) =>
      callAny(environments, "create", "shop", { slug: "q", ...fields });
    await expectRefused(BAD_ENVIRONMENT, create);
    expect((await environments.fetchAll("shop")).map(({ slug }) => slug)).toEqual(["prd"]);
  });

  it("of a quota is VALIDATION that names the field, and makes nothing", async () => {
    await using ductape = await clientWith([]);
    const { quotas } = ductape.product;
    const base = { tag: "q", limit: 1, period: "day" };
    await expectRefused(BAD_QUOTA, (fields) =>
      callAny(quotas, "create", "shop", { ...base, ...fields }),
    );
    for (const [path, rule] of BAD_RULE) {
      const rules = [{ ...RULE, name: "good" }, rule];
      const fault = await faultOf(() => callAny(quotas, "create", "shop", { tag: "q", rules }));
      expect(
        fault.issues?.map((issue) => issue.path),
        fault.message,
      ).toEqual([`rules[1]${path}`]);
    }
    expect(await quotas.fetchAll("shop")).toEqual([]);
  });

  it("in an update is refused as in a creation, and changes nothing", async () => {
    await using ductape = await clientWith([{ tag: "q", limit: 1, period: "day" }]);
    const { quotas } = ductape.product;
    const before = await quotas.fetch("shop", "q");
    // In an update, absence keeps and null clears: neither is wrong there.
    const wrong = BAD_QUOTA.map(([path, values]) => {
      const isKept = (value: unknown) => value === undefined || value === null || isEmpty(value);
      return [path, values.filter((value) => !isKept(value))] as const;
    }).filter(([path]) => path !== "rules");
    await expectRefused(wrong, (fields) => callAny(quotas, "update", "shop", "q", fields));
    expect(await quotas.fetch("shop", "q")).toEqual(before);
  });

  it("names every wrong field at once, and the nearest known one", async () => {
    await using ductape = await clientWith([]);
    const { quotas } = ductape.product;
    const all = { tag: 1, decimals: 19, limit: 0.5, perod: "day", rules: {}, alerts: [0, 1, 11] };
    const fault = await faultOf(() => callAny(quotas, "create", "shop", all));
    expect(fault.issues).toEqual([
      { path: "perod", message: "is not a known field; did you mean period?" },
      { path: "tag", message: "expects a string, got 1" },
      { path: "decimals", message: "expects an integer from 0 to 12, got 19" },
      { path: "period", message: expect.stringContaining("is required") },
      { path: "alerts[0]", message: "expects a fraction of the limit from 0.000001 to 10, got 0" },
      { path: "alerts[2]", message: "expects a fraction of the limit from 0.000001 to 10, got 11" },
    ]);
    const rules = [1, { name: 1, limit: -1 }, 1, { name: 1, limit: null, period: "day" }];
    const several = await faultOf(() => callAny(quotas, "create", "shop", { tag: "q", rules }));
    const paths = ["", ".name", ".limit", ".period", "", ".name"];
    const at = [0, 1, 1, 1, 2, 3];
    expect(several.issues?.map(({ path }) => path)).toEqual(
      paths.map((path, i) => `rules[${at[i]}]${path}`),
    );
    const beside = { tag: "q", limit: 1, window: "rolling", rules: [RULE] };
    const fields = await faultOf(() => callAny(quotas, "create", "shop", beside));
    expect(fields.issues?.map(({ path }) => path)).toEqual(["limit", "window"]);
  });

  it("that is no object is refused", async () => {
    await using ductape = await clientWith([{ tag: "q", limit: 1, period: "day" }]);
    const { product } = ductape;
    for (const input of [undefined, null, 1, "x", [], () => 1, Symbol("s"), 1n]) {
      const calls = [
        () => callAny(product, "create", input),
        () => callAny(product, "update", "shop", input),
        () => callAny(product.environments, "create", "shop", input),
        () => callAny(product.environments, "update", "shop", "prd", input),
        () => callAny(product.quotas, "create", "shop", input),
        () => callAny(product.quotas, "update", "shop", "q", input),
      ];
      for (const call of calls) expect(await faultOf(call)).toMatchObject({ code: "VALIDATION" });
    }
  });

  it("finds nothing through a prototype", async () => {
    await using ductape = await clientWith([]);
    const create = (input: unknown) => callAny(ductape.product.quotas, "create", "shop", input);
    const inherited: unknown = Object.create({ tag: "q", limit: 1, period: "day" });
    const fault = await faultOf(() => create(inherited));
    expect(fault.issues?.map(({ path }) => path)).toEqual(["tag", "limit", "period"]);
    const own: unknown = JSON.parse('{"tag":"q","__proto__":{"limit":1,"period":"day"}}');
    const polluted = await faultOf(() => create(own));
    expect(polluted.issues?.map(({ path }) => path)).toEqual(["__proto__", "limit", "period"]);
    const period: unknown = Object.create({ every: 2, unit: "day" });
    expect(await faultOf(() => create({ tag: "q", limit: 1, period }))).toMatchObject({
      issues: [{ path: "period.unit" }, { path: "period.every" }],
    });
    const values: unknown = JSON.parse('{"__proto__":5}');
    const limit = { by: "$Session{plan}", values, default: 1 };
    await create({ tag: "q", limit, period: "day" });
    const quota = await ductape.product.quotas.fetch("shop", "q");
    expect(Object.entries(Object(quota.rules[0]?.limit).values)).toEqual([["__proto__", 5]]);
  });

  it("is shown in a message of bounded length, whatever it contains", async () => {
    await using ductape = await clientWith([]);
    const create = (input: object) =>
      callAny(ductape.product.quotas, "create", "shop", { tag: "q", period: "day", ...input });
    const bad = [
      { limit: 1, [LONG]: 1 },
      { limit: 1, [ILL_FORMED]: 1 },
      { limit: "😀".repeat(100) },
      { limit: "-😀".repeat(100) },
      { limit: valuesOf({ [LONG]: 1 }) },
      { limit: valuesOf({ [ILL_FORMED]: -1 }) },
      { limit: { ...valuesOf({ a: 1 }), [LONG]: 1 } },
      { limit: 1, period: { every: 1, unit: "day", [LONG]: 1 } },
      { limit: valuesOf(Object.fromEntries(Array.from({ length: 2_000 }, (_, i) => [i, 1]))) },
      { limit: valuesOf(Object.fromEntries(Array.from({ length: 900 }, (_, i) => [i, -1]))) },
      Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`field${i}`, 1])),
      { limit: undefined, period: undefined, rules: Array.from({ length: 16 }, () => ({})) },
    ];
    for (const [i, input] of bad.entries()) {
      const fault = await faultOf(() => create(input));
      expect(fault.code, `value ${i}`).toBe("VALIDATION");
      expect(fault.message.length, `value ${i}`).toBeLessThan(10_000);
      expect(fault.message.isWellFormed(), `value ${i}`).toBe(true);
    }
  });
});
