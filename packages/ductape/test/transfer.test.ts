import { afterAll, describe, expect, it } from "vitest";
import { Ductape, StoreError, type Store } from "ductape";
import { manualClock } from "ductape/testing";
import { openStore } from "../src/stores/url.js";
import {
  clientWith,
  contextOf,
  faultOf,
  inputOf,
  storeOver,
  storeUrls,
  temporaryFolder,
} from "./support.js";

const folder = temporaryFolder();
afterAll(folder.remove);
const DAY_MS = 86_400_000;
const COUNT = 2_500;
const limit = { by: "$Session{plan}", values: { pro: 9 }, default: 3 } as const;
const quota = { tag: "q", scope: "$Session{userId}", limit, period: "day" } as const;
let files = 0;

/** A client on a store of its own, in which many users of a plan have used 2 of the day. */
async function counted(url: string) {
  const clock = manualClock("2026-05-15T12:00:00Z");
  const store = openStore(url.replace("store.db", `carry-${files++}.db`), contextOf(clock));
  const client = await clientWith([quota], { store, clock });
  for (let from = 0; from < COUNT; from += 500) {
    const users = Array.from({ length: 500 }, (_, i) => ({ userId: `u${from + i}`, plan: "pro" }));
    await client.processor.quota.runAll(users.map((subject) => inputOf({ subject, amount: 2 })));
  }
  return { clock, store, client };
}

/** The ends of the windows that counters stand in, and how many of them. */
async function endsOf(store: Store): Promise<Record<string, number>> {
  const ends: Record<string, number> = {};
  for await (const { counter } of store.scan("")) {
    const day = new Date(counter.window.endMs).toISOString().slice(0, 10);
    ends[day] = (ends[day] ?? 0) + 1;
  }
  return ends;
}

describe.each(storeUrls(folder.path))("a change of a window on %s", (url) => {
  it("leaves all counters in their new windows, with their plans, but past ones", async () => {
    const { clock, store, client } = await counted(url);
    clock.advance(DAY_MS);
    const subject = { userId: "today", plan: "pro" };
    await client.processor.quota.run(inputOf({ subject, amount: 1 }));
    expect(await endsOf(store)).toMatchObject({ "2026-05-17": 1 });
    await client.product.quotas.update("shop", "q", { period: "month" });
    const { "2026-05-16": past, ...others } = await endsOf(store);
    expect(past).toBeGreaterThan(COUNT - 10);
    expect(others).toEqual({ "2026-06-01": 1 });
    const usage = { product_tag: "shop", env: "prd", quota_tag: "q" };
    const { subjects } = await client.usage.subjects(usage);
    expect(subjects).toMatchObject([{ subject: "today", used: 1, limit: 9 }]);
    await client.close();
  });

  it("reaches an environment that is not active, and is waited for by the end", async () => {
    const { store, client } = await counted(url);
    await client.product.environments.update("shop", "prd", { active: false });
    const change = client.product.quotas.update("shop", "q", { period: "month" });
    await client.close();
    expect(await change).toMatchObject({ revision: 2 });
    await store.open();
    expect(await endsOf(store)).toEqual({ "2026-06-01": COUNT });
    await store.close();
  });

  it("reports if it could not finish, and does the rest when it is repeated", async () => {
    const { clock, store, client } = await counted(url);
    let plans = 0;
    const faulty = storeOver(store, {
      apply: (plan, options) => {
        if (++plans === 1_700) throw new StoreError("TIMEOUT", "the store is slow");
        return store.apply(plan, options);
      },
    });
    const other = new Ductape({ store: faulty, clock });
    const { quotas } = other.product;
    const fault = await faultOf(quotas.update("shop", "q", { period: "month" }));
    expect(fault).toMatchObject({ code: "STORE_UNAVAILABLE", retryable: true });
    expect(fault.message).toContain("not all of its counters");
    expect(await quotas.fetch("shop", "q")).toMatchObject({ rules: [{ period: "month" }] });
    expect(Object.keys(await endsOf(store)).length).toBe(2);
    await quotas.update("shop", "q", { period: "month" });
    expect(await endsOf(store)).toEqual({ "2026-06-01": COUNT });
    await other.close();
    await client.close();
  });
});
