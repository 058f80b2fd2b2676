// Sockets that send a request a byte at a time, beside callers who are in a hurry.
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, expect, it } from "vitest";
import { RemoteDuctape } from "ductape";
import { startWorker } from "../../../ductape/test/slow/processes.js";
import { folder, newStore } from "../command.js";
import { ROOT_KEY } from "../support.js";
import { ServerProcess } from "./process.js";

afterAll(folder.remove);

const SOCKETS = 2_000;
const CALLS_PER_S = 100;
const SECONDS = 25;
const SCRIPT = fileURLToPath(new URL("slow-sockets.ts", import.meta.url));

it(`${SOCKETS} sockets that send slowly hold up nobody, and are ended`, async () => {
  const server = await ServerProcess.start(newStore());
  await using client = new RemoteDuctape({ url: server.url, apiKey: ROOT_KEY });
  await client.product.create({ tag: "shop" });
  await client.product.environments.create("shop", { slug: "prd" });
  await client.product.quotas.create("shop", { tag: "q", limit: null, period: "lifetime" });
  // In a process of its own, so that opening them holds up nobody who measures.
  const sockets = startWorker([String(server.port), String(SOCKETS)], [], SCRIPT);
  await sockets.started;
  const times: number[] = [];
  const input = { env: "prd", product_tag: "shop", quota_tag: "q", subject: "u" };
  const call = async (): Promise<void> => {
    const startMs = performance.now();
    const { allowed } = await client.processor.quota.run({ ...input, action: "increment" });
    expect(allowed).toBe(true);
    times.push(performance.now() - startMs);
  };
  const calls: Promise<void>[] = [];
  const startMs = performance.now();
  for (let i = 0; i < CALLS_PER_S * SECONDS; i++) {
    calls.push(call());
    await delay(Math.max(0, startMs + ((i + 1) * 1_000) / CALLS_PER_S - performance.now()));
  }
  await Promise.all(calls);
  sockets.child.kill("SIGTERM");
  const { text } = await sockets.ended;
  const ended = Number(text.trim().split("\n").at(-1));
  times.sort((a, b) => a - b);
  const [median = 0, p99 = 0] = [0.5, 0.99].map((part) => times[Math.floor(part * times.length)]);
  console.warn(
    `${SOCKETS} slow sockets, ${ended} ended: ${times.length} calls, ` +
      `median ${median.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`,
  );
  expect(times).toHaveLength(CALLS_PER_S * SECONDS);
  // Each is ended within its 10 s and comes again.
  expect(ended).toBeGreaterThan(SOCKETS);
  // What is aimed for is 50 ms; a machine under the load of other tests may take longer.
  expect(p99).toBeLessThan(1_000);
  await server.kill("SIGTERM");
}, 300_000);
