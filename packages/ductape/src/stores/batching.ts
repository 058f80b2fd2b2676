import { abortedError, timedOut, unanswered } from "../base/call.js";
import type { Outcome } from "../decide/outcome.js";
import { StoreError } from "../base/errors.js";
import type { Plan } from "../decide/plan.js";
import type { CallOptions } from "../base/call.js";

/** Bounds of a {@link Batching}. */
export interface BatchingOptions {
  /** The most plans decided and committed together. */
  readonly batchPlansMax: number;
  /** The most plans waiting; one more is `OVERLOADED`. */
  readonly queuePlansMax: number;
  /** How long a plan waits to be sent by default, in milliseconds. */
  readonly timeoutMs: number;
  /** The most batches in progress at once, if the engine answers later. Default 1. */
  readonly inFlightMax?: number;
}

/**
 * The outcomes of the plans of a batch; null, for one plan or for all: the engine was busy and did
 * nothing.
 */
export type Answers<A = Outcome> = readonly (A | Error | null)[] | null;

/** Decides a batch and makes it durable. */
export type Flush<P = Plan, A = Outcome> = (
  plans: readonly P[],
) => Answers<A> | Promise<Answers<A>>;

interface Waiting<P, A> {
  readonly plan: P;
  readonly resolve: (answer: A) => void;
  readonly reject: (error: unknown) => void;
  readonly signal: AbortSignal | undefined;
  readonly deadlineMs: number;
  readonly timeoutMs: number;
  isGivenUp: boolean;
}

type Batch<P, A> = readonly Waiting<P, A>[];

const RETRY_MS_MAX = 8;
/** How late a call may time out while the engine works, in milliseconds. */
const LOOK_MS = 20;
/** A smaller wave than this is not split over free flights. */
const SPLIT_PLANS_MIN = 16;

/**
 * Group commit: plans that arrive in one turn of the event loop, or while the engine is busy, form
 * one batch, in order of arrival. A waiting plan ends after its timeout (`TIMEOUT`), by its signal
 * (`ABORTED`) or if too many wait (`OVERLOADED`); one that was sent but not answered in time is
 * `OUTCOME_UNKNOWN`.
 */
export class Batching<P = Plan, A = Outcome> {
  readonly #flush: Flush<P, A>;
  readonly #options: BatchingOptions;
  readonly #inFlightMax: number;
  readonly #inFlight = new Set<Batch<P, A>>();
  #queue: Waiting<P, A>[] = [];
  #isScheduled = false;
  #looking: NodeJS.Timeout | undefined;
  #drained: (() => void)[] = [];

  constructor(flush: Flush<P, A>, options: BatchingOptions) {
    this.#flush = flush;
    this.#options = options;
    this.#inFlightMax = options.inFlightMax ?? 1;
  }

  /** Resolves when the plan is decided and as durable as the engine promises. */
  submit(plan: P, options?: CallOptions): Promise<A> {
    const signal = options?.signal;
    if (signal?.aborted === true) return Promise.reject(abortedError(signal.reason));
    if (this.#queue.length >= this.#options.queuePlansMax)
      return Promise.reject(overloaded(this.#options));
    const timeoutMs = options?.timeoutMs ?? this.#options.timeoutMs;
    return new Promise((resolve, reject) => {
      const deadlineMs = performance.now() + timeoutMs;
      const isGivenUp = false;
      this.#queue.push({ plan, resolve, reject, signal, deadlineMs, timeoutMs, isGivenUp });
      if (this.#inFlight.size < this.#inFlightMax) this.#schedule();
    });
  }

  /** Resolves when no plan is waiting or in progress. */
  drain(): Promise<void> {
    if (this.#isIdle()) return Promise.resolve();
    return new Promise((resolve) => this.#drained.push(resolve));
  }

  /** setImmediate, not a microtask: the whole turn joins the batch, and I/O is never starved. */
  #schedule(): void {
    if (!this.#isScheduled) setImmediate(this.#run);
    this.#isScheduled = true;
  }

  readonly #run = (): void => {
    this.#isScheduled = false;
    this.#giveUp();
    while (!this.#isScheduled && this.#queue.length > 0) {
      const free = this.#inFlightMax - this.#inFlight.size;
      if (free === 0) break;
      this.#send(this.#take(free));
    }
    this.#tellDrained();
  };

  /** The next batch; a wave is split over all batches that may be in progress. */
  #take(free: number): Batch<P, A> {
    const flights = Math.min(free, Math.floor(this.#queue.length / SPLIT_PLANS_MIN));
    const share = Math.ceil(this.#queue.length / Math.max(1, flights));
    const count = Math.min(share, this.#options.batchPlansMax);
    const batch = this.#queue.slice(0, count);
    this.#queue = this.#queue.slice(count);
    return batch;
  }

  #send(batch: Batch<P, A>): void {
    try {
      const answers = this.#flush(batch.map(({ plan }) => plan));
      if (answers instanceof Promise) this.#await(batch, answers);
      else {
        // One batch in each turn, because the engine has blocked the event loop.
        if (answers !== null && this.#queue.length > 0) this.#schedule();
        this.#end(batch, answers, null);
      }
    } catch (error) {
      if (this.#queue.length > 0) this.#schedule();
      this.#end(batch, [], error);
    }
  }

  #await(batch: Batch<P, A>, answers: Promise<Answers<A>>): void {
    this.#inFlight.add(batch);
    this.#look();
    answers.then(
      (later) => this.#land(batch, later, null),
      (error: unknown) => this.#land(batch, [], error),
    );
  }

  #land(batch: Batch<P, A>, answers: Answers<A>, fault: unknown): void {
    this.#inFlight.delete(batch);
    this.#end(batch, answers, fault);
    if (this.#queue.length > 0) this.#schedule();
    else this.#tellDrained();
  }

  #end(batch: Batch<P, A>, answers: Answers<A>, fault: unknown): void {
    const again: Waiting<P, A>[] = [];
    let i = 0;
    for (const waiting of batch) {
      const answer = answers === null ? null : answers[i++];
      if (answer !== null) settle(waiting, answer, fault);
      else if (!waiting.isGivenUp) again.push(waiting);
    }
    if (answers !== null && again.length === 0) return;
    this.#queue = again.concat(this.#queue);
    this.#isScheduled = true;
    setTimeout(this.#run, 1 + Math.random() * RETRY_MS_MAX);
  }

  /** Plans that time out before they are sent must not count later, when nobody listens. */
  #giveUp(): void {
    const nowMs = performance.now();
    const isOver = ({ signal, deadlineMs }: Waiting<P, A>): boolean =>
      deadlineMs <= nowMs || signal?.aborted === true;
    if (this.#queue.some(isOver)) {
      const over = this.#queue.filter(isOver);
      this.#queue = this.#queue.filter((waiting) => !isOver(waiting));
      for (const { reject, signal, timeoutMs } of over) {
        reject(signal?.aborted === true ? abortedError(signal.reason) : timedOut(timeoutMs));
      }
    }
    for (const batch of this.#inFlight) {
      for (const waiting of batch) {
        if (waiting.isGivenUp || waiting.deadlineMs > nowMs) continue;
        waiting.isGivenUp = true;
        waiting.reject(unanswered(waiting.timeoutMs));
      }
    }
  }

  /** Checks for timed-out calls while the engine works. */
  #look(): void {
    if (this.#looking !== undefined) return;
    this.#looking = setTimeout(() => {
      this.#looking = undefined;
      this.#giveUp();
      if (this.#inFlight.size > 0 || this.#queue.length > 0) this.#look();
      else this.#tellDrained();
    }, LOOK_MS);
  }

  #isIdle(): boolean {
    return this.#queue.length === 0 && this.#inFlight.size === 0 && !this.#isScheduled;
  }

  #tellDrained(): void {
    if (!this.#isIdle()) return;
    for (const resolve of this.#drained.splice(0)) resolve();
  }
}

function settle<P, A>(waiting: Waiting<P, A>, answer: A | Error | undefined, fault: unknown): void {
  if (answer === undefined || answer instanceof Error || fault !== null) {
    waiting.reject(fault ?? answer ?? new Error("the engine gave fewer answers than plans"));
  } else waiting.resolve(answer);
}

function overloaded({ queuePlansMax }: BatchingOptions): StoreError {
  const message = `${queuePlansMax} calls are already waiting for the store; try again later`;
  return new StoreError("OVERLOADED", message);
}
