import { DuctapeError, type Client } from "ductape";

/** Whether calls can be answered now, and if not why. */
export interface Readiness {
  readonly ready: boolean;
  readonly fault: DuctapeError | null;
}

const PROBE_TIMEOUT_MS = 2_000;
/** How long an answer holds: those who ask cannot load the store. */
const TTL_MS = 500;

/** Asks the store whether it can be read and written, at most twice a second. */
export class Prober {
  readonly #ductape: Pick<Client, "probe">;
  readonly #told: (isUp: boolean) => void;
  #last: Promise<Readiness> | null = null;

  constructor(ductape: Pick<Client, "probe">, told: (isUp: boolean) => void) {
    this.#ductape = ductape;
    this.#told = told;
  }

  /** Resolves within 2 s; never rejects. */
  look(): Promise<Readiness> {
    this.#last ??= this.#lookNow();
    return this.#last;
  }

  async #lookNow(): Promise<Readiness> {
    const fault = await this.#ductape.probe({ timeoutMs: PROBE_TIMEOUT_MS }).then(
      () => null,
      (error: unknown) => faultOf(error),
    );
    this.#told(fault === null);
    setTimeout(() => {
      this.#last = null;
    }, TTL_MS).unref();
    return { ready: fault === null, fault };
  }
}

function faultOf(error: unknown): DuctapeError {
  if (DuctapeError.is(error)) return error;
  return new DuctapeError("INTERNAL", "the store failed in a way that is not known");
}
