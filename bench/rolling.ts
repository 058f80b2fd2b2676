import { Ductape } from "ductape";
import { startRedis, type RedisServer } from "../packages/ductape/test/redis.js";
import { randomOf } from "../packages/ductape/test/support.js";
import {
  exactRefusals,
  hasLog,
  logTraffics,
  madeTraffics,
  refusals,
  type Traffic,
} from "../packages/ductape/test/traffics.js";
import { compare, type Contender } from "./measure.js";

const SEED = 1;
const HOUR_MS = 3_600_000;
const START_MS = Date.UTC(2026, 4, 15, 12);
/** The instants that a counter of an hour holds: a few, and more than it keeps apart. */
const PACES = { few: HOUR_MS / 10, full: 1_000 } as const;

/**
 * Rolling windows: refusals beside a log of every amount and beside 60 fixed parts of the period;
 * then the time of a call, on `memory:` and inside of Redis, and the heap of a full counter.
 */
export async function benchRolling(): Promise<string[]> {
  const log = hasLog("the refusals on a real access log") ? logTraffics() : [];
  const rows: string[] = [];
  for (const traffic of [...log, ...madeTraffics(randomOf(SEED))]) {
    const [ours, exact] = [await refusals(traffic), exactRefusals(traffic)];
    const parts = partsRefusals(traffic);
    rows.push(
      `rolling: ${traffic.name} | ${ours} of ${traffic.calls.length} refused | ` +
        `${parts} (60 fixed parts) | exact log: ${exact}`,
    );
  }
  return [...rows, ...(await callTimes()), ...(await scriptTimes()), await bytesPerCounter()];
}

/** A usual way: amounts are counted by parts of the period, until the whole part is past. */
function partsRefusals({ limit, periodMs, calls }: Traffic): number {
  const counters = new Map<string, Map<number, number>>();
  let refused = 0;
  for (const { atMs, subject, amount } of calls) {
    const counter = counters.get(subject) ?? new Map<number, number>();
    counters.set(subject, counter);
    const part = Math.floor(atMs / (periodMs / 60));
    let used = 0;
    for (const [each, count] of counter) {
      if (each < part - 60) counter.delete(each);
      else used += count;
    }
    if (used + amount > limit) refused++;
    else counter.set(part, (counter.get(part) ?? 0) + amount);
  }
  return refused;
}

type Window = "calendar" | "rolling";

/** One counter with a window of an hour, whose clock advances by a step before each call. */
async function counterOf(store: string, window: Window, stepMs: number, name: string) {
  let nowMs = START_MS;
  const ductape = new Ductape({ store, clock: () => nowMs });
  await ductape.product.create({ tag: "shop" });
  await ductape.product.environments.create("shop", { slug: "prd" });
  const scope = "$Session{userId}";
  const quota = { tag: "q", limit: 1_000_000_000, period: "hour", window, scope } as const;
  await ductape.product.quotas.create("shop", quota);
  const names = { env: "prd", product_tag: "shop", quota_tag: "q", action: "increment" } as const;
  const contender: Contender = {
    name,
    async run(calls) {
      for (let call = 0; call < calls; call++) {
        nowMs += stepMs;
        await ductape.processor.quota.run({ ...names, subject: "ada" });
      }
    },
  };
  return { ductape, contender };
}

async function callTimes(): Promise<string[]> {
  const counters = [
    await counterOf("memory:", "calendar", PACES.full, "calendar"),
    await counterOf("memory:", "rolling", PACES.few, "few"),
    await counterOf("memory:", "rolling", PACES.full, "full"),
  ];
  const contenders = counters.map(({ contender }) => contender);
  const rows = await compare(contenders, 100_000);
  const ns = (name: string) => (rows.get(name)?.medianNs ?? Number.NaN).toFixed(0);
  const calendar = `${ns("calendar")} ns (calendar window)`;
  return [
    `memory: rolling, 10 entries | ${ns("few")} ns | ${calendar} | `,
    `memory: rolling, 64 entries | ${ns("full")} ns | ${calendar} | `,
  ];
}

async function scriptTimes(): Promise<string[]> {
  const server = await startRedis();
  try {
    const calendar = await scriptUs(server, "calendar", PACES.full);
    const few = await scriptUs(server, "rolling", PACES.few);
    const full = await scriptUs(server, "rolling", PACES.full);
    const beside = `${calendar} us (calendar window)`;
    return [
      `redis: rolling, 10 entries, the script alone | ${few} us | ${beside} | `,
      `redis: rolling, 64 entries, the script alone | ${full} us | ${beside} | `,
    ];
  } finally {
    await server.remove();
  }
}

/** Microseconds of the script for one call, as the server counts them. */
async function scriptUs(server: RedisServer, window: Window, stepMs: number): Promise<string> {
  const store = `${server.url}?prefix=${window}${stepMs}`;
  const { ductape, contender } = await counterOf(store, window, stepMs, window);
  await contender.run(500);
  const admin = server.admin();
  await admin.config("RESETSTAT");
  await contender.run(5_000);
  const stats = await admin.info("commandstats");
  await ductape.close();
  return /cmdstat_evalsha:.*?usec_per_call=([\d.]+)/.exec(stats)?.[1] ?? "?";
}

async function bytesPerCounter(): Promise<string> {
  const count = 5_000;
  let nowMs = START_MS;
  const ductape = new Ductape({ store: "memory:", clock: () => nowMs });
  await ductape.product.create({ tag: "shop" });
  await ductape.product.environments.create("shop", { slug: "prd" });
  const quota = { tag: "q", limit: 1e9, period: "hour", scope: "$Session{userId}" } as const;
  await ductape.product.quotas.create("shop", { ...quota, window: "rolling" });
  globalThis.gc?.();
  const before = process.memoryUsage().heapUsed;
  for (let round = 0; round < 100; round++, nowMs += 30_000) {
    for (let user = 0; user < count; user++) {
      await ductape.processor.quota.run({
        env: "prd",
        product_tag: "shop",
        quota_tag: "q",
        action: "increment",
        subject: `user-${user}`,
      });
    }
  }
  globalThis.gc?.();
  const bytes = (process.memoryUsage().heapUsed - before) / count;
  await ductape.close();
  return `memory: heap a rolling counter of 64 entries | ${bytes.toFixed(0)} bytes | | <= 2048`;
}
