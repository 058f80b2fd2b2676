import { afterAll, describe, expect, it } from "vitest";
import { Ductape } from "ductape";
import { testedStores } from "../tested.js";
import { acknowledged, prepareStore, startWorker, usedOf } from "./processes.js";

const { stores, stop } = await testedStores();
afterAll(stop);

const PROCESSES = 4;

async function race(store: string, args: readonly string[]): Promise<number> {
  const workers = Array.from({ length: PROCESSES }, () => startWorker([store, ...args]));
  const ends = await Promise.all(workers.map(({ ended }) => ended));
  expect(ends.map(({ code, errors }) => ({ code, errors: code === 0 ? "" : errors }))).toEqual(
    ends.map(() => ({ code: 0, errors: "" })),
  );
  return ends.reduce((sum, { text }) => sum + acknowledged(text), 0);
}

const shared = stores.filter(({ isShared }) => isShared);

describe.each(shared)("four processes of forty callers on $name", ({ url }) => {
  it("admit exactly the limit of one quota, and the store agrees", async () => {
    const store = url("one");
    await prepareStore(store, [{ tag: "q", limit: 3_000, period: "lifetime" }]);
    expect(await race(store, ["q", "until-denied"])).toBe(3_000);
    await using ductape = new Ductape({ store });
    expect(await usedOf(ductape, "q", "one")).toBe(3_000);
  });

  it("admit exactly what both of two rules allow", async () => {
    const store = url("two");
    const period = "lifetime";
    const rules = [
      { name: "user", scope: "$Session{userId}", limit: 1_000, period },
      { name: "all", limit: 2_500, period },
    ] as const;
    await prepareStore(store, [{ tag: "q", rules }]);
    const admitted = await race(store, ["q", "until-denied"]);
    await using ductape = new Ductape({ store });
    let sum = 0;
    for (const subject of ["user-0", "user-1", "user-2"]) {
      const result = await ductape.processor.quota.run({
        env: "prd",
        product_tag: "shop",
        quota_tag: "q",
        action: "check",
        subject,
      });
      const [user, all] = result.rules ?? [];
      expect(user?.used).toBeLessThanOrEqual(1_000);
      expect(all?.used).toBe(admitted);
      sum += user?.used ?? 0;
    }
    expect(sum).toBe(admitted);
    expect(admitted).toBeLessThanOrEqual(2_500);
    // Callers stop at their first denial, by whichever rule: at least one rule must be full.
    expect(admitted).toBeGreaterThanOrEqual(1_000);
  });

  it("count an idempotency key once, whichever process repeats it", async () => {
    const store = url("keys");
    await prepareStore(store, [{ tag: "q", limit: null, period: "lifetime" }]);
    expect(await race(store, ["q", "same-keys", "1000"])).toBe(1_000);
    await using ductape = new Ductape({ store });
    expect(await usedOf(ductape, "q", "one")).toBe(1_000);
  });
});
