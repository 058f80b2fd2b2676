// A test process: users who refresh their sessions until it is killed. Each is told its next tokens
// a moment after they were made, as an answer takes its way; then they are noted.
import { writeSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { Ductape } from "ductape";
import { TARGET } from "../session-bench.js";

const [store = "", held = "[]"] = process.argv.slice(2);
const { sessions } = new Ductape({ store, timeoutMs: 60_000 }).processor;
/** The longest way of an answer, in milliseconds. */
const WAY_MS_MAX = 4;

async function user(i: number, first: string): Promise<never> {
  let refreshToken = first;
  for (;;) {
    const next = await sessions.refresh({ ...TARGET, refreshToken });
    await delay(Math.random() * WAY_MS_MAX);
    ({ refreshToken } = next);
    writeSync(1, `${i} ${refreshToken} ${next.token}\n`);
  }
}

const tokens: string[] = JSON.parse(held);
await Promise.all(tokens.map((token, i) => user(i, token)));
