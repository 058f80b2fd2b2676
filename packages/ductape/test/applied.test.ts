// An action that cannot be done in full is reported or refused, never silently reduced.
import { afterAll, describe, expect, it } from "vitest";
import type { Decision, Ductape, QuotaDefinition, QuotaInput } from "ductape";
import { clientWith, inputOf, storeUrls, temporaryFolder } from "./support.js";

const folder = temporaryFolder();
afterAll(folder.remove);
const MAX = Number.MAX_SAFE_INTEGER;
const START_MS = Date.UTC(2026, 4, 15, 12);

let stores = 0;
function open(url: string, quota: Omit<QuotaDefinition, "tag">) {
  const store = url.replace("store.db", `${stores++}.db`);
  return clientWith([{ tag: "q", ...quota }], { store, clock: () => START_MS });
}

async function run(ductape: Ductape, input: Partial<QuotaInput> = {}): Promise<Decision> {
  const result = await ductape.processor.quota.run(inputOf(input));
  return result;
}

const decrement = (ductape: Ductape, amount: number, input: Partial<QuotaInput> = {}) =>
  run(ductape, { ...input, action: "decrement", amount });

const TEAM = {
  rules: [
    { name: "user", limit: 20, period: "day", scope: "$Session{userId}" },
    { name: "org", limit: 10, period: "day" },
  ],
} as const;
const ann = { subject: "ann" };

describe.each(storeUrls(folder.path))("on %s", (url) => {
  it("25 taken from 10 is reported as 10 applied of 25 asked", async () => {
    await using ductape = await open(url, { limit: 20, period: "day" });
    await run(ductape, { amount: 10 });
    expect(await decrement(ductape, 25)).toMatchObject({ amount: 25, applied: 10, used: 0 });
    expect(await decrement(ductape, 25)).toMatchObject({ amount: 25, applied: 0, used: 0 });
  });

  it("what was there is applied in full, and no other action reports it", async () => {
    await using ductape = await open(url, { limit: 20, period: "day" });
    expect(await run(ductape, { amount: 10 })).not.toHaveProperty("applied");
    expect(await decrement(ductape, 4)).toMatchObject({ amount: 4, applied: 4, used: 6 });
    expect(await run(ductape, { action: "check" })).not.toHaveProperty("applied");
    expect(await run(ductape, { action: "reset" })).not.toHaveProperty("applied");
  });

  it("what was applied is in the units of the quota", async () => {
    await using ductape = await open(url, { limit: 5, period: "day", decimals: 2 });
    await run(ductape, { amount: 1.25 });
    expect(await decrement(ductape, 3.5)).toMatchObject({ amount: 3.5, applied: 1.25, used: 0 });
  });

  it("a rolling window reports what was taken from it", async () => {
    await using ductape = await open(url, { limit: 5, period: "day", window: "rolling" });
    await run(ductape, { amount: 3 });
    expect(await decrement(ductape, 8)).toMatchObject({ amount: 8, applied: 3, used: 0 });
  });

  it("the same key returns the same again, whatever was counted since", async () => {
    await using ductape = await open(url, { limit: 5, period: "day" });
    await run(ductape, { amount: 2 });
    const key = { idempotency_key: "k" };
    const first = await decrement(ductape, 3, key);
    expect(first).toMatchObject({ amount: 3, applied: 2 });
    await run(ductape, { amount: 5 });
    expect(await decrement(ductape, 3, key)).toEqual({ ...first, replayed: true });
  });

  it("each rule reports what was taken, and the top level that of the binding one", async () => {
    await using ductape = await open(url, TEAM);
    await run(ductape, { ...ann, amount: 2 });
    await run(ductape, { ...ann, action: "set", rule: "org", amount: 6 });
    const less = await decrement(ductape, 3, ann);
    expect(less).toMatchObject({ amount: 3, rule: "org", used: 3, applied: 3 });
    expect(less.rules?.map(({ applied }) => applied)).toEqual([2, 3]);
  });

  it("nothing is applied if another input of an atomic call is denied", async () => {
    await using ductape = await open(url, TEAM);
    await run(ductape, { ...ann, amount: 2 });
    const inputs = [
      inputOf({ ...ann, action: "decrement", amount: 1 }),
      inputOf({ ...ann, amount: 100 }),
    ];
    const [less] = await ductape.processor.quota.runAll(inputs, { atomic: true });
    expect(less).toMatchObject({ code: "NOT_APPLIED", amount: 1, applied: 0, used: 2 });
  });

  it("a grant past the largest limit is refused instead of raising it by less", async () => {
    await using ductape = await open(url, { limit: 10, period: "day" });
    const past = run(ductape, { action: "grant", amount: MAX - 9 });
    await expect(past).rejects.toThrow(`amount: would take the limit past ${MAX}, got ${MAX - 9}`);
    expect(await run(ductape, { action: "check" })).toMatchObject({ limit: 10 });
    expect(await run(ductape, { action: "grant", amount: MAX - 10 })).toMatchObject({ limit: MAX });
  });
});
