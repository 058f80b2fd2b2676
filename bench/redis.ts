import { startRedis } from "../packages/ductape/test/redis.js";
import { compareOn, hotCounter } from "./network.js";

const WIDTHS = [
  { inFlight: 1, ours: 3_000, theirs: 3_000 },
  { inFlight: 10, ours: 6_000, theirs: 6_000 },
  { inFlight: 50, ours: 40_000, theirs: 20_000 },
  { inFlight: 1000, ours: 60_000, theirs: 20_000 },
];

/** `redis:` beside its peer, without persistence; then as durable as it gets. */
export async function benchRedis(): Promise<string[]> {
  const fast = await startRedis();
  const durable = await startRedis({ appendonly: "yes", appendfsync: "always" });
  try {
    const asDurable = `${durable.url}?durability=durable&replicas=0`;
    return [
      ...(await compareOn("redis:", fast.url, fast.url, WIDTHS)),
      await hotCounter("redis: one hot counter,", `${fast.url}?prefix=hot`, fast.url),
      ...(await compareOn("redis: durable (both servers sync)", asDurable, durable.url, WIDTHS)),
    ];
  } finally {
    await fast.remove();
    await durable.remove();
  }
}
