import { DuctapeError, type Client } from "ductape";

/** Whether calls can be answered now, and if not why. */
export interface Readiness {
  readonly ready: boolean;
  readonly fault: DuctapeError | null;
}

const PROBE_TIMEOUT_MS = 2_000;
/** How long an answer holds: those who ask cannot load the store. */
const TTL_MS = 500;
/** How often a store that is down is asked again. */
const AGAIN_MS = 1_000;

/** What hears of the store. */
export interface StoreListener {
  /** Called after each look. */
  looked(isUp: boolean): void;
  /** Called when the store is found down, with the fault, and when it is up again, with null. */
  changed(fault: DuctapeError | null): void;
}

/**
 * Asks the store whether it can be read and written, at most twice a second. While it is down, asks
 * every second, so that its return is noticed without a call.
 */
export class Prober {
  readonly #ductape: Pick<Client, "probe">;
  readonly #listener: StoreListener;
  #last: Promise<Readiness> | null = null;
  #isUp = true;
  #isStopped = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(ductape: Pick<Client, "probe">, listener: StoreListener) {
    this.#ductape = ductape;
    this.#listener = listener;
  }

  /** Resolves within 2 s; never rejects. */
  look(): Promise<Readiness> {
    this.#last ??= this.#lookNow();
    return this.#last;
  }

  /** As {@link look}, for whom an answer of just now is too old. */
  lookAgain(): Promise<Readiness> {
    this.#last = null;
    return this.look();
  }

  /** Asks no more of its own accord. */
  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  async #lookNow(): Promise<Readiness> {
    const fault = await this.#ductape.probe({ timeoutMs: PROBE_TIMEOUT_MS }).then(
      () => null,
      (error: unknown) => faultOf(error),
    );
    this.#note(fault);
    setTimeout(() => {
      this.#last = null;
    }, TTL_MS).unref();
    return { ready: fault === null, fault };
  }

  #note(fault: DuctapeError | null): void {
    const isUp = fault === null;
    this.#listener.looked(isUp);
    if (isUp !== this.#isUp) {
      this.#isUp = isUp;
      this.#listener.changed(fault);
    }
    clearTimeout(this.#timer);
    if (isUp || this.#isStopped) return;
    this.#timer = setTimeout(() => void this.lookAgain(), AGAIN_MS).unref();
  }
}

function faultOf(error: unknown): DuctapeError {
  if (DuctapeError.is(error)) return error;
  return new DuctapeError("INTERNAL", "the store failed in a way that is not known");
}
