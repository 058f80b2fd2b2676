import type { Clock } from "../../base/call.js";

/**
 * The server's clock as far as its answers tell, never knowingly ahead of it: each answer bounds
 * what the server's clock says from both sides. Built on a clock that nobody sets, so it does not
 * matter what day this machine thinks it is.
 */
export class EngineClock {
  /** What must be added to the local clock at least; null: nothing was learned yet. */
  #leastOffsetMs: number | null = null;

  /** The server said `engineMs` (epoch) between two readings of {@link localMs}. */
  learn(engineMs: number, sentMs: number, receivedMs: number): void {
    const leastMs = engineMs - receivedMs;
    // The server's milliseconds are cut off.
    const mostMs = engineMs + 1 - sentMs;
    const known = this.#leastOffsetMs;
    // What contradicts the answer is old: a clock was set, or runs at another speed.
    if (known === null || known > mostMs || known < leastMs) this.#leastOffsetMs = leastMs;
  }

  /** Epoch milliseconds on the server; null: unknown yet. */
  estimate(): number | null {
    return this.#leastOffsetMs === null ? null : Math.floor(localMs() + this.#leastOffsetMs);
  }

  /** As a plan needs it: this machine's clock until the server has answered. */
  readonly now: Clock = () => this.estimate() ?? Date.now();
}

/** Milliseconds of a clock that only runs forward. */
export function localMs(): number {
  return performance.now();
}
