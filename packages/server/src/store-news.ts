import { DuctapeError, ERRORS, type Client, type Logger } from "ductape";
import type { Metrics } from "./metrics.js";
import { Prober, type StoreListener } from "./readiness.js";

type Warn = (message: string, error?: unknown) => void;

/** Tells people when the store goes down and when it is up again: once for each, by one line. */
export class StoreNews implements StoreListener, Logger {
  readonly #metrics: Pick<Metrics, "storeIsUp">;
  readonly #warn: Warn;
  #prober: Prober | null = null;
  #isServing = false;

  constructor(metrics: Pick<Metrics, "storeIsUp">, warn: Warn) {
    this.#metrics = metrics;
    this.#warn = warn;
  }

  /** Asks `ductape` for its store from now on. */
  follow(ductape: Pick<Client, "probe">): Prober {
    return (this.#prober = new Prober(ductape, this));
  }

  /**
   * Resolves when the server may listen. Throws the fault of a store that no waiting mends, such as
   * a file that is no database.
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
    // Else it ends the start, which throws it.
  }

  /** What the library warns of. A fault of the store that is still there is told by `changed`. */
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
  return retryable ? `${news}: start it, or name another one by --store` : news;
}
