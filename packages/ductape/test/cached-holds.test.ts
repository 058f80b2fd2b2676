// What a cache answers about counters with holds.
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { BY_USER, closeClients, decided, setUp } from "./caching.js";
import { storeUrls, temporaryFolder } from "./support.js";

const folder = temporaryFolder();
afterEach(closeClients);
afterAll(folder.remove);

const QUOTA = { ...BY_USER, limit: 10, period: "day" } as const;
const ADA = { subject: "ada" } as const;
const HOLD = { ...ADA, action: "reserve", amount: 6, reservation: "job" } as const;
const NONE = { ...ADA, amount: 0 } as const;

describe.each(storeUrls(folder.path))("a cache on %s", (url) => {
  it("knows what is held, and when it ends", async () => {
    const { client, clock, check, askedBy } = await setUp(url, QUOTA);
    await decided(client, { ...HOLD, ttl_ms: 1_000 });
    clock.advance(500);
    expect(await check(NONE)).toMatchObject({ source: "store", held: 6, remaining: 4 });
    const asked = await askedBy(async () => {
      const denied = await check({ ...ADA, amount: 5 });
      // The hold is rounded up to the next multiple of 16 ms.
      expect(denied).toMatchObject({ allowed: false, source: "cache", retry_after_ms: 508 });
      clock.advance(507);
      expect(await check({ ...ADA, amount: 5 })).toMatchObject({ allowed: false, held: 6 });
      clock.advance(1);
      const free = { allowed: true, source: "cache", age_ms: 508, held: 0, remaining: 10 };
      expect(await check({ ...ADA, amount: 5 })).toMatchObject(free);
    });
    expect(asked).toBe(0);
  });

  it.each([
    ["commit", { amount: 4 }, { used: 4, held: 0 }],
    ["commit", { amount: 4, final: false }, { used: 4, held: 2 }],
    ["extend", { amount: 8 }, { used: 0, held: 8 }],
    ["release", {}, { used: 0, held: 0 }],
  ] as const)("sends %s %j to the store, and knows what it did", async (action, more, after) => {
    const { client, run, check } = await setUp(url, QUOTA);
    await run(HOLD);
    expect(await check(NONE)).toMatchObject({ source: "cache", used: 0, held: 6 });
    const input = { ...ADA, action, reservation: "job", ...more };
    expect(await run(input)).toMatchObject({ source: "store", ...after });
    expect(await check(NONE)).toMatchObject(after);
    expect(await decided(client, { ...NONE, action: "check" })).toMatchObject(after);
  });

  it("forgets its copy if a worker settles the hold without the cache or the subject", async () => {
    const { client, run, check } = await setUp(url, QUOTA);
    await run(HOLD);
    expect(await check(NONE)).toMatchObject({ source: "cache", held: 6 });
    await decided(client, { action: "commit", reservation: "job", amount: 5 });
    expect(await check(NONE)).toMatchObject({ source: "store", used: 5, held: 0 });
    expect(await check(NONE)).toMatchObject({ source: "cache", used: 5, held: 0 });
  });

  it("repeats a refusal for what is held, but decides on no hold from a copy", async () => {
    const { run, askedBy } = await setUp(url, QUOTA);
    await run(HOLD);
    const asked = await askedBy(async () => {
      const refused = { allowed: false, source: "cache", held: 6, remaining: 4 };
      expect(await run({ ...ADA, amount: 5 })).toMatchObject(refused);
    });
    expect(asked).toBe(0);
    const another = { ...HOLD, reservation: "other", amount: 5 };
    expect(await run(another)).toMatchObject({ allowed: false, source: "store" });
  });
});
