// How many counters go with what is deleted.
import { afterAll, describe, expect, it } from "vitest";
import { manualClock } from "ductape/testing";
import { clientWith, inputOf, storeUrls, temporaryFolder } from "./support.js";

const folder = temporaryFolder();
afterAll(folder.remove);

const SCOPE = "$Session{userId}";
const RULES = [
  { name: "user", scope: SCOPE, limit: 9, period: "day", history: 2 },
  { name: "all", limit: 99, period: "lifetime" },
] as const;

describe.each(storeUrls(folder.path))("usage.counters on %s", (url) => {
  it("counts those of a product, an environment, a quota and a rule", async () => {
    const clock = manualClock("2026-01-01T00:00:00Z");
    const single = { tag: "single", limit: 5, period: "minute", scope: SCOPE } as const;
    const store = url.replace("store.db", "counters.db");
    await using ductape = await clientWith([{ tag: "q", rules: RULES }, single], { store, clock });
    await ductape.product.environments.create("shop", { slug: "dev" });
    const { quota } = ductape.processor;
    for (const subject of ["ada", "bob", "cleo"]) {
      await quota.run(inputOf({ subject }));
      await quota.run(inputOf({ subject, quota_tag: "single" }));
    }
    await quota.run(inputOf({ subject: "ada", env: "dev" }));
    await quota.run(inputOf({ subject: "bob", quota_tag: "single", action: "set", amount: 0 }));
    const count = (input: object) => ductape.usage.counters({ product_tag: "shop", ...input });
    // A counter and its history for each of three users, and one for all.
    expect(await count({ env: "prd", quota_tag: "q" })).toEqual({ counters: 7, in_use: 7 });
    expect(await count({ quota_tag: "q", rule: "all" })).toEqual({ counters: 2, in_use: 2 });
    expect(await count({ env: "prd", quota_tag: "single" })).toEqual({ counters: 3, in_use: 2 });
    expect(await count({ env: "dev" })).toEqual({ counters: 3, in_use: 3 });
    expect(await count({})).toEqual({ counters: 13, in_use: 12 });
    clock.advance(60_000);
    expect(await count({ quota_tag: "single" })).toMatchObject({ in_use: 0 });
    await ductape.product.quotas.delete("shop", "q");
    await expect(count({ quota_tag: "q" })).rejects.toMatchObject({ code: "QUOTA_NOT_FOUND" });
    expect(await count({})).toMatchObject({ in_use: 0 });
  });

  it.each([
    [{ env: "none" }, { code: "ENVIRONMENT_NOT_FOUND" }],
    [{ product_tag: "none" }, { code: "PRODUCT_NOT_FOUND" }],
    [{ rule: "user" }, { issues: [{ path: "rule" }] }],
    [{ quota_tag: "q", rule: "none" }, { issues: [{ path: "rule" }] }],
    [{ quota: "q" }, { issues: [{ path: "quota" }] }],
  ])("refuses %j by name", async (input, fault) => {
    await using ductape = await clientWith([{ tag: "q", rules: RULES }]);
    const counted = ductape.usage.counters({ product_tag: "shop", ...input });
    await expect(counted).rejects.toMatchObject(fault);
  });
});
