import { show, ValidationError } from "../base/errors.js";
import { closedError, type CallSignal } from "../base/call.js";
import { checkText } from "../base/text.js";
import type { SessionData } from "../define/sample.js";
import type { SubjectInput } from "../define/subject.js";

/** What a handler gets. */
export interface FeatureWork {
  /** In the form of the feature's definition. */
  readonly input: Readonly<Record<string, unknown>>;
  /** The data of the session; null without one. */
  readonly session: SessionData | null;
  /** Who is counted, if there is no session. */
  readonly subject: SubjectInput | null;
  /** The id that its quotas are reserved under; the same for no other run. */
  readonly reservation: string;
  /** The outputs of the features that its sequence ran, by tag. */
  readonly features: Readonly<Record<string, unknown>>;
  /** Aborted when the caller's signal is, and when the client closes, which waits for the work. */
  readonly signal: CallSignal;
}

/**
 * Does the work of a feature. What it returns is `$Result` in expressions; if it throws, nothing is
 * charged and its error reaches the caller.
 */
export type FeatureHandler = (work: FeatureWork) => unknown;

/** The handlers that are registered in this process. */
export class Handlers {
  readonly #byProduct = new Map<string, Map<string, FeatureHandler>>();
  readonly #closing = new AbortController();

  /**
   * Registers the handler of a feature. Returns a function that takes it back. Throws `VALIDATION`
   * if the feature has one already.
   */
  handle(product: string, tag: string, handler: FeatureHandler): () => void {
    const wrong = [
      { path: "product", message: checkText(product) },
      { path: "tag", message: checkText(tag) },
      {
        path: "handler",
        message: typeof handler === "function" ? null : `expects a function, got ${show(handler)}`,
      },
    ].flatMap(({ path, message }) => (message === null ? [] : [{ path, message }]));
    if (wrong.length > 0) throw new ValidationError(wrong);
    const handlers = this.#byProduct.get(product) ?? new Map<string, FeatureHandler>();
    if (handlers.has(tag)) {
      const message = `feature ${show(tag)} has a handler in this process already`;
      throw new ValidationError([{ path: "tag", message }]);
    }
    this.#byProduct.set(product, handlers.set(tag, handler));
    return () => {
      if (handlers.get(tag) === handler) handlers.delete(tag);
    };
  }

  /** Tells every handler that runs, and those that will, to come to an end. */
  abort(): void {
    this.#closing.abort(closedError());
  }

  /** What a handler gets. */
  workOf(given: CallSignal | undefined, known: Omit<FeatureWork, "signal">): FeatureWork {
    return new Work(known, this.#closing.signal, given);
  }

  /** The handler of a feature; undefined if nobody registered one. */
  get(product: string, tag: string): FeatureHandler | undefined {
    return this.#byProduct.get(product)?.get(tag);
  }
}

/** The signal is made when it is read, because many handlers do not. */
class Work implements FeatureWork {
  readonly input: FeatureWork["input"];
  readonly session: FeatureWork["session"];
  readonly subject: FeatureWork["subject"];
  readonly reservation: string;
  readonly features: FeatureWork["features"];
  readonly #closing: AbortSignal;
  readonly #given: CallSignal | undefined;
  #signal: AbortSignal | undefined;

  constructor(
    known: Omit<FeatureWork, "signal">,
    closing: AbortSignal,
    given: CallSignal | undefined,
  ) {
    this.input = known.input;
    this.session = known.session;
    this.subject = known.subject;
    this.reservation = known.reservation;
    this.features = known.features;
    this.#closing = closing;
    this.#given = given;
  }

  get signal(): CallSignal {
    const signals = this.#given === undefined ? [this.#closing] : [this.#closing, this.#given];
    return (this.#signal ??= AbortSignal.any(signals));
  }
}
