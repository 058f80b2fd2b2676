import type { Logger } from "../base/logger.js";
import type { Alert, Decision } from "./decision.js";

/** What an alert listener gets: the alert and the decision that reported it. */
export interface AlertEvent {
  readonly alert: Alert;
  readonly decision: Decision;
}

/** A listener of alerts; nobody waits for it. Its errors are logged and never fail the call. */
export type AlertListener = (event: AlertEvent) => unknown;

/** Tells listeners what decisions report. */
export class Events {
  readonly #listeners = new Set<AlertListener>();
  readonly #logger: Logger;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Adds a listener; returns how to remove it. */
  onAlert(listener: AlertListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Does not wait and cannot fail. A replayed decision was told before. */
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
