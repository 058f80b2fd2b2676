import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { BUILT_ENV } from "../built.js";
import { inputOf } from "../support.js";

const SERVED = fileURLToPath(new URL("served.ts", import.meta.url));
const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));

/** What a process answered: a result, or the code of a fault. */
export interface Answer {
  readonly value?: unknown;
  /** Of a fault. */
  readonly code?: string;
}

/** A client in a process of its own. `ask` answers with a result or the code of a fault. */
export function otherProcess(store: string) {
  const stdio = ["pipe", "pipe", "inherit"] as const;
  const args = ["--import", "tsx", SERVED, store];
  const env = { ...process.env, ...BUILT_ENV };
  const child = spawn(process.execPath, args, { cwd: ROOT, env, stdio: [...stdio] });
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) throw new Error("the process has no pipes");
  const waiting = new Map<number, (answer: Answer) => void>();
  createInterface({ input: stdout }).on("line", (line) => {
    const { id, ...answer }: Answer & { id: number } = JSON.parse(line);
    waiting.get(id)?.(answer);
    waiting.delete(id);
  });
  let asked = 0;
  const ask = (path: string, ...given: unknown[]): Promise<Answer> =>
    new Promise((resolve) => {
      waiting.set(asked, resolve);
      stdin.write(`${JSON.stringify({ id: asked++, path, args: given })}\n`);
    });
  const ended = new Promise((resolve) => child.on("close", resolve));
  return {
    ask,
    run: (input: object = {}) => ask("processor.quota.run", { ...inputOf(), ...input }),
    async [Symbol.asyncDispose]() {
      stdin.end();
      expect(await ended).toBe(0);
    },
  };
}

/** Asks again until the answer is as wanted; returns after how many milliseconds. */
export async function untilSeen(ask: () => Promise<Answer>, wanted: (answer: Answer) => boolean) {
  const startMs = performance.now();
  for (;;) {
    const answer = await ask();
    const waitedMs = performance.now() - startMs;
    if (wanted(answer)) return waitedMs;
    if (waitedMs > 5_000) throw new Error(`the last answer was ${JSON.stringify(answer)}`);
    await delay(10);
  }
}

/** The members of a result. */
export const valueOf = ({ value }: Answer): Record<string, unknown> => Object(value);
