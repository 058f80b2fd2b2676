import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Ductape, type QuotaDefinition } from "ductape";
import { POSTGRES_BIN, startPostgres } from "../packages/ductape/test/postgres.js";
import { hasRedis, startRedis } from "../packages/ductape/test/redis.js";
import { compare, withCallers, type Contender } from "./measure.js";

const LIMIT = 1_000_000_000;
const OPEN_HOLDS = 100_000;
const USERS = 1_000;
/** The lengths of the open holds, so that their ends differ as much as they can. */
const TTL_MS_MIN = 600_000;
const TTL_MS_MAX = 86_400_000;

const MONTH = { limit: LIMIT, period: "month" } as const;
const OTHERS = [
  { name: "minute", limit: LIMIT, period: "minute" },
  { name: "day", limit: LIMIT, period: "day" },
  { name: "month", limit: LIMIT, period: "month" },
] as const;
const SLOTS = { name: "in-flight", limit: LIMIT, window: "concurrent" } as const;
const BY_USER = { scope: "$Session{userId}" } as const;

const QUOTAS: readonly QuotaDefinition[] = [
  { tag: "users", ...BY_USER, ...MONTH },
  { tag: "none", ...MONTH },
  { tag: "many", ...MONTH },
  { tag: "three", rules: OTHERS },
  { tag: "four", rules: [SLOTS, ...OTHERS] },
];

/** A hold of the counter that has many. */
const MANY = { env: "prd", product_tag: "shop", quota_tag: "many", action: "reserve" } as const;

/** A store with its quotas, and how its calls are made. */
interface Place {
  readonly name: string;
  readonly url: string;
  /** Callers at once, and the calls of one round. */
  readonly inFlight: number;
  readonly calls: number;
  /** Whether one caller alone is measured as well. */
  readonly waits: boolean;
}

/** The calls of one round of one caller that waits for each answer. */
const CALLS_ALONE = 500;

/**
 * Holds: a reserve and its commit beside one increment, a counter with 100,000 open holds beside
 * one without, and a quota with a concurrency rule beside the same quota without it.
 */
export async function benchHolds(): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), "ductape-bench-"));
  const redis = hasRedis("holds on Redis") ? await startRedis() : null;
  const postgres = POSTGRES_BIN === null ? null : await startPostgres();
  try {
    const places: Place[] = [
      { name: "memory:", url: "memory:", inFlight: 1, calls: 10_000, waits: false },
      {
        name: "sqlite:",
        url: `sqlite:${join(folder, "a.db")}`,
        inFlight: 50,
        calls: 5_000,
        waits: true,
      },
    ];
    if (postgres !== null) {
      places.push({
        name: "postgres:",
        url: postgres.freshUrl(),
        inFlight: 50,
        calls: 3_000,
        waits: true,
      });
    }
    if (redis !== null) {
      places.push({ name: "redis:", url: redis.url, inFlight: 50, calls: 5_000, waits: true });
    }
    const rows: string[] = [];
    for (const place of places) rows.push(...(await rowsOf(place)));
    return rows;
  } finally {
    await redis?.remove();
    await postgres?.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function rowsOf(place: Place): Promise<string[]> {
  const ductape = new Ductape({ store: place.url });
  try {
    await ductape.product.create({ tag: "shop" });
    await ductape.product.environments.create("shop", { slug: "prd" });
    for (const quota of QUOTAS) await ductape.product.quotas.create("shop", quota);
    const alone = { ...place, inFlight: 1, calls: CALLS_ALONE };
    return [
      ...(place.waits ? [await settledRow(ductape, alone)] : []),
      await settledRow(ductape, place),
      await manyRow(ductape, place),
      await slotsRow(ductape, place),
    ];
  } finally {
    await ductape.close();
  }
}

/** Nanoseconds of each contender. */
async function timesOf(contenders: readonly Contender[], { calls }: Place): Promise<number[]> {
  const rows = await compare(contenders, calls, 5);
  return contenders.map(({ name }) => rows.get(name)?.medianNs ?? Number.NaN);
}

/** Beside one increment, and beside two that are kept under a key, as holds are under their id. */
async function settledRow(ductape: Ductape, place: Place): Promise<string> {
  const [settled = NaN, counted = NaN, keyed = NaN] = await timesOf(
    [
      settles(ductape, place, "users"),
      increments(ductape, place, "users"),
      increments(ductape, place, "users", true),
    ],
    place,
  );
  const what = `${place.name} reserve + commit, c=${place.inFlight}`;
  const beside = `one increment; with a key ${usOf(keyed)}`;
  return row(what, settled, counted, beside, "<= 2.2");
}

async function manyRow(ductape: Ductape, place: Place): Promise<string> {
  await withCallers(500, OPEN_HOLDS, (i) => {
    const ttl_ms = TTL_MS_MIN + ((i * 7_919) % (TTL_MS_MAX - TTL_MS_MIN));
    return ductape.processor.quota.run({ ...MANY, ttl_ms });
  });
  const [many = NaN, none = NaN] = await timesOf(
    [increments(ductape, place, "many"), increments(ductape, place, "none")],
    place,
  );
  return row(`${place.name} 100,000 open holds on a counter`, many, none, "none", "<= 1.5");
}

async function slotsRow(ductape: Ductape, place: Place): Promise<string> {
  const [four = NaN, three = NaN] = await timesOf(
    [settles(ductape, place, "four"), settles(ductape, place, "three")],
    place,
  );
  return row(`${place.name} a concurrency rule beside three others`, four, three, "three", "");
}

const usOf = (ns: number): string => `${(ns / 1e3).toFixed(2)} us`;

function row(what: string, ours: number, theirs: number, beside: string, target: string): string {
  const ratio = `${(ours / theirs).toFixed(2)} x time${target === "" ? "" : ` (${target})`}`;
  return `${what} | ${usOf(ours)} | ${usOf(theirs)} (${beside}) | ${ratio}`;
}

/** What a call names. Only one quota counts by user. */
function subjectOf(quota: string, i: number): string | undefined {
  return quota === "users" ? `user-${i % USERS}` : undefined;
}

function increments(ductape: Ductape, place: Place, quota_tag: string, isKeyed = false): Contender {
  let next = 0;
  return {
    name: `increments ${quota_tag}${isKeyed ? " by key" : ""}`,
    run: (calls) =>
      withCallers(place.inFlight, calls, () =>
        ductape.processor.quota.run({
          env: "prd",
          product_tag: "shop",
          quota_tag,
          action: "increment",
          subject: subjectOf(quota_tag, next++),
          idempotency_key: isKeyed ? `${place.name} ${place.inFlight} ${next}` : undefined,
        }),
      ),
  };
}

/** One call of this contender is a reserve and its commit. */
function settles(ductape: Ductape, { inFlight }: Place, quota_tag: string): Contender {
  let next = 0;
  return {
    name: `settles ${quota_tag}`,
    run: (calls) =>
      withCallers(inFlight, calls, async () => {
        const subject = subjectOf(quota_tag, next++);
        const { reservation } = await ductape.processor.quota.run({
          env: "prd",
          product_tag: "shop",
          quota_tag,
          action: "reserve",
          subject,
        });
        await ductape.processor.quota.run({
          env: "prd",
          product_tag: "shop",
          quota_tag,
          action: "commit",
          subject,
          reservation: reservation?.id,
        });
      }),
  };
}
