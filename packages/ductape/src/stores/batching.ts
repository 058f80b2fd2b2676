import type { Verdict } from "../apply.js";
import { StoreError } from "../errors.js";
import type { Step } from "../plan.js";
import type { CallOptions } from "../store.js";

/** Bounds of a {@link Batching}. */
export interface BatchingOptions {
  /** Most plans decided and committed as one. */
  readonly batchPlansMax: number;
  /** Most plans waiting; one more is `OVERLOADED`. */
  readonly queuePlansMax: number;
  /** How long a plan waits to be sent unless the call says otherwise, in milliseconds. */
  readonly timeoutMs: number;
}

/**
 * Decides a batch and makes it durable, or returns null where the engine is busy and nothing was
 * done.
 */
export type Flush = (plans: readonly Step[]) => readonly Verdict[] | null;

interface Waiting {
  readonly plan: Step;
  readonly resolve: (verdict: Verdict) => void;
  readonly reject: (error: unknown) => void;
  readonly signal: AbortSignal | undefined;
  readonly deadlineMs: number;
  readonly timeoutMs: number;
}

const RETRY_MS_MAX = 8;

/**
 * Group commit: plans that arrive in one turn of the event loop, or while the engine is busy, are
 * one batch, in the order they came. A plan is given up only before it is sent: `TIMEOUT` after its
 * time, `ABORTED` by its signal, `OVERLOADED` where too many wait.
 */
export class Batching {
  readonly #flush: Flush;
  readonly #options: BatchingOptions;
  #queue: Waiting[] = [];
  #isScheduled = false;
  #drained: (() => void)[] = [];

  constructor(flush: Flush, options: BatchingOptions) {
    this.#flush = flush;
    this.#options = options;
  }

  /** Resolves when the plan is decided and as durable as the engine promises. */
  submit(plan: Step, options?: CallOptions): Promise<Verdict> {
    const signal = options?.signal;
    if (signal?.aborted === true) return Promise.reject(abortedError(signal.reason));
    if (this.#queue.length >= this.#options.queuePlansMax)
      return Promise.reject(overloaded(this.#options));
    const timeoutMs = options?.timeoutMs ?? this.#options.timeoutMs;
    return new Promise((resolve, reject) => {
      const deadlineMs = performance.now() + timeoutMs;
      this.#queue.push({ plan, resolve, reject, signal, deadlineMs, timeoutMs });
      // setImmediate, not a microtask: the whole turn joins the batch, and I/O is never starved.
      if (!this.#isScheduled) setImmediate(this.#run);
      this.#isScheduled = true;
    });
  }

  /** Resolves when nothing waits any more. */
  drain(): Promise<void> {
    if (this.#queue.length === 0 && !this.#isScheduled) return Promise.resolve();
    return new Promise((resolve) => this.#drained.push(resolve));
  }

  readonly #run = (): void => {
    this.#giveUp();
    const batch = this.#queue.slice(0, this.#options.batchPlansMax);
    let verdicts: readonly Verdict[] | null = [];
    let fault: unknown = null;
    try {
      if (batch.length > 0) verdicts = this.#flush(batch.map(({ plan }) => plan));
    } catch (error) {
      fault = error;
    }
    if (verdicts === null) {
      setTimeout(this.#run, 1 + Math.random() * RETRY_MS_MAX);
      return;
    }
    this.#queue = this.#queue.slice(batch.length);
    this.#isScheduled = this.#queue.length > 0;
    if (this.#isScheduled) setImmediate(this.#run);
    for (let i = 0; i < batch.length; i++) settle(batch[i], verdicts[i], fault);
    if (!this.#isScheduled) this.#tellDrained();
  };

  /** Plans whose time is over before they are sent must not count later, when nobody listens. */
  #giveUp(): void {
    const nowMs = performance.now();
    const isOver = ({ signal, deadlineMs }: Waiting): boolean =>
      deadlineMs <= nowMs || signal?.aborted === true;
    if (!this.#queue.some(isOver)) return;
    const over = this.#queue.filter(isOver);
    this.#queue = this.#queue.filter((waiting) => !isOver(waiting));
    for (const { reject, signal, timeoutMs } of over) {
      reject(signal?.aborted === true ? abortedError(signal.reason) : timedOut(timeoutMs));
    }
  }

  #tellDrained(): void {
    for (const resolve of this.#drained.splice(0)) resolve();
  }
}

/** The error of a call given up by its signal before anything was done. */
export function abortedError(reason: unknown): StoreError {
  return new StoreError("ABORTED", "the call was aborted before it was sent; nothing is changed", {
    cause: reason,
  });
}

/** The error of a call whose time was over before anything was done. */
export function timedOut(timeoutMs: number): StoreError {
  const message = `the store was busy for ${timeoutMs} ms, as where another process holds its lock`;
  return new StoreError("TIMEOUT", `${message}; nothing is changed`);
}

function settle(waiting: Waiting | undefined, verdict: Verdict | undefined, fault: unknown): void {
  if (waiting === undefined) return;
  if (verdict !== undefined && fault === null) waiting.resolve(verdict);
  else waiting.reject(fault ?? new Error("the engine gave fewer answers than plans"));
}

function overloaded({ queuePlansMax }: BatchingOptions): StoreError {
  const message = `${queuePlansMax} calls are waiting for the store already; try again later`;
  return new StoreError("OVERLOADED", message);
}
