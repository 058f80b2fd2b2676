import type { Clock } from "../base/call.js";
import { DuctapeError, NotFoundError, show } from "../base/errors.js";
import { OutgoingError, type Outgoing } from "../base/outgoing.js";
import type { HandlerPlace } from "../define/feature.js";
import type { FeatureTarget } from "./answer.js";
import type { FeatureHandler } from "./handlers.js";
import { signatureHeaders } from "./signature.js";

/** What {@link HttpHandlers} depends on. */
interface HttpHandlersParts {
  readonly outgoing: Outgoing;
  /** Empty: no handler is called over HTTP. */
  readonly secrets: readonly Buffer[];
  readonly clock: Clock;
}

/** The most bytes of an answer. */
const ANSWER_BYTES_MAX = 1_048_576;

/** Calls the handlers of features at URLs, with signed requests. */
export class HttpHandlers {
  readonly #parts: HttpHandlersParts;

  constructor(parts: HttpHandlersParts) {
    this.#parts = parts;
  }

  /**
   * The handler at a URL. It throws `HANDLER_FAILED` unless the answer is 2xx with JSON or nothing,
   * and shows nothing of any other. Throws `HANDLER_NOT_FOUND` without a secret to sign with.
   */
  handlerAt(
    { url, timeout_ms }: HandlerPlace,
    { product_tag, env, feature_tag }: FeatureTarget,
  ): FeatureHandler {
    const { outgoing, secrets, clock } = this.#parts;
    const what = `feature_tag: the handler of feature ${show(feature_tag)}`;
    if (secrets.length === 0) {
      const why = "DUCTAPE_HANDLER_SECRET is not set, which signs the requests to it";
      throw new NotFoundError("HANDLER_NOT_FOUND", `${what} cannot be called: ${why}`);
    }
    return async (work) => {
      const { signal } = work;
      const body = JSON.stringify({ product_tag, env, feature_tag, ...work });
      const headers = {
        "content-type": "application/json",
        ...signatureHeaders(secrets, work.reservation, clock(), body),
      };
      const request = { url, method: "POST", headers, body, timeoutMs: timeout_ms } as const;
      const { status, text } = await outgoing
        .send({ ...request, bytesMax: ANSWER_BYTES_MAX, signal })
        .catch((error: unknown) => {
          if (!(error instanceof OutgoingError)) throw error;
          throw failed(`${what} did not answer: ${error.message}`, error);
        });
      if (status < 200 || status > 299) throw failed(`${what} answered ${status}`);
      return text === "" ? undefined : jsonIn(text, what);
    };
  }
}

function jsonIn(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw failed(`${what} answered what is no JSON`);
  }
}

function failed(message: string, cause?: unknown): DuctapeError {
  return new DuctapeError("HANDLER_FAILED", message, { cause });
}
