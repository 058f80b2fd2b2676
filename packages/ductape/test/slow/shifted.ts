// A test process whose clock is off by some milliseconds. It prints the answers it gets.
import { writeSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import type { Ductape as Client, DuctapeError, QuotaInput, QuotaResult } from "ductape";

const [store = "", shiftMs = "0", answers = "0"] = process.argv.slice(2);
const realNow = Date.now;
const now = (): number => realNow() + Number(shiftMs);
globalThis.Date = new Proxy(Date, {
  construct: (target, args, type) =>
    Reflect.construct(target, args.length > 0 ? args : [now()], type),
  get: (target, name) => (name === "now" ? now : Reflect.get(target, name)),
});

/** The answers that a process got for one quota. */
export interface ToldOfQuota {
  allowed: number;
  denied: number;
  /** Each different window and reset, as texts. */
  readonly windows: string[];
  readonly resets: string[];
}

const BATCH = 1_000;
const { Ductape } = await import("ductape");
const client: Client = new Ductape({ store, timeoutMs: 60_000 });
const inputOf = (quota_tag: string): QuotaInput => {
  return { env: "prd", product_tag: "shop", quota_tag, action: "increment" };
};
const told: Record<string, ToldOfQuota> = {};

function note(quota: string, result: QuotaResult | DuctapeError): void {
  if (!("allowed" in result) || result.degraded)
    throw new Error("a call failed", { cause: result });
  const of = (told[quota] ??= { allowed: 0, denied: 0, windows: [], resets: [] });
  if (result.allowed) of.allowed++;
  else of.denied++;
  const { start, end } = result.window ?? {};
  const [window, resets] = [`${start}/${end}`, String(result.resets_at)];
  if (!of.windows.includes(window)) of.windows.push(window);
  if (!of.resets.includes(resets)) of.resets.push(resets);
}

async function ask(quota: string, count: number): Promise<void> {
  for (let left = count; left > 0; left -= BATCH) {
    const inputs = Array.from({ length: Math.min(BATCH, left) }, () => inputOf(quota));
    const results = await client.processor.quota.runAll(inputs);
    for (const result of results) note(quota, result);
  }
}

// The first call of a client knows no clock but its own.
for (let call = 0; call < 50; call++) {
  await ask("limited", 1);
  await ask("day", 1);
  await delay(2);
}
await ask("year", Number(answers));
await client.close();
writeSync(1, JSON.stringify({ nowMs: Date.now(), newMs: new Date().getTime(), told }));
