/**
 * One read for all concurrent callers, with a pause between reads, so that a stream of calls does
 * not become a stream of reads.
 */
export class SharedRead {
  readonly #read: () => Promise<void>;
  readonly #pauseMs: number;
  #next: Promise<void> | null = null;
  #startedMs = -Infinity;

  /** `pauseMs` is the time between the starts of two reads. */
  constructor(read: () => Promise<void>, pauseMs: number) {
    this.#read = read;
    this.#pauseMs = pauseMs;
  }

  /** Resolves after a read that started after this call; throws what the read throws. */
  after(): Promise<void> {
    this.#next ??= this.#start();
    return this.#next;
  }

  async #start(): Promise<void> {
    const waitMs = Math.max(0, this.#startedMs + this.#pauseMs - performance.now());
    await new Promise((resolve) => setTimeout(resolve, waitMs));
    // Callers from here on need a later read.
    this.#next = null;
    this.#startedMs = performance.now();
    await this.#read();
  }
}
