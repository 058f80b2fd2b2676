import { afterAll, describe, expect, it } from "vitest";
import { DuctapeError, type QuotaInput } from "ductape";
import { ACTIONS } from "../src/decide/action.js";
import { callAny, clientWith, faultOf, temporaryFolder } from "./support.js";

const folder = temporaryFolder();
afterAll(folder.remove);

const seed = {
  env: "prd",
  product_tag: "shop",
  quota_tag: "api-requests",
  action: "increment",
  amount: 1,
} as const satisfies QuotaInput;

const SETTLING: ReadonlySet<string> = new Set(["commit", "extend", "release"]);

describe.each(["memory:", `sqlite:${folder.path}/seed.db`])("the seed's example on %s", (store) => {
  it("answers every field, with {} for each optional one", async () => {
    const quota = { tag: "api-requests", name: "API requests", limit: 10_000, period: "month" };
    const nowMs = Date.UTC(2026, 4, 15, 12);
    await using ductape = await clientWith([{ ...quota, period: "month" }], {
      store,
      clock: () => nowMs,
    });
    const { run } = {
      run: (input: QuotaInput) => ductape.processor.quota.run(input),
    };
    const forms: QuotaInput[] = [
      { ...seed, session: {}, cache: {} },
      { ...seed, amount: {}, subject: {}, idempotency_key: {}, rule: {} },
      { ...seed, amount: undefined, session: undefined, cache: undefined },
    ];
    let used = 0;
    for (const form of forms) {
      used++;
      expect(await run(form)).toEqual({
        action: "increment",
        env: "prd",
        product_tag: "shop",
        quota_tag: "api-requests",
        subject: null,
        allowed: true,
        success: true,
        exceeded: false,
        code: "OK",
        rule: "default",
        amount: 1,
        limit: 10_000,
        used,
        held: 0,
        remaining: 10_000 - used,
        overage: 0,
        period: "month",
        window: { start: "2026-05-01T00:00:00.000Z", end: "2026-06-01T00:00:00.000Z" },
        resets_at: "2026-06-01T00:00:00.000Z",
        retry_after_ms: 0,
        source: "store",
        age_ms: 0,
        replayed: false,
        degraded: false,
      });
    }
    const check = await run({ ...seed, action: "check" });
    expect(check).toMatchObject({ allowed: true, used });
    const reset = await run({ ...seed, action: "reset", amount: {} });
    expect(reset).toMatchObject({ used: 0, previous_used: used });
    await ductape.product.delete("shop", { force: true });
  });

  it("accepts each optional field in every form, with every action but on holds", async () => {
    const scope = "$Session{userId}";
    await using ductape = await clientWith([{ tag: "fields", limit: 100, period: "day", scope }], {
      store,
    });
    const { product, processor } = ductape;
    await product.caches.create("shop", { tag: "c", expiry: 1_000 });
    const schema = { userId: "u" };
    const kept = { tag: "s", selector: scope, expiry: 1, period: "hours", schema } as const;
    await product.sessions.create("shop", kept);
    const place = { product: "shop", env: "prd", tag: "s" };
    const { token } = await processor.sessions.start({ ...place, data: schema });
    const values = {
      amount: 2,
      cache: "c",
      idempotency_key: "k",
      session: { tag: "s", token },
      subject: "u",
    };
    // The others act on a hold that is there: see the tests of holds.
    for (const action of ACTIONS.filter((each) => !SETTLING.has(each))) {
      const isNeeded = action === "set" || action === "grant";
      const who = { subject: "u" };
      for (const [field, value] of Object.entries(values)) {
        const needs = {
          ...(isNeeded && field !== "amount" ? { amount: 2 } : {}),
          ...(field === "session" || field === "subject" ? {} : who),
        };
        const input = { ...seed, amount: undefined, quota_tag: "fields", action, ...needs };
        const keyed = field === "idempotency_key" ? `${action}-${value}` : value;
        const told = await callAny(processor.quota, "run", { ...input, [field]: keyed });
        expect(told, `${action} with ${field}`).toMatchObject({ allowed: true, subject: "u" });
        if (isNeeded && field === "amount") continue;
        const without = field === "session" || field === "subject" ? { ...input, ...who } : input;
        for (const left of field === "subject" ? [] : [{}, undefined]) {
          const again = await callAny(processor.quota, "run", { ...without, [field]: left });
          expect(again, `${action} with ${field} left out`).toMatchObject({ allowed: true });
        }
      }
    }
    await product.delete("shop", { force: true });
  });

  it("ignores an amount beside reset, but not one that is no amount", async () => {
    await using ductape = await clientWith([{ tag: "resets", limit: 9, period: "day" }], { store });
    const input = { ...seed, quota_tag: "resets" };
    const run = (more: object) => callAny(ductape.processor.quota, "run", { ...input, ...more });
    await run({ amount: 5 });
    const reset = { action: "reset", amount: 2.5, idempotency_key: "k" };
    expect(await run(reset)).toMatchObject({ amount: 0, used: 0, previous_used: 5 });
    await run({ amount: 4 });
    expect(await run({ ...reset, amount: 7 })).toMatchObject({ replayed: true, used: 0 });
    for (const amount of [-1, NaN, Infinity, 2 ** 53, "1", null, true, [1], { a: 1 }]) {
      const fault = await faultOf(run({ action: "reset", amount }));
      expect(fault.issues?.map(({ path }) => path)).toEqual(["amount"]);
      expect(fault.message).toContain("expects a number from 0 to 9007199254740991");
    }
    expect(await run({ action: "check" })).toMatchObject({ used: 4 });
    await ductape.product.delete("shop", { force: true });
  });

  it("names a session and a cache that are not defined", async () => {
    await using ductape = await clientWith([{ tag: "q", limit: 1, period: "day" }]);
    const run = (input: Partial<QuotaInput>) =>
      ductape.processor.quota.run({ ...seed, quota_tag: "q", ...input });
    const session = { tag: "user-session", token: "eyJhbGciOiJIUzI1NiJ9.e30.x" };
    await expect(run({ session })).rejects.toMatchObject({ code: "SESSION_NOT_FOUND" });
    await expect(run({ cache: "c" })).rejects.toMatchObject({ code: "CACHE_NOT_FOUND" });
    const fault: unknown = await run({ session }).catch((error: unknown) => error);
    expect(DuctapeError.is(fault) && fault.message).not.toContain(session.token);
    expect(await run({ action: "check" })).toMatchObject({ used: 0 });
  });
});
