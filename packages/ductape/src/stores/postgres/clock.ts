import type { Clock } from "../../base/call.js";

/**
 * Estimates the server's clock from its answers, never knowingly ahead of it: each answer bounds
 * the server's clock from both sides. It is based on a monotonic clock, so this machine's date
 * does not matter.
 */
export class EngineClock {
  /** The least offset to add to the local clock; null: not known yet. */
  #leastOffsetMs: number | null = null;

  /** The server's clock read `engineMs` (epoch) between two readings of {@link localMs}. */
  learn(engineMs: number, sentMs: number, receivedMs: number): void {
    const leastMs = engineMs - receivedMs;
    // The server's milliseconds are truncated.
    const mostMs = engineMs + 1 - sentMs;
    const known = this.#leastOffsetMs;
    // A bound that contradicts the answer is outdated: a clock was set, or runs at another speed.
    if (known === null || known > mostMs || known < leastMs) this.#leastOffsetMs = leastMs;
  }

  /** Epoch milliseconds on the server; null: unknown yet. */
  estimate(): number | null {
    return this.#leastOffsetMs === null ? null : Math.floor(localMs() + this.#leastOffsetMs);
  }

  /** The instant for plans: this machine's clock until the server has answered. */
  readonly now: Clock = () => this.estimate() ?? Date.now();
}

/** Milliseconds of a monotonic clock. */
export function localMs(): number {
  return performance.now();
}
