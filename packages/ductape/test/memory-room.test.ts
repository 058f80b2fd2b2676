import { describe, expect, it } from "vitest";
import { DuctapeError, EmbeddedDuctape, type QuotaInput } from "ductape";
import { manualClock } from "ductape/testing";
import { faultOf, inputOf } from "./support.js";

const START = "2026-01-15T12:00:00Z";
const DAY_MS = 86_400_000;
const SESSION = { product: "shop", env: "prd", tag: "user" };

/** A client of a store that keeps at most 1 MB. */
async function open() {
  const clock = manualClock(START);
  const ductape = new EmbeddedDuctape({ store: "memory:?max_mb=1", clock });
  await ductape.product.create({ tag: "shop" });
  for (const slug of ["prd", "dev"]) await ductape.product.environments.create("shop", { slug });
  const byUser = { scope: "$Session{userId}", limit: null } as const;
  await ductape.product.quotas.create("shop", { tag: "q", ...byUser, period: "day" });
  const rolling = { tag: "rolling", ...byUser, period: "minute", window: "rolling" } as const;
  await ductape.product.quotas.create("shop", rolling);
  const schema = { userId: "u" };
  const user = { tag: "user", selector: "$Session{userId}", expiry: 1, schema } as const;
  await ductape.product.sessions.create("shop", { ...user, period: "hours" });
  const run = (input: Partial<QuotaInput>) => ductape.processor.quota.run(inputOf(input));
  const start = (userId: string) =>
    ductape.processor.sessions.start({ ...SESSION, data: { userId } });
  return { ductape, clock, run, start, [Symbol.asyncDispose]: () => ductape.close() };
}

/** Calls until one is refused; returns the number of accepted calls and the fault. */
async function untilFull(call: (number: number) => Promise<unknown>) {
  for (let number = 0; number < 20_000; number++) {
    const fault: unknown = await call(number).then(
      () => null,
      (error: unknown) => error,
    );
    if (DuctapeError.is(fault)) return { number, fault };
  }
  throw new Error("it was never full");
}

describe("a store in memory that is full", () => {
  it("refuses new subjects with a clear error, and counts for the known ones", async () => {
    await using bench = await open();
    const { number, fault } = await untilFull((i) => bench.run({ subject: `user-${i}` }));
    expect(number).toBeGreaterThan(2_000);
    expect(fault).toMatchObject({ code: "OVERLOADED", retryable: true });
    const held = 'environment "prd" of product "shop" holds 0.8 MB: no new subject,';
    expect(fault.message).toContain(`the memory: store keeps at most 1.0 MB, of which ${held}`);
    expect(fault.message).toContain("(memory:?max_mb=...)");
    expect(await bench.run({ subject: "user-0" })).toMatchObject({ used: 2 });
    expect(await bench.run({ subject: "nobody", action: "check" })).toMatchObject({ used: 0 });
    const both = bench.ductape.processor.quota.runAll(
      [inputOf({ subject: "user-0" }), inputOf({ subject: "new" })],
      { atomic: true },
    );
    expect((await faultOf(both)).code).toBe("OVERLOADED");
    expect(await bench.run({ subject: "user-0", action: "check" })).toMatchObject({ used: 2 });
  });

  it("still has room for another environment", async () => {
    await using bench = await open();
    await untilFull((i) => bench.run({ subject: `user-${i}` }));
    const { number } = await untilFull((i) => bench.run({ env: "dev", subject: `user-${i}` }));
    expect(number).toBeGreaterThan(100);
    expect((await faultOf(bench.run({ subject: "one more" }))).code).toBe("OVERLOADED");
  });

  it("has room again once windows have ended", async () => {
    await using bench = await open();
    const { number } = await untilFull((i) => bench.run({ subject: `user-${i}` }));
    bench.clock.advance(2 * DAY_MS);
    for (let i = 0; i < number / 10; i++) await bench.run({ subject: "user-0", action: "check" });
    for (let i = 0; i < 1_000; i++) await bench.run({ subject: `tomorrow-${i}` });
  });

  it("refuses new idempotency keys and repeats known ones, until they have expired", async () => {
    await using bench = await open();
    const keyed = (i: number) =>
      bench.run({ subject: "ada", idempotency_key: `k${i}`, idempotency_ttl_ms: 60_000 });
    const { number, fault } = await untilFull(keyed);
    expect([number > 2_000, fault.code]).toEqual([true, "OVERLOADED"]);
    expect(await keyed(0)).toMatchObject({ replayed: true, used: 1 });
    expect(await bench.run({ subject: "ada" })).toMatchObject({ used: number + 1 });
    bench.clock.advance(75_000);
    await bench.run({ subject: "ada" });
    expect(await keyed(number)).toMatchObject({ replayed: false });
  });

  it("refuses new sessions, while known ones are verified, refreshed and revoked", async () => {
    await using bench = await open();
    const first = await bench.start("ada");
    const { number, fault } = await untilFull((i) => bench.start(`user-${i}`));
    expect([number > 200, fault.code]).toEqual([true, "OVERLOADED"]);
    const { sessions } = bench.ductape.processor;
    const next = await sessions.refresh({ ...SESSION, refreshToken: first.refreshToken });
    expect(await sessions.decrypt({ ...SESSION, token: next.token })).toEqual({ userId: "ada" });
    const { sessionId } = next;
    expect(await sessions.revoke({ ...SESSION, sessionId })).toEqual({ revoked: 1 });
    const refused = faultOf(sessions.decrypt({ ...SESSION, token: next.token }));
    expect((await refused).code).toBe("SESSION_REVOKED");
  });

  it("accepts definitions all the same", async () => {
    await using bench = await open();
    await untilFull((i) => bench.run({ subject: `user-${i}` }));
    const more = { tag: "more", limit: 1, period: "day" } as const;
    await bench.ductape.product.quotas.create("shop", more);
  });

  it("reports how much it keeps, and frees all room of what is deleted", async () => {
    await using bench = await open();
    const before = bench.ductape.room?.bytes;
    for (let i = 0; i < 300; i++) {
      const subject = `user-${i}\u{1F600}`;
      await bench.run({ subject, quota_tag: i % 3 === 0 ? "rolling" : "q" });
      await bench.run({ subject: `user-${i}`, idempotency_key: `k${i}` });
    }
    expect(bench.ductape.room?.bytes).toBeGreaterThan(300_000);
    const [kept] = await bench.ductape.facts();
    expect(kept).toEqual({ name: "kept", value: "0 of at most 1 MB", advice: null });
    await bench.ductape.product.environments.delete("shop", "prd", { force: true });
    await bench.ductape.product.environments.create("shop", { slug: "prd" });
    expect(bench.ductape.room?.bytes).toBeLessThan((before ?? 0) + 2_000);
  });
});

it.each(["memory:?", "memory:?max_mb=0", "memory:?max_mb=3001", "memory:?max_mb=1.5", "memory:x"])(
  "the URL %s is refused",
  (store) => {
    expect(() => new EmbeddedDuctape({ store })).toThrow("options.store");
  },
);
