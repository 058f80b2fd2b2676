import type { Logger } from "../base/logger.js";
import type { Alert, Decision } from "./decision.js";

/** The argument of an alert listener: the alert and the decision that reported it. */
export interface AlertEvent {
  readonly alert: Alert;
  readonly decision: Decision;
}

/** A listener of alerts; no call waits for it. Its errors are logged and never fail the call. */
export type AlertListener = (event: AlertEvent) => unknown;

/** Passes alerts of decisions to listeners. */
export class Events {
  readonly #listeners = new Set<AlertListener>();
  readonly #logger: Logger;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Adds a listener; returns a function that removes it. */
  onAlert(listener: AlertListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Does not wait and cannot fail. Skips a replayed decision, which was reported before. */
  publish(decision: Decision): void {
    if (decision.alerts === undefined || decision.replayed) return;
    for (const alert of decision.alerts) {
      for (const listener of this.#listeners) this.#tell(listener, { alert, decision });
    }
  }

  #tell(listener: AlertListener, event: AlertEvent): void {
    const failed = (error: unknown): void => this.#logger.warn("an alert listener failed", error);
    try {
      const later = listener(event);
      if (later instanceof Promise) later.catch(failed);
    } catch (error) {
      failed(error);
    }
  }
}
