// What a clock that was years ahead leaves behind, and what is said of it.
import { afterAll, describe, expect, it } from "vitest";
import { EmbeddedDuctape, type QuotaInput } from "ductape";
import { manualClock } from "ductape/testing";
import { MemoryStore } from "../src/stores/memory/memory.js";
import { clientWith, faultOf, inputOf } from "./support.js";
import { testedStores, type TestedStore } from "./tested.js";

const { stores, stop } = await testedStores();
afterAll(stop);

const NOW = "2026-11-30T12:00:00Z";
const THEN = "2036-11-30T12:00:00Z";
const DAY_MS = 86_400_000;
const BY_USER = { scope: "$Session{userId}", limit: 5 } as const;
const QUOTAS = [
  { tag: "q", ...BY_USER, period: "month", history: 2 },
  { tag: "rolling", ...BY_USER, period: "hour", window: "rolling" },
] as const;

let places = 0;

async function open({ url }: TestedStore) {
  const clock = manualClock(NOW);
  const store = url(`wrong_${places++}`);
  const warnings: string[] = [];
  const logger = { warn: (message: string) => void warnings.push(message) };
  const ductape = new EmbeddedDuctape({ store, clock, logger });
  await ductape.product.create({ tag: "shop" });
  await ductape.product.environments.create("shop", { slug: "prd" });
  for (const quota of QUOTAS) await ductape.product.quotas.create("shop", quota);
  const run = async (input: Partial<QuotaInput>) => {
    const result = await ductape.processor.quota.run(inputOf(input));
    return result;
  };
  return {
    clock,
    warnings,
    ductape,
    run,
    [Symbol.asyncDispose]: () => ductape.close(),
  };
}

/** What the doctor says of windows. */
async function windowsFact(ductape: EmbeddedDuctape) {
  return (await ductape.facts()).find(({ name }) => name === "windows");
}

describe.each(stores)("after one call under a clock ten years ahead, $name", (tested) => {
  it("names each rule once in a warning, and the counters to the doctor", async () => {
    await using bench = await open(tested);
    await bench.run({ subject: "before" });
    expect(await windowsFact(bench.ductape)).toMatchObject({ advice: null });
    bench.clock.set(THEN);
    for (const subject of ["ada", "bob", "cem", "dan"]) {
      for (const quota_tag of ["q", "rolling"]) await bench.run({ subject, quota_tag });
    }
    expect(bench.warnings).toEqual([]);
    bench.clock.set(NOW);
    for (let i = 0; i < 3; i++) {
      for (const subject of ["ada", "bob"]) {
        for (const quota_tag of ["q", "rolling"]) await bench.run({ subject, quota_tag });
      }
    }
    expect(bench.warnings).toHaveLength(2);
    expect(bench.warnings[0]).toContain('the counter of "ada" (product "shop", env "prd"');
    expect(bench.warnings[0]).toContain("begins 2036-11-01T00:00:00.000Z, but now is 2026-11-30");
    expect(bench.warnings[1]).toContain("begins 2036-11-30T12:00:00.000Z");
    expect(bench.warnings.join()).toContain("`ductape quota reset`");
    const fact = await windowsFact(bench.ductape);
    expect(fact?.advice).toContain("reset or set");
    expect(fact?.value).toMatch(/; 8 in all$/);
    for (const quota_tag of ["q", "rolling"]) {
      for (const subject of ["ada", "bob", "cem", "dan"]) {
        await bench.run({ subject, quota_tag, action: "reset" });
      }
    }
    expect(await windowsFact(bench.ductape)).toMatchObject({ advice: null });
  });

  it("keeps recording current windows, and shows them once the counter is reset", async () => {
    await using bench = await open(tested);
    await bench.run({ subject: "ada", amount: 2 });
    bench.clock.set(THEN);
    await bench.run({ subject: "ada", amount: 1 });
    bench.clock.set(NOW);
    await bench.run({ subject: "ada", amount: 2 });
    await bench.run({ subject: "ada", action: "set", amount: 4 });
    bench.clock.set("2026-12-01T00:00:00Z");
    await bench.run({ subject: "ada", amount: 3 });
    const names = { product_tag: "shop", env: "prd", quota_tag: "q" };
    const { windows } = await bench.ductape.usage.history({ ...names, subject: "ada" });
    expect(windows.map(({ start, used }) => [start.slice(0, 7), used])).toEqual([
      ["2026-12", 3],
      ["2026-11", 4],
    ]);
  });

  it.runIf(tested.name !== "redis" && tested.name !== "a redis cluster")(
    "forgets an idempotency key a day after the clock is right",
    async () => {
      await using bench = await open(tested);
      bench.clock.set(THEN);
      const key = { subject: "ada", idempotency_key: "k" };
      await bench.run(key);
      bench.clock.set(NOW);
      expect(await bench.run(key)).toMatchObject({ replayed: true });
      await bench.run({ subject: "ada", action: "reset" });
      await bench.run({ subject: "bob", idempotency_key: "another" });
      bench.clock.advance(DAY_MS + 1);
      await bench.run({ subject: "bob", idempotency_key: "one more" });
      await bench.run({ subject: "bob", idempotency_key: "and one" });
      expect(await bench.run(key)).toMatchObject({ replayed: false, used: 1 });
    },
  );
});

it("drops keys in their time, also behind those of a clock that was ahead", async () => {
  const clock = manualClock(NOW);
  const store = new MemoryStore(clock);
  const quota = { tag: "q", limit: null, period: "day" } as const;
  await using ductape = await clientWith([quota], { clock, store, logger: { warn() {} } });
  const run = (key: string) => ductape.processor.quota.run(inputOf({ idempotency_key: key }));
  clock.set(THEN);
  for (let i = 0; i < 10; i++) await run(`ahead-${i}`);
  clock.set(NOW);
  for (let day = 0; day < 3; day++) {
    for (let i = 0; i < 200; i++) await run(`day-${day}-${i}`);
    clock.advance(2 * DAY_MS);
  }
  let kept = 0;
  for await (const { answers } of store.dump()) kept += answers.length;
  expect(kept).toBeLessThanOrEqual(300);
});

describe("a session that a clock ten years ahead has changed", () => {
  const target = { product: "shop", env: "prd", tag: "user" };

  async function sessions() {
    const clock = manualClock(THEN);
    const ductape = await clientWith([{ tag: "q", ...BY_USER, period: "month" }], { clock });
    const schema = { userId: "u" };
    const definition = { tag: "user", selector: "$Session{userId}", expiry: 1, schema } as const;
    await ductape.product.sessions.create("shop", definition);
    const started = await ductape.processor.sessions.start({ ...target, data: schema });
    return { clock, ductape, started, [Symbol.asyncDispose]: () => ductape.close() };
  }

  it("ends when a refresh token is used a second time", async () => {
    await using bench = await sessions();
    const { refresh } = bench.ductape.processor.sessions;
    const again = (refreshToken: string) =>
      refresh.call(bench.ductape.processor.sessions, { ...target, refreshToken });
    const next = await again(bench.started.refreshToken);
    bench.clock.set(NOW);
    for (const used of [bench.started.refreshToken, next.refreshToken]) {
      expect(await faultOf(again(used))).toMatchObject({ code: "SESSION_REVOKED" });
    }
  });

  it("continues with a refresh, which returns a token for the present", async () => {
    await using bench = await sessions();
    bench.clock.set(NOW);
    const run = (token: string) =>
      bench.ductape.processor.quota.run(inputOf({ session: { tag: "user", token } }));
    const { refreshToken } = bench.started;
    const next = await bench.ductape.processor.sessions.refresh({ ...target, refreshToken });
    expect(next.expiresAt).toContain("2026-11-30T");
    expect(await run(next.token)).toMatchObject({ allowed: true });
  });

  it("is of no use any more two rotations after the clock is right", async () => {
    await using bench = await sessions();
    const { sessions: defined } = bench.ductape.product;
    await defined.rotate("shop", { env: "prd" });
    bench.clock.set(NOW);
    await defined.rotate("shop", { env: "prd" });
    bench.clock.advance(DAY_MS);
    await defined.rotate("shop", { env: "prd" });
    bench.clock.set(THEN);
    const token = { session: { tag: "user", token: bench.started.token } };
    const fault = await faultOf(bench.ductape.processor.quota.run(inputOf(token)));
    expect(fault).toMatchObject({ code: "SESSION_INVALID" });
  });
});
