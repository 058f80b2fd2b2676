import { HOLD_TTL_MS_MAX, rememberedMs } from "../decide/hold.js";
import { HOLDS_MAX } from "./heap.js";

/**
 * Open holds in memory by key, at most {@link HOLDS_MAX} of them, the latest ones. Whoever keeps
 * them drops those that someone else may have changed.
 */
export class KeptHolds<T> {
  readonly #holds = new Map<string, T>();

  /** Undefined: not in memory. */
  get(key: string): T | undefined {
    return this.#holds.get(key);
  }

  keep(key: string, hold: T): void {
    this.#holds.set(key, hold);
    if (this.#holds.size <= HOLDS_MAX) return;
    const [oldest] = this.#holds.keys();
    if (oldest !== undefined) this.#holds.delete(oldest);
  }

  drop(key: string): void {
    this.#holds.delete(key);
  }

  clear(): void {
    this.#holds.clear();
  }
}

/** A day's hold expires no later than this after its reserve, as its expiry is rounded up. */
const HOLD_MS_MAX = HOLD_TTL_MS_MAX * (1 + 1 / 60);

/** No hold that is changed at `nowMs` is remembered longer; epoch milliseconds. */
export function holdKeptMsMax(nowMs: number): number {
  return rememberedMs({ settledMs: 0, expiresMs: nowMs + HOLD_MS_MAX });
}
