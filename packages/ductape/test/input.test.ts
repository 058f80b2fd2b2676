import { afterAll, describe, expect, it } from "vitest";
import type { Ductape } from "ductape";
import { callAny, clientWith, faultOf, inputOf, storeUrls, temporaryFolder } from "./support.js";

const folder = temporaryFolder();
afterAll(folder.remove);

const LONG = "x".repeat(10_000);
const ILL_FORMED = "a\uD800b";

/** Field to name, wrong values. Each is refused with VALIDATION naming the field. */
const BAD: readonly (readonly [string, readonly unknown[]])[] = [
  ["env", [undefined, null, 1, "", {}, [], LONG, ILL_FORMED, "a\0b", Symbol("s"), 1n, true]],
  ["product_tag", [undefined, null, 7, "", {}, LONG, ILL_FORMED, "a\0b", () => 1]],
  ["quota_tag", [undefined, null, 7, "", {}, LONG, ILL_FORMED, "a\0b", Number.NaN]],
  ["action", [undefined, null, "", "incremet", "INCREMENT", "__proto__", 1, {}, ["check"]]],
  [
    "amount",
    [
      null,
      "1",
      -1,
      -0.5,
      0.5,
      1.1,
      Number.NaN,
      Infinity,
      -Infinity,
      2 ** 53,
      1n,
      true,
      [1],
      { a: 1 },
    ],
  ],
  ["session", [null, "token", 1, [], { tag: "t" }, { token: "t" }, { tag: 1, token: "t" }]],
  [
    "session",
    [
      { tag: "t", token: "t", extra: 1 },
      { tag: "", token: "t" },
    ],
  ],
  ["subject", [null, 1, true, [], LONG, ILL_FORMED, "", "a\0b", { userId: { a: ILL_FORMED } }]],
  [
    "subject",
    [{ userId: Number.NaN }, { userId: null }, { userId: [] }, { userId: "" }, { userId: 1n }],
  ],
  ["cache", [null, 1, "", [], LONG, ILL_FORMED]],
  ["idempotency_key", [null, 1, "", [], "x".repeat(256), ILL_FORMED, "a\0b"]],
  ["idempotency_ttl_ms", [null, "15000", 0, 999, 1_000.5, 86_400_001, Number.NaN, [], 15_000]],
  ["rule", [null, 1, "", [], LONG, "nobody", "default"]],
  ["unknown_field", [1, null, {}]],
  ["amout", [1]],
];

/** Runs an input of any shape, as a caller without types would. */
const runAny = (ductape: Ductape, input: unknown) => callAny(ductape.processor.quota, "run", input);

describe.each(storeUrls(folder.path))("bad input on %s", (store) => {
  it("is VALIDATION that names the field, and changes nothing", async () => {
    const scope = "$Session{userId}";
    await using ductape = await clientWith([{ tag: "q", limit: 5, period: "day", scope }], {
      store,
    });
    await ductape.processor.quota.run(inputOf({ subject: "u" }));
    let cases = 0;
    for (const [field, values] of BAD) {
      for (const value of values) {
        const input: Record<string, unknown> = { ...inputOf({ subject: "u" }), [field]: value };
        if (field === "session") delete input["subject"];
        const fault = await faultOf(() => runAny(ductape, input));
        expect(fault.code, `${field} = ${String(value)}`).toBe("VALIDATION");
        expect(fault.message).toContain(field);
        expect(fault.message.length).toBeLessThan(600);
        expect(fault.issues?.some(({ path }) => path.startsWith(field))).toBe(true);
        cases++;
      }
    }
    for (const input of [undefined, null, 1, "x", [], () => 1]) {
      expect((await faultOf(() => runAny(ductape, input))).code).toBe("VALIDATION");
    }
    expect(cases).toBeGreaterThan(80);
    const check = await ductape.processor.quota.run(inputOf({ action: "check", subject: "u" }));
    expect(check).toMatchObject({ used: 1, allowed: true });
  });

  it("finds nothing through __proto__", async () => {
    const scope = "$Session{userId}";
    await using ductape = await clientWith([{ tag: "p", limit: 5, period: "day", scope }]);
    const polluted: unknown = JSON.parse(
      '{"env":"prd","product_tag":"shop","quota_tag":"p","action":"check",' +
        '"__proto__":{"subject":"u"}}',
    );
    expect((await faultOf(() => runAny(ductape, polluted))).code).toBe("VALIDATION");
    const subject: unknown = JSON.parse('{"__proto__":{"userId":"u"}}');
    const fault = await faultOf(() => runAny(ductape, { ...inputOf({ quota_tag: "p" }), subject }));
    expect(["VALIDATION", "SUBJECT_REQUIRED"]).toContain(fault.code);
  });
});

describe("an input error", () => {
  it("names the nearest known field or action", async () => {
    await using ductape = await clientWith([{ tag: "q", limit: 5, period: "day" }]);
    const field = await faultOf(() => runAny(ductape, { ...inputOf(), ammount: 1 }));
    expect(field.message).toBe("ammount: is not a known field; did you mean amount?");
    const action = await faultOf(() => runAny(ductape, { ...inputOf(), action: "incremant" }));
    expect(action.message).toContain("did you mean increment?");
  });

  it("names every wrong field at once", async () => {
    await using ductape = await clientWith([]);
    const fault = await faultOf(() => runAny(ductape, { env: 1, action: "x", amount: -1 }));
    const paths = fault.issues?.map(({ path }) => path);
    expect(paths).toEqual(["env", "product_tag", "quota_tag", "action"]);
  });

  it("refuses session and subject together", async () => {
    await using ductape = await clientWith([{ tag: "q", limit: 5, period: "day" }]);
    const session = { tag: "t", token: "secret-token" };
    const fault = await faultOf(() =>
      ductape.processor.quota.run(inputOf({ session, subject: "u" })),
    );
    expect(fault.code).toBe("VALIDATION");
    expect(fault.message).not.toContain("secret-token");
  });

  it("never shows a token given in the wrong place", async () => {
    await using ductape = await clientWith([{ tag: "q", limit: 5, period: "day" }]);
    const { sessions } = ductape.processor;
    const start: (input: never) => Promise<unknown> = sessions.start.bind(sessions);
    const refresh: (input: never) => Promise<unknown> = sessions.refresh.bind(sessions);
    const calls = [
      () => runAny(ductape, { ...inputOf(), session: "secret-token" }),
      () => runAny(ductape, "secret-token"),
      () => Reflect.apply(start, sessions, ["secret-token"]),
      () => Reflect.apply(refresh, sessions, ["secret-token"]),
    ];
    for (const call of calls) {
      const fault = await faultOf(call);
      expect(fault.code).toBe("VALIDATION");
      expect(`${fault.message} ${JSON.stringify(fault.issues)}`).not.toContain("secret-token");
    }
  });
});
