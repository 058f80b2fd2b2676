import type { Clock } from "../../base/call.js";

/**
 * What a server's clock says, as far as its answers tell: it was at the told instant at some time
 * between the command and its answer. The clock of this process may be a day off.
 */
export class ServerClock {
  /** The server's epoch milliseconds less `performance.now`; null: not heard of yet. */
  #offsetMs: number | null = null;

  /** Epoch milliseconds, an integer. */
  readonly now: Clock = () => {
    if (this.#offsetMs === null) return Date.now();
    return Math.floor(performance.now() + this.#offsetMs);
  };

  /** The server said `nowMs` to what was sent at `sentMs` of `performance.now`. */
  learn(nowMs: number, sentMs: number): void {
    const earliestMs = nowMs - performance.now();
    // Its clock tells whole milliseconds.
    const latestMs = nowMs + 1 - sentMs;
    const known = this.#offsetMs ?? earliestMs;
    this.#offsetMs = Math.min(Math.max(known, earliestMs), latestMs);
  }
}
