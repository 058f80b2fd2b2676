import { closedError, within, type CallOptions } from "./call.js";

/**
 * Every call of a client passes it: it counts the calls in progress and refuses new ones once it
 * is closed.
 */
export class Gate {
  #isClosed = false;
  #count = 0;
  #waiting: (() => void)[] = [];

  /**
   * Opens what the call needs, waiting as long as the call may; null if everything is open. Throws
   * `STORE_UNAVAILABLE` once closed.
   */
  open(_call?: CallOptions): Promise<void> | null {
    if (this.#isClosed) throw closedError();
    return null;
  }

  /**
   * Does the work of a call once everything is open. Throws what {@link open} and the work throw.
   */
  async pass<T>(work: () => Promise<T>, call?: CallOptions): Promise<T> {
    const opening = this.open(call);
    this.begin();
    try {
      if (opening !== null) await opening;
      return await work();
    } finally {
      this.end();
    }
  }

  /** Counts a call in progress until it settles. Returns the same promise. */
  track<T>(call: Promise<T>): Promise<T> {
    this.begin();
    const end = (): void => this.end();
    call.then(end, end);
    return call;
  }

  /** Counts one more call; {@link end} must follow. */
  begin(): void {
    this.#count++;
  }

  /** One call is over. */
  end(): void {
    this.#count--;
    if (this.#count === 0) for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** Refuses calls from now on. Resolves when those in progress are over. */
  async close(): Promise<void> {
    this.#isClosed = true;
    while (this.#count > 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
}

/** The gate of a store, which opens at the first call, and again after it was lost. */
export class StoreGate extends Gate {
  readonly #store: { readonly isOpen: boolean };
  readonly #opener: () => Promise<void>;
  #isReady = false;
  #opening: Promise<void> | null = null;

  /** `openStore` opens the store and reads what every call needs. */
  constructor(store: { readonly isOpen: boolean }, openStore: () => Promise<void>) {
    super();
    this.#store = store;
    this.#opener = openStore;
  }

  override open(call?: CallOptions): Promise<void> | null {
    super.open();
    return this.openStore(call);
  }

  /** As {@link open}, for a part of a call in progress: also once the gate is closed. */
  openStore(call?: CallOptions): Promise<void> | null {
    if (this.#isReady && this.#store.isOpen) return null;
    // A failure reaches all waiting calls, and the next call tries again.
    this.#opening ??= this.track(this.#openNow()).finally(() => {
      this.#opening = null;
    });
    return call === undefined ? this.#opening : within(this.#opening, call);
  }

  async #openNow(): Promise<void> {
    this.#isReady = false;
    await this.#opener();
    this.#isReady = true;
  }
}

/**
 * The gate of decisions that are parts of a longer call: they go on while the client closes, which
 * waits for that call.
 */
export class InnerGate extends Gate {
  readonly #outer: StoreGate;

  constructor(outer: StoreGate) {
    super();
    this.#outer = outer;
  }

  override open(call?: CallOptions): Promise<void> | null {
    return this.#outer.openStore(call);
  }
}
