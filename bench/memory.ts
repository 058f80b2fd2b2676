import { RateLimiterMemory } from "rate-limiter-flexible";
import type { Ductape } from "ductape";
import { compare, type Contender } from "./measure.js";
import { clientOf } from "./shop.js";

const LIMIT = 1_000_000_000;

const subjects = (count: number): string[] => Array.from({ length: count }, (_, i) => `user-${i}`);

function ours(ductape: Ductape, users: readonly string[], name: string, quotas = 1): Contender {
  const tags = Array.from({ length: quotas }, (_, quota) => `q${quota}`);
  let i = 0;
  return {
    name,
    async run(calls) {
      for (let call = 0; call < calls; call++) {
        i++;
        await ductape.processor.quota.run({
          env: "prd",
          product_tag: "shop",
          quota_tag: tags[i % quotas] ?? "",
          action: "increment",
          amount: 1,
          subject: users[i % users.length],
        });
      }
    },
  };
}

function bound(ductape: Ductape, users: readonly string[], name: string): Contender {
  const quota = ductape.quota({ env: "prd", product_tag: "shop", quota_tag: "q0" });
  let i = 0;
  return {
    name,
    async run(calls) {
      for (let call = 0; call < calls; call++) {
        await quota.increment({ amount: 1, subject: users[i++ % users.length] });
      }
    },
  };
}

function peer(users: readonly string[], name: string): Contender {
  const limiter = new RateLimiterMemory({ points: LIMIT, duration: 86_400 });
  let i = 0;
  return {
    name,
    async run(calls) {
      for (let call = 0; call < calls; call++)
        await limiter.consume(users[i++ % users.length] ?? "", 1);
    },
  };
}

function floor(users: readonly string[], name: string): Contender {
  const counts = new Map<string, { used: number }>();
  for (const user of users) counts.set(user, { used: 0 });
  const bump = async (user: string) => {
    const count = counts.get(user);
    if (count !== undefined) count.used++;
    return count;
  };
  let i = 0;
  return {
    name,
    async run(calls) {
      for (let call = 0; call < calls; call++) await bump(users[i++ % users.length] ?? "");
    },
  };
}

/**
 * `memory:` beside its peer; then how a call grows with counters and quotas; then bytes a counter.
 */
export async function benchMemory(): Promise<string[]> {
  const users = subjects(10_000);
  const ductape = await clientOf("memory:");
  const rows = await compare(
    [
      ours(ductape, users, "ours"),
      bound(ductape, users, "bound"),
      peer(users, "peer"),
      floor(users, "floor"),
    ],
    200_000,
    11,
  );
  const ns = (name: string) => rows.get(name)?.medianNs ?? Number.NaN;
  const beside = (name: string) =>
    `${ns(name).toFixed(0)} ns | ${ns("peer").toFixed(0)} ns | ` +
    `${(ns(name) / ns("peer")).toFixed(2)} x time`;
  return [
    `memory: c=1 | ${beside("ours")} (floor ${ns("floor").toFixed(0)} ns)`,
    `memory: c=1, by a bound quota | ${beside("bound")}`,
    await growthOfCounters(),
    await growthOfQuotas(),
    await bytesPerCounter(),
  ];
}

function growth(rows: Map<string, { medianNs: number }>, few: string, many: string) {
  const ns = (name: string) => rows.get(name)?.medianNs ?? Number.NaN;
  const text = `${ns(few).toFixed(0)} -> ${ns(many).toFixed(0)} ns`;
  return { text, ratio: (ns(many) / ns(few)).toFixed(2) };
}

async function growthOfCounters(): Promise<string> {
  const few = subjects(10);
  const many = subjects(1_000_000);
  const [small, large] = [await clientOf("memory:"), await clientOf("memory:")];
  const contenders = [ours(small, few, "10"), ours(large, many, "1,000,000")];
  contenders.push(peer(few, "peer 10"), peer(many, "peer 1,000,000"));
  contenders.push(floor(few, "map 10"), floor(many, "map 1,000,000"));
  // Every counter exists before the first figure is taken.
  for (const contender of contenders) await contender.run(1_000_000);
  const rows = await compare(contenders, 1_000_000, 5);
  const own = growth(rows, "10", "1,000,000");
  const theirs = growth(rows, "peer 10", "peer 1,000,000");
  const map = growth(rows, "map 10", "map 1,000,000");
  return (
    `memory: 10 -> 1,000,000 counters | ${own.text} | ${theirs.text} | ` +
    `${own.ratio} x (peer ${theirs.ratio} x, a bare Map ${map.ratio} x: ${map.text})`
  );
}

async function growthOfQuotas(): Promise<string> {
  const users = subjects(1);
  const [small, large] = [await clientOf("memory:"), await clientOf("memory:", 10_000)];
  const rows = await compare(
    [ours(small, users, "1"), ours(large, users, "10,000", 10_000)],
    200_000,
    5,
  );
  const { text, ratio } = growth(rows, "1", "10,000");
  return `memory: 1 -> 10,000 quotas | ${text} | | ${ratio} x`;
}

/** In the first window, and in the next, when each counter remembers the one before. */
async function bytesPerCounter(): Promise<string> {
  let nowMs = Date.now();
  const ductape = await clientOf("memory:", 1, () => nowMs);
  globalThis.gc?.();
  const before = process.memoryUsage().heapUsed;
  const first = await heapAfterAll(ductape, before);
  nowMs += 31 * 86_400_000;
  const next = await heapAfterAll(ductape, before);
  await ductape.close();
  return `memory: heap a counter, subject included | ${first}, later ${next} bytes | | <= 300`;
}

async function heapAfterAll(ductape: Ductape, before: number): Promise<string> {
  const count = 1_000_000;
  for (let i = 0; i < count; i++) {
    await ductape.processor.quota.run({
      env: "prd",
      product_tag: "shop",
      quota_tag: "q0",
      action: "increment",
      subject: `user-${i}`,
    });
  }
  globalThis.gc?.();
  return ((process.memoryUsage().heapUsed - before) / count).toFixed(0);
}
