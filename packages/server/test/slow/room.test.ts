// Small servers of `memory:`, under more calls than they could keep anything of.
import { describe, expect, it } from "vitest";
import { DuctapeError, RemoteDuctape, type QuotaInput, type RemoteOptions } from "ductape";
import { draws } from "../../../ductape/test/draws.js";
import { inputOf } from "../../../ductape/test/support.js";
import { usedOf } from "../../../ductape/test/slow/processes.js";
import { ROOT_KEY } from "../support.js";
import { ServerProcess } from "./process.js";

const HEAP = "--max-old-space-size=256";
/** Calls made together; `ROUNDS=5000` makes 5,000,000. */
const CALLS = 1_000;
const USERS = 10_000;
const TOLD_EVERY = 500;
/** A small one is soon full; `FULL=1` fills what the store takes by default. */
const IS_SHORT = process.env["FULL"] === undefined;
const STORE = IS_SHORT ? "memory:?max_mb=4" : "memory:";
/** How many rounds come after it is full. */
const ROUNDS_AFTER = IS_SHORT ? 1 : 20;

const SCOPED = { scope: "$Session{userId}", limit: null, period: "lifetime" } as const;
const SESSION = { product: "shop", env: "prd", tag: "user" };

async function open(store: string, options: Omit<RemoteOptions, "onStoreError"> = {}) {
  const server = await ServerProcess.start(store, [HEAP]);
  const client = new RemoteDuctape({ url: server.url, apiKey: ROOT_KEY, ...options });
  await client.product.create({ tag: "shop" });
  await client.product.environments.create("shop", { slug: "prd" });
  await client.product.quotas.create("shop", { tag: "q", ...SCOPED });
  await client.product.quotas.create("shop", { tag: "all", limit: null, period: "lifetime" });
  const rolling = { ...SCOPED, period: "minute", window: "rolling" } as const;
  await client.product.quotas.create("shop", { tag: "rolling", ...rolling });
  const user = { tag: "user", selector: "$Session{userId}", expiry: 7, period: "hours" } as const;
  await client.product.sessions.create("shop", { ...user, schema: { userId: "u" } });
  const close = async () => {
    await client.close();
    await server.kill("SIGTERM");
  };
  return { server, client, [Symbol.asyncDispose]: close };
}

/** Calls a second: keys that live 15 s at more than some 19,000 a second fill 256 MB. */
const RATE_MAX = 10_000;

it("256 MB of heap take any number of increments of a remote client with retries", async () => {
  await using bench = await open("memory:");
  const { server, client } = bench;
  const startMs = performance.now();
  let counted = 0;
  const tell = async () => {
    const { heapMb, rssMb, peakRssMb } = await server.memory();
    const rate = Math.round((counted / (performance.now() - startMs)) * 1_000);
    const memory = `heap ${heapMb} MB, RSS ${rssMb} MB, at most ${peakRssMb} MB`;
    console.warn(`${counted} increments, ${rate}/s, ${memory}`);
  };
  for (const round of draws("ROUNDS", { least: 20, seconds: 15 })) {
    const calls = Array.from({ length: CALLS }, (_, i) => {
      const subject = `user-${(round * CALLS + i) % USERS}`;
      const input = i % 2 === 0 ? { subject } : { quota_tag: "all" };
      return client.processor.quota.run(inputOf(input));
    });
    for (const result of await Promise.all(calls)) if (result.allowed) counted++;
    const aheadMs = (counted / RATE_MAX) * 1_000 - (performance.now() - startMs);
    if (aheadMs > 0) await new Promise((resolve) => setTimeout(resolve, aheadMs));
    if (round % TOLD_EVERY === TOLD_EVERY - 1) await tell();
  }
  await tell();
  expect(await usedOf(client, "all", "anybody")).toBe(counted / 2);
}, 3_600_000);

/** What a hostile caller makes many of, by its number. */
const ATTACKS: Readonly<
  Record<string, (client: RemoteDuctape, number: number) => Promise<unknown>>
> = {
  "short subjects": (client, number) => run(client, { subject: `u${number}` }),
  "subjects of 255 wide characters": (client, number) =>
    run(client, { subject: `${number}`.padStart(255, "\u4e00") }),
  "subjects of a rolling rule": (client, number) =>
    run(client, { quota_tag: "rolling", subject: `u${number}` }),
  "idempotency keys": (client, number) =>
    run(client, { quota_tag: "all", idempotency_key: `key-${number}` }),
  sessions: ({ processor }, number) =>
    processor.sessions.start({ ...SESSION, data: { userId: `u${number}` } }),
};

const run = ({ processor }: RemoteDuctape, input: Partial<QuotaInput>) =>
  processor.quota.run(inputOf(input));

describe(`a server of ${STORE} with 256 MB of heap`, () => {
  it.each(Object.entries(ATTACKS))(
    "outlives a caller who makes %s without end",
    async (name, attack) => {
      await using bench = await open(STORE, { retries: 0, timeoutMs: 60_000 });
      const { server, client } = bench;
      await run(client, { subject: "known" });
      let made = 0;
      let refused = 0;
      let roundsAfter = 0;
      for (let number = 0; roundsAfter < ROUNDS_AFTER; number += CALLS) {
        const calls = Array.from({ length: CALLS }, (_, i) => attack(client, number + i));
        for (const result of await Promise.allSettled(calls)) {
          if (result.status === "fulfilled") made++;
          else if (isFull(result.reason)) refused++;
          else throw result.reason;
        }
        if (refused > 0) roundsAfter++;
      }
      const { heapMb, peakRssMb } = await server.memory();
      console.warn(`${STORE}, ${name}: ${made} made, heap ${heapMb} MB, RSS ${peakRssMb} MB`);
      expect(await run(client, { subject: "known" })).toMatchObject({ used: 2 });
    },
    1_800_000,
  );
});

function isFull(error: unknown): boolean {
  return DuctapeError.is(error) && error.code === "OVERLOADED";
}
