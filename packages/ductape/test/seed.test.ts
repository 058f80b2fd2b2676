import { afterAll, describe, expect, it } from "vitest";
import { DuctapeError, type QuotaInput } from "ductape";
import { clientWith, temporaryFolder } from "./support.js";

const folder = temporaryFolder();
afterAll(folder.remove);

const seed = {
  env: "prd",
  product_tag: "shop",
  quota_tag: "api-requests",
  action: "increment",
  amount: 1,
} as const satisfies QuotaInput;

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
  });

  it("names the session and the cache that nobody has defined", async () => {
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
