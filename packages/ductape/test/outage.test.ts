import { mkdirSync, renameSync, rmSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { Ductape, type OutagePolicy, type QuotaResult } from "ductape";
import { manualClock } from "ductape/testing";
import { DATA, faultOf, HOUR_MS, sessionBench, START_MS, TARGET } from "./session-bench.js";
import { inputOf, temporaryFolder } from "./support.js";

const folder = temporaryFolder();
afterAll(folder.remove);
const silent = { warn: () => undefined };
const canMove = process.platform !== "win32";
if (!canMove)
  console.warn("SKIPPED: a store taken away while in use, which Windows does not allow");

let files = 0;

/** A client that has seen one token of several, then loses its store; `restore` brings it back. */
async function withoutStore(onStoreError: OutagePolicy) {
  const path = `${folder.path}/${files++}/store.db`;
  const store = `sqlite:${path}`;
  const clock = manualClock(START_MS);
  const bench = await sessionBench({ store, clock });
  const [known, revoked, unknown] = [await bench.start(), await bench.start(), await bench.start()];
  const client = new Ductape({ store, clock, onStoreError, logger: silent });
  const { quota, sessions } = client.processor;
  const inputFor = (token: string) => inputOf({ session: { tag: TARGET.tag, token } });
  for (const { token } of [known, revoked]) await quota.run(inputFor(token));
  await sessions.revoke({ ...TARGET, sessionId: revoked.sessionId });
  await bench.client.close();
  const home = path.slice(0, path.lastIndexOf("/"));
  renameSync(home, `${home}.away`);
  // A folder where the file belongs: it can neither be opened nor made.
  mkdirSync(path, { recursive: true });
  await faultOf(client.product.fetchAll());
  const restore = () => {
    rmSync(home, { recursive: true });
    renameSync(`${home}.away`, home);
  };
  return { client, clock, quota, inputFor, known, revoked, unknown, restore };
}

const told = (result: QuotaResult<OutagePolicy>) => [result.allowed, result.degraded, result.code];

describe.runIf(canMove)("while the store is down", () => {
  it("allow admits who was verified before, and throws for every other token", async () => {
    const { client, quota, inputFor, known, revoked, unknown, restore } =
      await withoutStore("allow");
    const down = "STORE_UNAVAILABLE";
    expect(told(await quota.run(inputFor(known.token)))).toEqual([true, true, down]);
    expect(told(await quota.enforce(inputFor(known.token)))).toEqual([true, true, down]);
    const others = [revoked.token, unknown.token, `${known.token}x`, "made.up.here", ""];
    for (const token of others) {
      const input = inputFor(token);
      expect(await faultOf(quota.run(input)), token).toBe(down);
      expect(await faultOf(quota.enforce(input)), token).toBe(down);
      const both = [inputFor(known.token), input];
      expect(await faultOf(quota.runAll(both, { atomic: true })), token).toBe(down);
      const each = await quota.runAll(both);
      expect(each).toMatchObject([{ allowed: true, degraded: true }, { code: down }]);
      expect(each[1]).toBeInstanceOf(Error);
    }
    expect(told(await quota.run(inputOf({ subject: "u-1" })))).toEqual([true, true, down]);
    restore();
    expect(told(await quota.run(inputFor(unknown.token)))).toEqual([true, false, "OK"]);
    expect(await faultOf(quota.run(inputFor(revoked.token)))).toBe("SESSION_REVOKED");
    await client.close();
  });

  it("allow admits nobody whose token has expired meanwhile", async () => {
    const { client, clock, quota, inputFor, known } = await withoutStore("allow");
    clock.advance(7 * HOUR_MS - 1);
    expect(told(await quota.run(inputFor(known.token)))).toContain(true);
    clock.advance(1);
    expect(await faultOf(quota.run(inputFor(known.token)))).toBe("STORE_UNAVAILABLE");
    await client.close();
  });

  it("deny refuses a token that was never seen as it does every other", async () => {
    const { client, quota, inputFor, known, unknown } = await withoutStore("deny");
    for (const { token } of [known, unknown]) {
      const denied = [false, true, "STORE_UNAVAILABLE"];
      expect(told(await quota.run(inputFor(token)))).toEqual(denied);
      expect(await faultOf(quota.enforce(inputFor(token)))).toBe("STORE_UNAVAILABLE");
    }
    await client.close();
  });

  it("from the start, allow admits no session at all", async () => {
    const path = `${folder.path}/${files++}.db`;
    mkdirSync(path);
    await using client = new Ductape({
      store: `sqlite:${path}`,
      onStoreError: "allow",
      logger: silent,
    });
    const { token } = await issued();
    const input = inputOf({ session: { tag: TARGET.tag, token } });
    expect(await faultOf(client.processor.quota.run(input))).toBe("STORE_UNAVAILABLE");
    const plain = await client.processor.quota.run(inputOf({ subject: "u" }));
    expect(told(plain)).toEqual([true, true, "STORE_UNAVAILABLE"]);
  });
});

/** A genuine token of another store. */
async function issued() {
  await using bench = await sessionBench({ clock: undefined });
  return bench.start(DATA);
}
