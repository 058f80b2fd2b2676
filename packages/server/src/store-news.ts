import { DuctapeError, ERRORS, type Client, type Logger } from "ductape";
import type { Metrics } from "./metrics.js";
import { Prober, type StoreListener } from "./readiness.js";

type Warn = (message: string, error?: unknown) => void;

/** Prints one line when the store goes down and one when it is up again. */
export class StoreNews implements StoreListener, Logger {
  readonly #metrics: Pick<Metrics, "storeIsUp">;
  readonly #warn: Warn;
  #prober: Prober | null = null;
  #isServing = false;

  constructor(metrics: Pick<Metrics, "storeIsUp">, warn: Warn) {
    this.#metrics = metrics;
    this.#warn = warn;
  }

  /** Probes the store of `ductape` from now on. */
  follow(ductape: Pick<Client, "probe">): Prober {
    return (this.#prober = new Prober(ductape, this));
  }

  /**
   * Resolves when the server may listen. Throws a fault of the store that does not pass with time,
   * such as a file that is not a database.
   */
  async begin(): Promise<void> {
    const { fault } = (await this.#prober?.look()) ?? { fault: null };
    if (fault !== null && !fault.retryable) throw fault;
    this.#isServing = true;
  }

  looked(isUp: boolean): void {
    this.#metrics.storeIsUp(isUp);
  }

  changed(fault: DuctapeError | null): void {
    if (fault === null) this.#warn("the store can be used again");
    else if (fault.retryable || this.#isServing) this.#warn(newsOf(fault));
    // Otherwise the fault ends the start, which throws it.
  }

  /**
   * Receives warnings of the library. A lasting fault of the store is reported by `changed`
   * instead.
   */
  warn(message: string, error?: unknown): void {
    void this.#warnUnlessDown(message, error);
  }

  async #warnUnlessDown(message: string, error: unknown): Promise<void> {
    const isOfStore = DuctapeError.is(error) && ERRORS[error.code].httpStatus === 503;
    if (isOfStore && (await this.#prober?.lookAgain())?.ready === false) return;
    this.#warn(message, error);
  }
}

function newsOf({ message, retryable }: DuctapeError): string {
  const news = `the store cannot be used: ${message}; trying again every second`;
  return retryable ? `${news}: start it, or name another one with --store` : news;
}
