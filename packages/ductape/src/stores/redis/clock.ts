import type { Clock } from "../../base/call.js";

/**
 * Estimates a server's clock from its answers: it read the returned instant at some time between
 * the command and its answer. The clock of this process may be a day off.
 */
export class ServerClock {
  /** The server's epoch milliseconds minus `performance.now`; null: not known yet. */
  #offsetMs: number | null = null;

  /** Epoch milliseconds, an integer. */
  readonly now: Clock = () => {
    if (this.#offsetMs === null) return Date.now();
    return Math.floor(performance.now() + this.#offsetMs);
  };

  /** The server answered `nowMs` to a command sent at `sentMs` of `performance.now`. */
  learn(nowMs: number, sentMs: number): void {
    const earliestMs = nowMs - performance.now();
    // Its clock gives whole milliseconds.
    const latestMs = nowMs + 1 - sentMs;
    const known = this.#offsetMs ?? earliestMs;
    this.#offsetMs = Math.min(Math.max(known, earliestMs), latestMs);
  }
}
