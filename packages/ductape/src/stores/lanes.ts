import type { Verdict } from "../apply.js";
import type { Step } from "../plan.js";
import type { CallOptions } from "../store.js";
import { Batching, type BatchingOptions, type Flush } from "./batching.js";

/**
 * Several batches under way at once, such that no counter is in two of them: a plan goes by the
 * quota it is of, or by quota and subject where its rules count by one selector. So the answers
 * that touch one counter arrive in the order in which they were decided. A plan that belongs to
 * several lanes is decided while nothing else is under way.
 */
export class Lanes {
  readonly #lanes: readonly Batching[];
  readonly #alone: Batching;

  /** `count` lanes; `options` bound each of them. */
  constructor(flush: Flush, options: BatchingOptions, count: number) {
    this.#lanes = Array.from({ length: count }, () => new Batching(flush, options));
    this.#alone = new Batching((plans) => this.#flushAlone(flush, plans), options);
  }

  /** As `Batching.submit`. */
  submit(plan: Step, options?: CallOptions): Promise<Verdict> {
    const lane = laneOf(plan, this.#lanes.length);
    return (this.#lanes[lane] ?? this.#alone).submit(plan, options);
  }

  /** Resolves when nothing waits any more and nothing is under way. */
  async drain(): Promise<void> {
    await this.#alone.drain();
    await Promise.all(this.#lanes.map((lane) => lane.drain()));
  }

  async #flushAlone(flush: Flush, plans: readonly Step[]) {
    try {
      await Promise.all(this.#lanes.map((lane) => lane.pause()));
      return await flush(plans);
    } finally {
      for (const lane of this.#lanes) lane.resume();
    }
  }
}

/** In which of `count` lanes a plan goes; -1: in several. */
export function laneOf(plan: Step, count: number): number {
  const lane = laneOfStep(plan, count);
  for (let step = plan.next; step !== null; step = step.next) {
    if (laneOfStep(step, count) !== lane) return -1;
  }
  return lane;
}

function laneOfStep({ legs: { rule, subject } }: Step, count: number): number {
  const home = hashOf(rule.home, 0);
  const hash = rule.isApart ? hashOf(subject, home) : home;
  // The low bits alone would be a mere parity of the characters.
  return (hash ^ (hash >>> 15)) % count;
}

function hashOf(text: string, seed: number): number {
  let hash = seed;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 1;
}
