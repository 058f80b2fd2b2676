import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, openSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Client, QuotaDefinition } from "ductape";
import { BUILT_ENV } from "../built.js";
import { clientWith, temporaryFolder } from "../support.js";

const WORKER = fileURLToPath(new URL("worker.ts", import.meta.url));
const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));

/** A running worker and what it has written. */
export interface Worker {
  readonly child: ChildProcess;
  /** Resolves with all it wrote, when it has ended in whatever way. */
  readonly ended: Promise<{ text: string; errors: string; code: number | null }>;
  /** Resolves when it has written something, or ended. */
  readonly started: Promise<void>;
}

/**
 * Starts a worker, behind the command `before` where one is given. It writes to a file, which keeps
 * every byte of a killed process. `script` is what it runs.
 */
export function startWorker(
  args: readonly string[],
  before: readonly string[] = [],
  script = WORKER,
): Worker {
  const [command = "", ...rest] = [...before, process.execPath, "--import", "tsx", script, ...args];
  const folder = temporaryFolder();
  const file = join(folder.path, "told");
  const out = openSync(file, "w");
  const child = spawn(command, rest, {
    cwd: ROOT,
    env: { ...process.env, ...BUILT_ENV },
    stdio: ["ignore", out, "pipe"],
  });
  closeSync(out);
  let errors = "";
  const state = { hasEnded: false };
  child.stderr?.on("data", (data: Buffer) => (errors += data.toString()));
  const ended = new Promise<{ text: string; errors: string; code: number | null }>((resolve) => {
    child.on("close", (code) => {
      state.hasEnded = true;
      resolve({ text: readFileSync(file, "utf8"), errors, code });
      folder.remove();
    });
  });
  const started = (async () => {
    while (!state.hasEnded && statSync(file).size === 0) await delay(5);
  })();
  return { child, ended, started };
}

/** Makes the file of a test with its quotas, and closes it. */
export async function prepareStore(
  store: string,
  quotas: readonly QuotaDefinition[],
): Promise<void> {
  const ductape = await clientWith(quotas, { store });
  await ductape.close();
}

/** What the counter of `subject` says, read by a process that has not seen it before. */
export async function usedOf(ductape: Client, quota_tag: string, subject: string) {
  const result = await ductape.processor.quota.run({
    env: "prd",
    product_tag: "shop",
    quota_tag,
    action: "check",
    amount: 0,
    subject,
  });
  return result.used;
}

/** How many answers a worker's text acknowledges. */
export function acknowledged(text: string): number {
  return [...text.replaceAll(/<[^>]*>/g, "")].filter((letter) => letter === "a").length;
}
