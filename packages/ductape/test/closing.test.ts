import { afterAll, describe, expect, it } from "vitest";
import { Ductape, type StartedSession } from "ductape";
import { headerOf } from "../src/sessions/token.js";
import { DATA, faultOf, sessionBench, TARGET } from "./session-bench.js";
import { inputOf, storeUrls, temporaryFolder } from "./support.js";

const folder = temporaryFolder();
afterAll(folder.remove);
let files = 0;
const fresh = (url: string) => url.replace("store.db", `closing-${files++}.db`);
const COUNT = 20;
const OF_AN_UNKNOWN_KEY = Buffer.from(JSON.stringify(headerOf("a-key-of-16-long", false))).toString(
  "base64url",
);
const dataOf = (i: number) => ({ ...DATA, userId: `u-${i}` });

/** Waits so many turns of the queue of microtasks: wherever a call may stand by then. */
async function ticks(count: number): Promise<void> {
  for (let tick = 0; tick < count; tick++) await Promise.resolve();
}

const tokensOf = (all: readonly StartedSession[]) => new Set(all.map(({ token }) => token));

describe("a client that closes at once", () => {
  it("has started every session that it was asked for, and a new client knows each", async () => {
    for (const passed of [0, 1, 2, 3, 5, 8, 13]) {
      const store = fresh(`sqlite:${folder.path}/store.db`);
      const bench = await sessionBench({ store, clock: undefined });
      const starting = Array.from({ length: COUNT }, (_, i) => bench.start(dataOf(i)));
      await ticks(passed);
      await bench.client.close();
      const started = await Promise.all(starting);
      expect(tokensOf(started).size).toBe(COUNT);
      await using later = new Ductape({ store });
      const { sessions } = later.processor;
      for (const [i, { token, refreshToken }] of started.entries()) {
        expect(await sessions.decrypt({ ...TARGET, token })).toEqual(dataOf(i));
        const next = await sessions.refresh({ ...TARGET, refreshToken });
        expect(await sessions.decrypt({ ...TARGET, token: next.token })).toEqual(dataOf(i));
      }
      expect((await sessions.list(TARGET)).sessions).toHaveLength(COUNT);
    }
  });

  it("has refreshed, revoked and rotated all that it was asked to", async () => {
    for (const passed of [0, 1, 2, 3, 5, 8, 13]) {
      const store = fresh(`sqlite:${folder.path}/store.db`);
      const bench = await sessionBench({ store, clock: undefined });
      const [kept, ended] = [await bench.start(dataOf(0)), await bench.start(dataOf(1))];
      const refreshing = bench.refresh(kept.refreshToken);
      const revoking = bench.sessions.revoke({ ...TARGET, identifier: "u-1" });
      const rotating = bench.client.product.sessions.rotate("shop", { env: "prd" });
      await ticks(passed);
      await bench.client.close();
      expect(await revoking).toEqual({ revoked: 1 });
      const [refreshed, { kid }] = await Promise.all([refreshing, rotating]);
      await using later = new Ductape({ store });
      const { sessions } = later.processor;
      expect(await sessions.decrypt({ ...TARGET, token: refreshed.token })).toEqual(dataOf(0));
      await expect(sessions.decrypt({ ...TARGET, token: ended.token })).rejects.toMatchObject({
        code: "SESSION_REVOKED",
      });
      const { token } = await sessions.start({ ...TARGET, data: DATA });
      const header = Buffer.from(token.split(".")[0] ?? "", "base64url").toString();
      expect(JSON.parse(header)).toMatchObject({ kid });
    }
  });

  it.each(storeUrls(folder.path))("has read all that it was asked for, on %s", async (url) => {
    const subjects = Array.from({ length: 1_500 }, (_, i) => `s-${i}`);
    for (const passed of [0, 3, 13]) {
      const bench = await sessionBench({ store: fresh(url) });
      const { token } = await bench.start();
      const { quota } = bench.client.processor;
      for (const half of [subjects.slice(0, 750), subjects.slice(750)]) {
        await quota.runAll(half.map((subject) => inputOf({ subject })));
      }
      // Of an unknown key, which is looked for again after a pause.
      const unknown = [OF_AN_UNKNOWN_KEY, ...token.split(".").slice(1)].join(".");
      const reading = Promise.all([
        faultOf(bench.sessions.decrypt({ ...TARGET, token: unknown })),
        bench.sessions.list(TARGET),
        bench.client.usage.subjects({ product_tag: "shop", env: "prd", quota_tag: "q" }),
        bench.client.product.fetch("shop"),
      ]);
      await ticks(passed);
      await bench.client.close();
      const [fault, { sessions }, usage, product] = await reading;
      expect(fault).toBe("SESSION_INVALID");
      expect(sessions).toHaveLength(1);
      expect(usage).toMatchObject({ subjects: { length: 100 } });
      expect(product).toMatchObject({ tag: "shop" });
    }
  });

  it.each(storeUrls(folder.path))(
    "has applied and carried all it was asked to, on %s",
    async (url) => {
      for (const passed of [0, 1, 3, 8, 13, 40]) {
        const store = fresh(url);
        const bench = await sessionBench({ store });
        const quotas = [{ tag: "q", limit: 9, period: "day", scope: "$Session{userId}" } as const];
        const applying = bench.client.product.apply({ products: [{ tag: "shop", quotas }] });
        const updating = bench.client.product.quotas.update("shop", "q", { period: "week" });
        await ticks(passed);
        await bench.client.close();
        expect(await applying).toMatchObject({ applied: true });
        expect(await updating).toMatchObject({ rules: [{ period: "week" }] });
      }
    },
  );
});
