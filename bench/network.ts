import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { Redis } from "ioredis";
import { Pool } from "pg";
import { RateLimiterPostgres, RateLimiterRedis } from "rate-limiter-flexible";
import { Ductape } from "ductape";
import { median, withCallers } from "./measure.js";
import { clientOf } from "./shop.js";

const USERS = 10_000;
const POINTS = 1e9;
const DURATION_S = 2e6;
const POOL = 16;
/** The processes that count on one hot counter. */
const PROCESSES = 4;
const HOT_MS = 3_000;
const HOT_CALLERS = 100;

/** Counts one of a user. */
export type Count = (user: string) => Promise<unknown>;

/** One way to count on a server, and how to let go of it. */
export interface Counter {
  readonly count: Count;
  close(): Promise<void>;
}

/** The peer on a server: the same driver, the same server. */
export function openPeer(url: string): Promise<Counter> {
  return url.startsWith("redis:") ? openRedisPeer(url) : openPostgresPeer(url);
}

async function openRedisPeer(url: string): Promise<Counter> {
  const storeClient = new Redis(url.replace(/\?.*/, ""));
  const limiter = new RateLimiterRedis({ storeClient, points: POINTS, duration: DURATION_S });
  return {
    count: (user) => limiter.consume(user, 1),
    close: async () => void (await storeClient.quit()),
  };
}

async function openPostgresPeer(url: string): Promise<Counter> {
  const pool = new Pool({ connectionString: url, max: POOL });
  const limiter = await new Promise<RateLimiterPostgres>((resolve, reject) => {
    const options = { storeClient: pool, storeType: "pool", points: POINTS, duration: DURATION_S };
    const made: RateLimiterPostgres = new RateLimiterPostgres(
      { ...options, tableName: "limits", tableCreated: false },
      (error?: Error) => (error ? reject(error) : resolve(made)),
    );
  });
  return { count: (user) => limiter.consume(user, 1), close: () => pool.end() };
}

/** Ours on a server. `isNew`: its quota is defined first. */
export async function openOurs(url: string, isNew = true): Promise<Counter> {
  const ductape = isNew ? await clientOf(url) : new Ductape({ store: url });
  const count = (subject: string) =>
    ductape.processor.quota.run({
      env: "prd",
      product_tag: "shop",
      quota_tag: "q0",
      action: "increment",
      subject,
    });
  return { count, close: () => ductape.close() };
}

interface Round {
  readonly perSecond: number;
  readonly p99Ms: number;
  /** Of this process, for each call. */
  readonly cpuUs: number;
}

interface Width {
  readonly inFlight: number;
  readonly ours: number;
  readonly theirs: number;
}

const ROUNDS = 7;

/** Rows of a store beside the peer, in turn, at each width. */
export async function compareOn(
  name: string,
  oursUrl: string,
  peerUrl: string,
  widths: readonly Width[],
): Promise<string[]> {
  const [ours, peer] = [await openOurs(oursUrl), await openPeer(peerUrl)];
  for (const { count } of [ours, peer]) await withCallers(500, USERS, (i) => count(`user-${i}`));
  const lines: string[] = [];
  for (const { inFlight, ours: ourCalls, theirs } of widths) {
    const [us, them]: [Round[], Round[]] = [[], []];
    for (let round = 0; round <= ROUNDS; round++) {
      us.push(await roundOf(ours.count, inFlight, ourCalls));
      them.push(await roundOf(peer.count, inFlight, theirs));
    }
    lines.push(rowOf(`${name} c=${inFlight}`, middleOf(us), middleOf(them)));
  }
  await Promise.all([ours.close(), peer.close()]);
  return lines;
}

async function roundOf(count: Count, inFlight: number, calls: number): Promise<Round> {
  const tookMs = new Float64Array(calls);
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  await withCallers(inFlight, calls, async (i) => {
    const sinceMs = performance.now();
    await count(`user-${(i * 7919) % USERS}`);
    tookMs[i] = performance.now() - sinceMs;
  });
  const { user, system } = process.cpuUsage(cpu);
  return {
    perSecond: (calls * 1_000) / (performance.now() - startMs),
    p99Ms: tookMs.toSorted()[Math.floor(calls * 0.99)] ?? Number.NaN,
    cpuUs: (user + system) / calls,
  };
}

/** The medians of all rounds but the first, which warms up. */
function middleOf([, ...rounds]: readonly Round[]): Round {
  const middle = (member: keyof Round) => median(rounds.map((round) => round[member]));
  return { perSecond: middle("perSecond"), p99Ms: middle("p99Ms"), cpuUs: middle("cpuUs") };
}

function rowOf(name: string, ours: Round, theirs: Round): string {
  const told = ({ perSecond, p99Ms }: Round) =>
    `${(perSecond / 1e3).toFixed(1)} k/s, p99 ${p99Ms.toFixed(1)} ms`;
  const speed = (ours.perSecond / theirs.perSecond).toFixed(1);
  const cpu = (ours.cpuUs / theirs.cpuUs).toFixed(2);
  return `${name} | ${told(ours)} | ${told(theirs)} | ${speed} x speed, ${cpu} x client CPU`;
}

/** One counter from four processes at once, ours and then the peer's, a second figure for both. */
export async function hotCounter(name: string, oursUrl: string, peerUrl: string): Promise<string> {
  await (await openOurs(oursUrl)).close();
  const [us, them]: [number[], number[]] = [[], []];
  for (let round = 0; round < 3; round++) {
    us.push(await perSecondOfAll("ours", oursUrl));
    them.push(await perSecondOfAll("peer", peerUrl));
  }
  const [ours, theirs] = [median(us), median(them)];
  const told = (perSecond: number) => `${(perSecond / 1e3).toFixed(1)} k/s`;
  const speed = (ours / theirs).toFixed(1);
  return `${name} ${PROCESSES} processes | ${told(ours)} | ${told(theirs)} | ${speed} x speed`;
}

async function perSecondOfAll(whose: string, url: string): Promise<number> {
  const script = fileURLToPath(new URL("hot.ts", import.meta.url));
  const each = Array.from({ length: PROCESSES }, async () => {
    const child = spawn(process.execPath, ["--import", "tsx", script, whose, url], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let text = "";
    child.stdout.on("data", (data: Buffer) => (text += data.toString()));
    await once(child, "close");
    return Number(text);
  });
  return (await Promise.all(each)).reduce((sum, perSecond) => sum + perSecond, 0);
}

/** Calls a second of many callers on one counter. */
export async function hotRate({ count, close }: Counter): Promise<number> {
  await withCallers(HOT_CALLERS, 2_000, () => count("hot"));
  const startMs = performance.now();
  let calls = 0;
  const caller = async (): Promise<void> => {
    while (performance.now() - startMs < HOT_MS) {
      await count("hot");
      calls++;
    }
  };
  await Promise.all(Array.from({ length: HOT_CALLERS }, caller));
  const perSecond = (calls * 1_000) / (performance.now() - startMs);
  await close();
  return perSecond;
}
