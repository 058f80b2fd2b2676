import { setTimeout as delay } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { Ductape, DuctapeError } from "ductape";
import { Proxy } from "../proxy.js";
import { faultOf, inputOf } from "../support.js";
import { Load, type Told } from "../load.js";
import { define } from "./network.js";
import { NETWORKS } from "./networks.js";
import { usedOf } from "./processes.js";
import type { Server } from "./network.js";

/** How long a server hangs; `PAUSE_MS=30000` for the long run. */
const PAUSE_MS = Number(process.env["PAUSE_MS"] ?? 3_000);
const TIMEOUT_MS = 1_000;
/** What a call may take beyond its time, on a machine that does much else. */
const SLACK_MS = 1_000;
const RECOVERY_MS = 1_000;
const quota = { tag: "q", limit: null, period: "lifetime" } as const;
const silent = { warn: () => undefined };

const unhandled: unknown[] = [];
const onUnhandled = (reason: unknown): void => void unhandled.push(reason);
beforeAll(() => void process.on("unhandledRejection", onUnhandled));
afterEach(() => expect(unhandled).toEqual([]));
afterAll(() => void process.off("unhandledRejection", onUnhandled));

const EXPECTED = new Set(["STORE_UNAVAILABLE", "TIMEOUT", "OUTCOME_UNKNOWN", "OVERLOADED"]);

function expectFaultsOf(told: Told): void {
  expect([...told.faults.keys()].filter((code) => !EXPECTED.has(code))).toEqual([]);
  expect(told.longestMs).toBeLessThan(TIMEOUT_MS + SLACK_MS);
}

async function expectCount(client: Ductape, told: Told): Promise<void> {
  const used = await usedOf(client, "q", "u");
  expect(used).toBeGreaterThanOrEqual(told.acknowledged);
  expect(used).toBeLessThanOrEqual(told.acknowledged + told.unknown);
}

/** Milliseconds until a call is admitted. */
async function recovered(client: Ductape): Promise<number> {
  const sinceMs = performance.now();
  for (;;) {
    try {
      await client.processor.quota.run(inputOf({ action: "check" }), { timeoutMs: TIMEOUT_MS });
      return performance.now() - sinceMs;
    } catch (error) {
      if (!DuctapeError.is(error) || performance.now() - sinceMs > 20_000) throw error;
      await delay(5);
    }
  }
}

describe.each(NETWORKS)("$name", (network) => {
  let server: Server;
  let proxy: Proxy;
  let client: Ductape;

  beforeAll(async () => {
    server = await network.start();
    proxy = await Proxy.start(server.port);
  });
  afterAll(async () => {
    await proxy.stop();
    await server.remove();
  });

  /** A client that knows its quota, on a counter at zero. */
  async function connected(port = server.port): Promise<Ductape> {
    const store = network.url(server, port);
    await define(network.url(server, server.port), [quota]);
    client = new Ductape({ store, timeoutMs: TIMEOUT_MS, logger: silent });
    await client.processor.quota.run(inputOf({ action: "check" }));
    return client;
  }

  afterEach(async () => {
    proxy.replies = "pass";
    await client.product.delete("shop", { force: true });
    await client.close();
  });

  it("down at the start: a fault, and no more than a second after it is up again", async () => {
    await define(network.url(server, server.port), [quota]);
    await server.kill();
    const store = network.url(server, server.port);
    client = new Ductape({ store, timeoutMs: TIMEOUT_MS, logger: silent });
    const sinceMs = performance.now();
    const fault = await faultOf(client.processor.quota.run(inputOf()));
    expect(fault.code).toBe("STORE_UNAVAILABLE");
    expect(fault.retryable).toBe(true);
    expect(performance.now() - sinceMs).toBeLessThan(TIMEOUT_MS + SLACK_MS);
    await server.restart();
    expect(await recovered(client)).toBeLessThan(RECOVERY_MS);
    expect(await client.processor.quota.run(inputOf())).toMatchObject({ used: 1 });
  });

  it("killed under load: faults in time, a second after it is back all goes on", async () => {
    await connected();
    const load = new Load(client, { timeoutMs: TIMEOUT_MS });
    for (let kill = 0; kill < 3; kill++) {
      await load.admits(200);
      await server.kill();
      await delay(300);
      await server.restart();
      const readyMs = performance.now();
      await load.admits(1);
      expect(performance.now() - readyMs).toBeLessThan(RECOVERY_MS);
    }
    const told = await load.stop();
    expectFaultsOf(told);
    expect(told.faults.get("STORE_UNAVAILABLE") ?? 0).toBeGreaterThan(0);
    await expectCount(client, told);
  });

  it(`paused for ${PAUSE_MS} ms: calls end in their time, and go on when it does`, async () => {
    await connected();
    const load = new Load(client, { timeoutMs: TIMEOUT_MS });
    await load.admits(100);
    server.pause();
    const before = load.told.acknowledged;
    await delay(PAUSE_MS);
    expect(load.told.acknowledged - before).toBeLessThanOrEqual(40);
    server.resume();
    const resumedMs = performance.now();
    await load.admits(1);
    expect(performance.now() - resumedMs).toBeLessThan(RECOVERY_MS);
    const told = await load.stop();
    expectFaultsOf(told);
    await expectCount(client, told);
  });

  it.each(["cut", "half"] as const)(
    "an answer that is %s: counted once by its key",
    async (how) => {
      await connected(proxy.port);
      const KEYS = 40;
      const before = proxy.cuts;
      for (let key = 0; key < KEYS; key++) {
        const input = inputOf({ idempotency_key: `${how}-${key}` });
        proxy.replies = how;
        const fault = await faultOf(client.processor.quota.run(input));
        expect(["OUTCOME_UNKNOWN", "STORE_UNAVAILABLE"]).toContain(fault.code);
        proxy.replies = "pass";
        await recovered(client);
        expect(await client.processor.quota.run(input)).toMatchObject({ allowed: true });
      }
      expect(proxy.cuts - before).toBeGreaterThanOrEqual(KEYS);
      expect(await usedOf(client, "q", "u")).toBe(KEYS);
    },
  );

  it("an answer that never comes: a fault in time that says what may have counted", async () => {
    await connected(proxy.port);
    proxy.replies = "hold";
    const sinceMs = performance.now();
    const fault = await faultOf(client.processor.quota.run(inputOf()));
    expect(["OUTCOME_UNKNOWN", "STORE_UNAVAILABLE"]).toContain(fault.code);
    expect(performance.now() - sinceMs).toBeLessThan(TIMEOUT_MS + SLACK_MS);
    proxy.replies = "pass";
    expect(await recovered(client)).toBeLessThan(RECOVERY_MS);
    const most = fault.code === "OUTCOME_UNKNOWN" ? 1 : 0;
    expect(await usedOf(client, "q", "u")).toBeLessThanOrEqual(most);
  });

  it("connections that end between calls: none fails, or one that counted nothing", async () => {
    await connected(proxy.port);
    let acknowledged = 0;
    for (let cut = 0; cut < 20; cut++) {
      proxy.cut();
      await delay(20);
      const result = await client.processor.quota
        .run(inputOf())
        .catch((error: unknown) => (DuctapeError.is(error) ? error.code : error));
      if (typeof result === "object") acknowledged++;
      else expect(result).toBe("STORE_UNAVAILABLE");
      await recovered(client);
    }
    expect(await usedOf(client, "q", "u")).toBe(acknowledged);
  });

  it("200 callers get what the limit allows while answers are cut", async () => {
    await connected(proxy.port);
    await client.product.quotas.update("shop", "q", { limit: 2_000 });
    const load = new Load(client, { callers: 200, timeoutMs: TIMEOUT_MS });
    const endMs = performance.now() + 15_000;
    while (load.told.denied === 0 && performance.now() < endMs) {
      await delay(100);
      proxy.replies = "half";
      await delay(5);
      proxy.replies = "pass";
    }
    const told = await load.stop();
    expectFaultsOf(told);
    expect(told.denied).toBeGreaterThan(0);
    expect(told.acknowledged).toBeLessThanOrEqual(2_000);
    expect(told.acknowledged + told.unknown).toBeGreaterThanOrEqual(2_000);
    expect(await usedOf(client, "q", "u")).toBe(2_000);
  });
});
