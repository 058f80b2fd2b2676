import { afterAll, beforeEach, describe, expect, it } from "vitest";
import {
  DuctapeError,
  type Decision,
  type Ductape,
  type QuotaDefinition,
  type QuotaInput,
  type QuotaResult,
} from "ductape";
import { clientWith, inputOf, storeUrls, temporaryFolder } from "./support.js";

const folder = temporaryFolder();
afterAll(folder.remove);
const URLS = storeUrls(folder.path);

const DAY_MS = 86_400_000;
const NOON_MS = Date.UTC(2026, 4, 15, 12);
let nowMs = NOON_MS;
beforeEach(() => {
  nowMs = NOON_MS;
});

let stores = 0;
/** A client on a store of its own, under the clock of the test. */
function open(url: string, ...quotas: QuotaDefinition[]) {
  const store = url.replace("store.db", `${stores++}.db`);
  return clientWith(quotas, { store, clock: () => nowMs });
}

async function run(ductape: Ductape, input: Partial<QuotaInput> = {}): Promise<Decision> {
  const result = await ductape.processor.quota.run(inputOf(input));
  return result;
}

const usedOf = async (ductape: Ductape, input: Partial<QuotaInput> = {}) =>
  (await run(ductape, { ...input, action: "check" })).used;
const fault = (path: string) => ({ code: "VALIDATION", issues: [{ path }] });
const scope = "$Session{userId}";

const TEAM: QuotaDefinition = {
  tag: "q",
  rules: [
    { name: "user", scope, limit: 3, period: "day" },
    { name: "org", scope: "$Session{orgId}", limit: 5, period: "month" },
    { name: "count", limit: null, period: "lifetime" },
  ],
};
const ann = { userId: "ann", orgId: "acme" };
const bob = { userId: "bob", orgId: "acme" };

describe.each(URLS)("several rules on %s", (url) => {
  it("are listed by every answer, in their order", async () => {
    await using ductape = await open(url, TEAM);
    const day = { start: "2026-05-15T00:00:00.000Z", end: "2026-05-16T00:00:00.000Z" };
    const month = { start: "2026-05-01T00:00:00.000Z", end: "2026-06-01T00:00:00.000Z" };
    const counted = { used: 2, held: 0, overage: 0, admits: true, retry_after_ms: 0 };
    const { rules } = await run(ductape, { subject: ann, amount: 2 });
    const user = { limit: 3, remaining: 1, period: "day", window: day, resets_at: day.end };
    const org = { limit: 5, remaining: 3, period: "month", window: month, resets_at: month.end };
    const window = { start: "1970-01-01T00:00:00.000Z", end: null };
    const count = { limit: null, remaining: null, period: "lifetime", window, resets_at: null };
    expect(rules).toEqual([
      { rule: "user", subject: "ann", ...counted, ...user },
      { rule: "org", subject: "acme", ...counted, ...org },
      { rule: "count", subject: null, ...counted, ...count },
    ]);
  });

  it("admit all together or count nothing, and the one that denied is named", async () => {
    await using ductape = await open(url, TEAM);
    expect(await run(ductape, { subject: ann, amount: 3 })).toMatchObject({ rule: "user" });
    const org = { rule: "org", subject: "acme", used: 3, limit: 5, amount: 3 };
    const denial = await run(ductape, { subject: bob, amount: 3 });
    expect(denial).toMatchObject({ allowed: false, ...org });
    const told = denial.rules?.map(({ used, admits }) => [used, admits]);
    expect(told).toEqual([
      [0, true],
      [3, false],
      [3, true],
    ]);
    expect(await run(ductape, { subject: bob, amount: 2 })).toMatchObject({ rule: "org", used: 5 });
    const [bobs] = (await run(ductape, { subject: bob, action: "check" })).rules ?? [];
    expect(bobs).toMatchObject({ rule: "user", subject: "bob", used: 2 });
  });

  it("name the one with the smallest fraction left, the first of equals", async () => {
    const of = (name: string, limit: number | null) => ({ name, limit, period: "day" }) as const;
    const rules = [of("count", null), of("ten", 10), of("four", 4), of("forty", 40)];
    await using ductape = await open(url, { tag: "q", rules });
    expect(await run(ductape, { action: "check" })).toMatchObject({ rule: "ten", remaining: 10 });
    expect(await run(ductape)).toMatchObject({ rule: "four", remaining: 3 });
    await run(ductape, { action: "set", rule: "ten", amount: 12 });
    const over = { rule: "ten", overage: 2, exceeded: true };
    expect(await run(ductape, { action: "check", amount: 0 })).toMatchObject(over);
  });

  it("name, of those that deny, the one with the longest wait", async () => {
    const hard = { limit: 1, scope } as const;
    const rules = [
      { ...hard, name: "minute", period: "minute" },
      { ...hard, name: "month", period: "month" },
      { ...hard, name: "day", period: "day" },
      { ...hard, name: "once", limit: 2, period: "lifetime" },
    ] as const;
    await using ductape = await open(url, { tag: "q", rules });
    await run(ductape, { subject: "u" });
    const wait = Date.UTC(2026, 5, 1) - NOON_MS;
    const denial = await run(ductape, { subject: "u" });
    expect(denial).toMatchObject({ allowed: false, rule: "month", retry_after_ms: wait });
    const waits = denial.rules?.map(({ retry_after_ms }) => retry_after_ms);
    expect(waits).toEqual([60_000, wait, DAY_MS / 2, 0]);
    nowMs += wait;
    expect(await run(ductape, { subject: "u" })).toMatchObject({ allowed: true });
    const never = await run(ductape, { subject: "u" });
    expect(never).toMatchObject({ rule: "once", retry_after_ms: null });
  });

  it("name the longest wait even if two differ by milliseconds", async () => {
    const rules = [
      { name: "even", limit: 1, period: "second" },
      { name: "shifted", limit: 1, period: "second", anchor: "2026-01-01T00:00:00.050Z" },
    ] as const;
    await using ductape = await open(url, { tag: "q", rules });
    nowMs = NOON_MS + 900;
    await run(ductape);
    expect(await run(ductape)).toMatchObject({ rule: "shifted", retry_after_ms: 150 });
  });

  it("mix soft and hard: only a hard one denies, and a soft one still reports", async () => {
    const rules = [
      { name: "soft", limit: 2, period: "day", on_exceed: "allow" },
      { name: "hard", limit: 5, period: "day" },
    ] as const;
    await using ductape = await open(url, { tag: "q", rules });
    expect(await run(ductape, { amount: 2 })).toMatchObject({ exceeded: false });
    const passed = { allowed: true, code: "OK", exceeded: true, rule: "soft", retry_after_ms: 0 };
    const check = await run(ductape, { action: "check" });
    expect(check).toMatchObject({ ...passed, used: 2, overage: 0 });
    expect(await run(ductape)).toMatchObject({ ...passed, used: 3, overage: 1 });
    const denial = await run(ductape, { amount: 3 });
    expect(denial).toMatchObject({ allowed: false, exceeded: true, rule: "hard", used: 3 });
    expect(denial.rules?.map(({ admits }) => admits)).toEqual([true, false]);
    expect(await run(ductape, { amount: 2 })).toMatchObject({ allowed: true, used: 5 });
  });
});

describe.each(URLS)("the rule field on %s", (url) => {
  it("is required by reset, set and grant if there are several, and by no other", async () => {
    await using ductape = await open(url, TEAM);
    await run(ductape, { subject: ann, amount: 2 });
    for (const action of ["reset", "set", "grant"] as const) {
      const amount = action === "reset" ? {} : 1;
      const missing = run(ductape, { subject: ann, action, amount });
      await expect(missing).rejects.toMatchObject(fault("rule"));
      const unknown = run(ductape, { subject: ann, action, amount, rule: "team" });
      await expect(unknown).rejects.toThrow('rule: expects one of "user", "org", "count", or "*"');
    }
    for (const action of ["increment", "decrement", "check"] as const) {
      const named = run(ductape, { subject: ann, action, rule: "user" });
      await expect(named).rejects.toMatchObject(fault("rule"));
    }
    const { rules } = await run(ductape, { subject: ann, action: "check" });
    expect(rules?.map(({ used }) => used)).toEqual([2, 2, 2]);
  });

  it("acts on one rule, or on all with *", async () => {
    await using ductape = await open(url, TEAM);
    const told = async (input: Partial<QuotaInput>) => {
      const { rules = [], ...result } = await run(ductape, { subject: ann, ...input });
      return { rule: result.rule, used: rules.map(({ used }) => used), rules };
    };
    await told({ amount: 2 });
    const set = await told({ action: "set", rule: "org", amount: 4 });
    expect(set).toMatchObject({ rule: "org", used: [2, 4, 2] });
    const grant = await told({ action: "grant", rule: "user", amount: 10 });
    expect(grant).toMatchObject({ rule: "user", used: [2, 4, 2] });
    expect(grant.rules.map(({ limit }) => limit)).toEqual([13, 5, null]);
    const reset = await run(ductape, { subject: ann, action: "reset", rule: "user" });
    expect(reset).toMatchObject({ rule: "user", used: 0, previous_used: 2, limit: 13 });
    expect(await told({ action: "check" })).toMatchObject({ used: [0, 4, 2] });
    expect(await told({ action: "reset", rule: "*" })).toMatchObject({ used: [0, 0, 0] });
    expect(await told({ action: "set", rule: "*", amount: 1 })).toMatchObject({ used: [1, 1, 1] });
    expect(await told({ action: "decrement" })).toMatchObject({ used: [0, 0, 0] });
  });
});

describe.each(URLS)("a subject on %s", (url) => {
  it("as a string names the one selector of all rules, as an object each by its path", async () => {
    const rules = [
      { name: "day", scope, limit: 3, period: "day" },
      { name: "month", scope, limit: 9, period: "month" },
    ] as const;
    await using ductape = await open(url, { tag: "q", rules }, { ...TEAM, tag: "team" });
    await run(ductape, { subject: "7" });
    const found = await run(ductape, { subject: { userId: 7, orgId: "unused" } });
    expect(found).toMatchObject({ used: 2, subject: "7" });
    const several = run(ductape, { quota_tag: "team", subject: "ann" });
    await expect(several).rejects.toMatchObject(fault("subject"));
  });

  it("that a selector needs and does not find is SUBJECT_REQUIRED with its path", async () => {
    const nested = { tag: "n", scope: "$Session{details}{plan}", limit: 1, period: "day" } as const;
    const inherited = { ...nested, tag: "i", scope: "$Session{constructor}" };
    await using ductape = await open(url, TEAM, nested, inherited);
    const cases: [string, QuotaInput["subject"], string][] = [
      ["q", {}, "userId"],
      ["q", { userId: "ann" }, "orgId"],
      ["n", { details: { other: "x" } }, "details.plan"],
      ["n", { details: "pro" }, "details.plan"],
      ["i", { userId: "ann" }, "constructor"],
    ];
    for (const [quota_tag, subject, path] of cases) {
      const issues = [{ path: `subject.${path}` }];
      const call = run(ductape, { quota_tag, subject });
      await expect(call).rejects.toMatchObject({ code: "SUBJECT_REQUIRED", issues });
    }
    const found = await run(ductape, { quota_tag: "n", subject: { details: { plan: "pro" } } });
    expect(found).toMatchObject({ used: 1, subject: "pro" });
  });

  it("is text or an integer", async () => {
    await using ductape = await open(url, { tag: "q", scope, limit: 1, period: "day" });
    for (const userId of [1.5, 2 ** 53, true, { id: "u" }]) {
      const call = run(ductape, { subject: { userId } });
      await expect(call).rejects.toMatchObject(fault("subject.userId"));
    }
    expect(await run(ductape, { subject: { userId: -1 } })).toMatchObject({ subject: "-1" });
  });

  it("never shares a counter with another", async () => {
    const twice = ["a/b", "a"].map((tag) => ({ tag, scope, limit: 1, period: "day" }) as const);
    await using ductape = await open(url, ...twice);
    const subjects = [
      "a",
      "A",
      "a/",
      "/a",
      "a%2F",
      "a/b",
      "b",
      "*",
      "",
      "é",
      "e\u0301",
      "__proto__",
    ]
      .flatMap((text) => [text, `${text} `, `${text}%25`, `b/${text}`])
      .filter((text) => text !== "");
    for (const { tag: quota_tag } of twice) {
      for (const subject of subjects) {
        const first = await run(ductape, { quota_tag, subject });
        expect(first, `${quota_tag} ${subject}`).toMatchObject({ allowed: true, subject, used: 1 });
      }
    }
  });
});

describe.each(URLS)("a limit by plan on %s", (url) => {
  const limit = { by: "$Session{details}{plan}", values: { free: 2, pro: null, 3: 3 }, default: 1 };

  it("is that of the subject's value, else the default", async () => {
    await using ductape = await open(url, { tag: "q", scope, limit, period: "day" });
    const limitOf = async (details: unknown) =>
      (await run(ductape, { action: "check", subject: { userId: "u", details } })).limit;
    for (const [plan, wanted] of [
      ["free", 2],
      ["pro", null],
      [3, 3],
    ]) {
      expect(await limitOf({ plan }), `plan ${plan}`).toBe(wanted);
    }
    for (const plan of ["none", "Free", "__proto__", "constructor", undefined, true, 4]) {
      expect(await limitOf({ plan }), `plan ${plan}`).toBe(1);
    }
    expect(await limitOf(undefined)).toBe(1);
    expect(await run(ductape, { subject: "u" })).toMatchObject({ limit: 1, used: 1 });
  });

  it("changes with the plan from the next decision, and keeps what is used", async () => {
    await using ductape = await open(url, { tag: "q", scope, limit, period: "day" });
    const on = (plan: string) => run(ductape, { subject: { userId: "u", details: { plan } } });
    await on("free");
    expect(await on("free")).toMatchObject({ allowed: true, used: 2, limit: 2 });
    expect(await on("free")).toMatchObject({ allowed: false });
    expect(await on("pro")).toMatchObject({ allowed: true, used: 3, limit: null });
    expect(await on("free")).toMatchObject({ allowed: false, used: 3, overage: 1 });
  });
});

/** What an answer of `runAll` says in short: the count, or a fault's code. */
const brief = (answer: QuotaResult | DuctapeError): unknown => {
  if (DuctapeError.is(answer)) return answer.code;
  return [answer.code, answer.used];
};

const PAIR = [
  { tag: "q", limit: 3, period: "day" },
  { tag: "r", limit: 10, period: "month", alerts: [0.5] },
] as const;

describe.each(URLS)("an atomic runAll on %s", (url) => {
  it("decides over quotas and products as one, each seeing those before it", async () => {
    await using ductape = await open(url, ...PAIR);
    await ductape.product.create({ tag: "other" });
    await ductape.product.environments.create("other", { slug: "prd" });
    await ductape.product.quotas.create("other", PAIR[0]);
    const spent = inputOf({ amount: 3 });
    const other = { product_tag: "other" };
    const inputs = [spent, inputOf({ action: "decrement" }), inputOf(), inputOf(other)];
    const { quota } = ductape.processor;
    const admitted = await quota.runAll(inputs, { atomic: true });
    expect(admitted.map(brief)).toEqual([
      ["OK", 3],
      ["OK", 2],
      ["OK", 3],
      ["OK", 1],
    ]);
    const refused = await quota.runAll(
      [inputOf({ ...other, amount: 2 }), inputOf(), inputOf({ quota_tag: "r" })],
      { atomic: true },
    );
    expect(refused.map(brief)).toEqual([
      ["NOT_APPLIED", 1],
      ["QUOTA_EXCEEDED", 3],
      ["NOT_APPLIED", 0],
    ]);
    expect(refused.map(({ allowed }) => allowed)).toEqual([false, false, false]);
    expect(await usedOf(ductape, other)).toBe(1);
    expect(await usedOf(ductape, { quota_tag: "r" })).toBe(0);
  });

  it("says of an input that was not applied that none of its own limits denied it", async () => {
    await using ductape = await open(url, ...PAIR);
    const inputs = [inputOf({ quota_tag: "r" }), inputOf({ amount: 4 })];
    const [other, refused] = await ductape.processor.quota.runAll(inputs, { atomic: true });
    expect(refused).toMatchObject({ code: "QUOTA_EXCEEDED", exceeded: true });
    expect(other).toMatchObject({ code: "NOT_APPLIED", used: 0, remaining: 10, exceeded: false });
  });

  it("reports an alert by the one input that crosses it, none if it was denied", async () => {
    await using ductape = await open(url, ...PAIR);
    let events = 0;
    ductape.onAlert(() => events++);
    const inputs = [2, 2, 2, 1].map((amount) => inputOf({ quota_tag: "r", amount }));
    const all = (more: QuotaInput[]) =>
      ductape.processor.quota.runAll([...inputs, ...more], { atomic: true });
    const refused = await all([inputOf({ amount: 4 })]);
    expect([refused.filter((result) => "alerts" in result), events]).toEqual([[], 0]);
    const admitted = await all([]);
    expect(admitted.map((result) => "alerts" in result)).toEqual([false, false, true, false]);
    expect(events).toBe(1);
  });

  it("throws a fault, naming the input, and changes nothing", async () => {
    await using ductape = await open(url, ...PAIR);
    const all = (input: Partial<QuotaInput>) =>
      ductape.processor.quota.runAll([inputOf(), inputOf(input)], { atomic: true });
    const path = "inputs[1].amount";
    await expect(all({ amount: -1 })).rejects.toMatchObject(fault(path));
    await expect(all({ quota_tag: "s" })).rejects.toMatchObject({ code: "QUOTA_NOT_FOUND" });
    expect(await usedOf(ductape)).toBe(0);
    await expect(all({ amount: 0.5 })).rejects.toMatchObject(fault(path));
  });
});

describe.each(URLS)("a runAll on %s", (url) => {
  it("decides each input on its own, with a fault in its place", async () => {
    await using ductape = await open(url, ...PAIR);
    const inputs = [{}, { quota_tag: "s" }, { amount: 3 }, { amount: 0.5 }, { amount: 2 }, {}];
    const answers = await ductape.processor.quota.runAll(inputs.map(inputOf));
    const [one, two, three] = [["OK", 1], ["QUOTA_EXCEEDED", 1], ["OK", 3]]; // prettier-ignore
    expect(answers.map(brief)).toEqual([
      one,
      "QUOTA_NOT_FOUND",
      two,
      "VALIDATION",
      three,
      ["QUOTA_EXCEEDED", 3],
    ]);
  });

  it("accepts up to 1,000 inputs and keeps their order", async () => {
    await using ductape = await open(url, { tag: "q", limit: 600, period: "day" });
    const inputs = Array.from({ length: 1_000 }, () => inputOf());
    const { quota } = ductape.processor;
    const answers = await quota.runAll(inputs);
    const wanted = inputs.map((_, i) => (i < 600 ? ["OK", i + 1] : ["QUOTA_EXCEEDED", 600]));
    expect(answers.map(brief)).toEqual(wanted);
    const tooMany = [...inputs, inputOf({ action: "reset" })];
    for (const atomic of [false, true]) {
      await expect(quota.runAll(tooMany, { atomic })).rejects.toMatchObject(fault("inputs"));
      expect(await quota.runAll([], { atomic })).toEqual([]);
    }
    expect(await usedOf(ductape)).toBe(600);
  });
});
