import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { RemoteDuctape, type QuotaInput } from "ductape";
import { compare, withCallers, type Contender } from "./measure.js";
import { define, INCREMENT } from "./shop.js";
import { callOver, requestOf } from "./wire.js";

const KEY = `dk_${"bench".repeat(8)}`;
const WIDTH = 50;
const CALLS = 10_000;
const REMOTE_CALLS = 5_000;
/** Inputs of one batch. */
const INPUTS = 100;
const BATCHES = 200;
const INPUT: QuotaInput = { ...INCREMENT, subject: "user-1" };
const MAIN = fileURLToPath(new URL("../packages/server/dist/main.js", import.meta.url));
const BARE = fileURLToPath(new URL("bare.ts", import.meta.url));

interface Started {
  readonly url: string;
  readonly child: ChildProcess;
}

/**
 * The server beside a bare route of Fastify that answers the same JSON, each a process of its own;
 * batches; and the remote client beside one `fetch` a call.
 */
export async function benchHttp(): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), "ductape-bench-"));
  const memory = await serverOn("memory:");
  const sqlite = await serverOn(`sqlite:${join(folder, "a.db")}`);
  const decision = JSON.stringify(await decide(memory.url));
  const bare = await started(["--import", "tsx", BARE, decision]);
  try {
    return [
      ...(await besideBare(memory.url, sqlite.url, bare.url)),
      ...(await batches(memory.url, sqlite.url)),
      await besideFetch(memory.url),
    ];
  } finally {
    for (const { child } of [memory, sqlite, bare]) child.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function besideBare(memory: string, sqlite: string, bare: string): Promise<string[]> {
  const over = (name: string, url: string): Contender => {
    const request = requestOf(url, KEY, "/v1/quota/run", JSON.stringify(INPUT));
    return { name, run: (calls) => callOver(url, request, WIDTH, calls) };
  };
  const contenders = [over("memory", memory), over("sqlite", sqlite), over("bare", bare)];
  const rows = await compare(contenders, CALLS);
  const theirs = perSecondOf(rows, "bare");
  return ["memory", "sqlite"].map((name) => {
    const ours = perSecondOf(rows, name);
    const ratio = (ours / theirs).toFixed(2);
    const figures = `${told(ours)} | ${told(theirs)} (bare Fastify) | ${ratio} x speed`;
    return `HTTP, ${name}: c=${WIDTH} | ${figures}`;
  });
}

async function batches(memory: string, sqlite: string): Promise<string[]> {
  const inputs = Array.from({ length: INPUTS }, (_, i) => ({ ...INPUT, subject: `user-${i}` }));
  const body = JSON.stringify({ inputs });
  const over = (name: string, url: string): Contender => {
    const request = requestOf(url, KEY, "/v1/quota/batch", body);
    return { name, run: (calls) => callOver(url, request, 4, calls) };
  };
  const rows = await compare([over("memory", memory), over("sqlite", sqlite)], BATCHES);
  const [first, second] = ["memory", "sqlite"].map((name) => perSecondOf(rows, name) * INPUTS);
  return [`HTTP, batches of ${INPUTS}: memory, sqlite | ${told(first)}, ${told(second)} | |`];
}

/** The remote client joins the calls of 50 callers into batches; `fetch` sends each alone. */
async function besideFetch(url: string): Promise<string> {
  await using client = new RemoteDuctape({ url, apiKey: KEY });
  const headers = { authorization: `Bearer ${KEY}`, "content-type": "application/json" };
  const body = JSON.stringify(INPUT);
  const alone = async (): Promise<void> => {
    const response = await fetch(`${url}/v1/quota/run`, { method: "POST", headers, body });
    await response.json();
  };
  const run = (): Promise<unknown> => client.processor.quota.run(INPUT);
  const contenders = [
    { name: "remote", run: (calls: number) => withCallers(WIDTH, calls, run) },
    { name: "fetch", run: (calls: number) => withCallers(WIDTH, calls, alone) },
  ];
  const rows = await compare(contenders, REMOTE_CALLS);
  const [ours, theirs] = [perSecondOf(rows, "remote"), perSecondOf(rows, "fetch")];
  const ratio = (ours / theirs).toFixed(1);
  const figures = `${told(ours)} | ${told(theirs)} (fetch) | ${ratio} x speed`;
  return `HTTP, remote client: c=${WIDTH} | ${figures}`;
}

function perSecondOf(rows: Map<string, { medianNs: number }>, name: string): number {
  return 1e9 / (rows.get(name)?.medianNs ?? Number.NaN);
}

const told = (perSecond = Number.NaN): string => `${(perSecond / 1e3).toFixed(1)} k/s`;

async function serverOn(store: string): Promise<Started> {
  const server = await started([
    MAIN,
    "serve",
    "--store",
    store,
    "--port",
    "0",
    "--audit-log",
    "off",
  ]);
  await using ductape = new RemoteDuctape({ url: server.url, apiKey: KEY });
  await define(ductape);
  return server;
}

async function decide(url: string): Promise<unknown> {
  await using ductape = new RemoteDuctape({ url, apiKey: KEY });
  return await ductape.processor.quota.run(INPUT);
}

function started(args: readonly string[]): Promise<Started> {
  const env = { ...process.env, DUCTAPE_ROOT_KEY: KEY };
  const child = spawn(process.execPath, [...args], { env, stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  return new Promise((resolve, reject) => {
    child.stderr.on("data", (data: Buffer) => {
      said += data.toString();
      const url = /listening on (http:\S+)/.exec(said)?.[1];
      if (url !== undefined) resolve({ url, child });
    });
    child.once("exit", () => reject(new Error(said)));
  });
}
