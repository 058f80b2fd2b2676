import { DuctapeError, type Client } from "ductape";

/** Whether calls can be answered now and, if not, why. */
interface Readiness {
  readonly ready: boolean;
  readonly fault: DuctapeError | null;
}

const PROBE_TIMEOUT_MS = 2_000;
/** How long an answer is reused, so that frequent checks cannot load the store. */
const TTL_MS = 500;
/** How often a store that is down is probed. */
const AGAIN_MS = 1_000;

/** A listener for the state of the store. */
export interface StoreListener {
  /** Called after each probe. */
  looked(isUp: boolean): void;
  /** Called with the fault when the store goes down, and with null when it is up again. */
  changed(fault: DuctapeError | null): void;
}

/**
 * Probes whether the store can be read and written, at most twice a second. While the store is
 * down it probes every second, so that its return is noticed without a call; and once more after
 * that, as the library reports no outage that begins before it has read the definitions again.
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

  /** Like {@link look}, but never reuses an earlier answer. */
  lookAgain(): Promise<Readiness> {
    this.#last = null;
    return this.look();
  }

  /** Stops probing on its own. */
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
    const hasChanged = isUp !== this.#isUp;
    this.#listener.looked(isUp);
    if (hasChanged) {
      this.#isUp = isUp;
      this.#listener.changed(fault);
    }
    clearTimeout(this.#timer);
    if ((isUp && !hasChanged) || this.#isStopped) return;
    this.#timer = setTimeout(() => void this.lookAgain(), AGAIN_MS).unref();
  }
}

function faultOf(error: unknown): DuctapeError {
  if (DuctapeError.is(error)) return error;
  return new DuctapeError("INTERNAL", "the store failed in an unknown way");
}
