// Traffic for rolling windows, and how much of it an exact log refuses.
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Period } from "ductape";
import { clientWith, inputOf, type randomOf } from "./support.js";

/** 10,000 requests to a public web server; not part of this repository. */
export const LOG = fileURLToPath(
  new URL("../../../../shared/data/access-log.csv", import.meta.url),
);

/** Whether the access log is there; where not, says loudly what is left out. */
export function hasLog(what: string): boolean {
  const isThere = existsSync(LOG);
  if (!isThere) console.warn(`SKIPPED: ${what}, as ${LOG} is absent`);
  return isThere;
}

/** A line of the log: epoch milliseconds, IP address, size of the response. */
export interface LogRow {
  readonly atMs: number;
  readonly client: string;
  readonly bytes: number;
}

/** The log, in order. */
export function readLog(): LogRow[] {
  const lines = readFileSync(LOG, "utf8").trimEnd().split("\n").slice(1);
  return lines.map((line) => {
    const [atMs, client = "", bytes] = line.split(",");
    return { atMs: Number(atMs), client, bytes: Number(bytes) };
  });
}

/** Calls in the order of their instants, and the rolling limit that they meet. */
export interface Traffic {
  readonly name: string;
  readonly limit: number;
  readonly period: Period;
  readonly periodMs: number;
  readonly calls: readonly { atMs: number; subject: string; amount: number }[];
}

const HOUR_MS = 3_600_000;
const HOURLY = { period: "hour", periodMs: HOUR_MS } as const;
const DAILY = { period: "day", periodMs: 24 * HOUR_MS } as const;
const START_MS = Date.UTC(2026, 4, 15, 12);
const HOURS = 48;

/** The access log, by client and of all clients together. */
export function logTraffics(): Traffic[] {
  const rows = readLog();
  const requests = rows.map(({ atMs, client }) => ({ atMs, subject: client, amount: 1 }));
  const bytes = rows.map(({ atMs, client, bytes: amount }) => ({ atMs, subject: client, amount }));
  const together = requests.map((call) => ({ ...call, subject: "all" }));
  return [
    { name: "access log, 60 requests an hour", limit: 60, ...HOURLY, calls: requests },
    { name: "access log, 100 requests an hour", limit: 100, ...HOURLY, calls: requests },
    { name: "access log, 5 MB an hour", limit: 5_000_000, ...HOURLY, calls: bytes },
    { name: "access log, 200 requests a day", limit: 200, ...DAILY, calls: requests },
    { name: "access log, all: 120 requests an hour", limit: 120, ...HOURLY, calls: together },
    { name: "access log, all: 2000 requests a day", limit: 2_000, ...DAILY, calls: together },
  ];
}

/** Jobs that run each hour, bursts at random, and a steady stream. */
export function madeTraffics(random: ReturnType<typeof randomOf>): Traffic[] {
  const every = (limit: number) => ({ limit, ...HOURLY });
  return [
    { name: "60 in the first minute of each hour", ...every(60), calls: hourlyJob(60) },
    { name: "600 in the first minute of each hour", ...every(600), calls: hourlyJob(600) },
    { name: "bursts of 1 to 20, limit 60", ...every(60), calls: bursts(random, 12) },
    { name: "bursts of 1 to 20, limit 1000", ...every(1_000), calls: bursts(random, 90) },
    { name: "1000 an hour at random, limit 1000", ...every(1_000), calls: stream(random, 1_000) },
  ];
}

const callAt = (atMs: number) => ({ atMs, subject: "a", amount: 1 });

function hourlyJob(count: number): Traffic["calls"] {
  const spacingMs = Math.floor(60_000 / count);
  return Array.from({ length: HOURS * count }, (_, i) =>
    callAt(START_MS + Math.floor(i / count) * HOUR_MS + (i % count) * spacingMs),
  );
}

function bursts({ below }: ReturnType<typeof randomOf>, perHour: number): Traffic["calls"] {
  const calls: number[] = [];
  let startMs = START_MS;
  for (let burst = 0; burst < HOURS * perHour; burst++) {
    startMs += below(Math.floor((2 * HOUR_MS) / perHour));
    let atMs = startMs;
    for (let call = below(20); call >= 0; call--, atMs += below(2_000)) calls.push(atMs);
  }
  return calls.sort((a, b) => a - b).map(callAt);
}

function stream({ below }: ReturnType<typeof randomOf>, perHour: number): Traffic["calls"] {
  const stepMs = (2 * HOUR_MS) / perHour;
  let atMs = START_MS;
  return Array.from({ length: HOURS * perHour }, () => callAt((atMs += below(stepMs))));
}

/** How many calls a log of every amount refuses. */
export function exactRefusals({ limit, periodMs, calls }: Traffic): number {
  const logs = new Map<string, { atMs: number; amount: number }[]>();
  let refused = 0;
  for (const { atMs, subject, amount } of calls) {
    const log = (logs.get(subject) ?? []).filter((each) => each.atMs > atMs - periodMs);
    const used = log.reduce((sum, each) => sum + each.amount, 0);
    if (used + amount <= limit) log.push({ atMs, amount });
    else refused++;
    logs.set(subject, log);
  }
  return refused;
}

/** How many calls a rolling quota refuses. */
export async function refusals({ limit, period, calls }: Traffic): Promise<number> {
  let nowMs = START_MS;
  const quota = { tag: "q", limit, period, window: "rolling", scope: "$Session{client}" } as const;
  await using ductape = await clientWith([quota], { store: "memory:", clock: () => nowMs });
  let refused = 0;
  for (const { atMs, subject, amount } of calls) {
    nowMs = atMs;
    const { allowed } = await ductape.processor.quota.run(inputOf({ subject, amount }));
    if (!allowed) refused++;
  }
  return refused;
}
