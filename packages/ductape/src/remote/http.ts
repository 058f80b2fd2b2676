import { DuctapeError, StoreError } from "../base/errors.js";
import { Gate } from "../base/gate.js";
import type { Call } from "./calls.js";
import { faultOf } from "./faults.js";

/** A server and how to call it. */
interface HttpOptions {
  /** Without a trailing slash. */
  readonly url: string;
  readonly apiKey: string | null;
  /** How often a request that is safe to repeat is tried again. */
  readonly retries: number;
  /** How long a request waits by default, in milliseconds. */
  readonly timeoutMs: number;
}

/** One request. */
interface HttpRequest {
  readonly method: string;
  /** Includes the query. */
  readonly path: string;
  /** JSON text; null: none. */
  readonly body?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
  readonly repeat: Call["repeat"];
  /** When to give up, on the clock of `performance.now()`. Default after `timeoutMs`. */
  readonly deadlineMs?: number;
}

/** A request with every option resolved. */
interface Sent extends HttpRequest {
  /** It changes nothing, so a lost answer leaves nothing in doubt. */
  readonly isSafe: boolean;
  readonly deadlineMs: number;
}

/** Pauses between attempts, in milliseconds: doubled each time, with jitter. */
const [WAIT_MS, WAIT_MS_MAX] = [50, 2_000];
/** Faults of `fetch` that occur before a byte is sent. */
const UNSENT = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "UND_ERR_CONNECT_TIMEOUT",
]);

/**
 * Calls a server over `fetch`, which keeps connections open. A request that counted nothing is
 * tried again until the deadline; one that may have counted, only if that is safe.
 */
export class Http {
  /** What every call passes before it asks. */
  readonly gate = new Gate();
  readonly #options: HttpOptions;

  constructor(options: HttpOptions) {
    this.#options = options;
  }

  /**
   * The JSON of the answer; undefined if it has none. Throws the fault of the server's problem
   * document, and `STORE_UNAVAILABLE`, `TIMEOUT` and `OUTCOME_UNKNOWN`.
   */
  async ask(request: HttpRequest): Promise<unknown> {
    const isSafe = request.repeat === "safe";
    const mayBeLost = request.repeat !== "once";
    const { deadlineMs = performance.now() + this.#options.timeoutMs } = request;
    // The other clock stops while the machine sleeps, and the server drops answers meanwhile.
    const wallDeadlineMs = Date.now() + deadlineMs - performance.now();
    for (let attempt = 0; ; attempt++) {
      const outcome = await this.#askOnce({ ...request, isSafe, deadlineMs });
      if (outcome.fault === null) return outcome.body;
      const waitMs = Math.max(outcome.waitMs, waitOf(attempt));
      const isKept = isSafe || Date.now() + waitMs < wallDeadlineMs;
      const mayRepeat = outcome.isUncounted || (outcome.isUnknown && mayBeLost && isKept);
      const isLast = attempt >= this.#options.retries;
      if (!mayRepeat || isLast || performance.now() + waitMs >= deadlineMs) throw outcome.fault;
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  }

  async #askOnce(request: Sent): Promise<Outcome> {
    const { method, path, body = null, deadlineMs } = request;
    const { url, apiKey } = this.#options;
    const leftMs = Math.ceil(deadlineMs - performance.now());
    if (leftMs <= 0) return failed(uncounted("TIMEOUT", "its time is over"), { isUncounted: true });
    try {
      const response = await fetch(url + path, {
        method,
        body,
        headers: {
          accept: "application/json",
          ...(apiKey === null ? {} : { authorization: `Bearer ${apiKey}` }),
          ...(body === null ? {} : { "content-type": "application/json" }),
          ...request.headers,
        },
        redirect: "error",
        signal: AbortSignal.timeout(leftMs),
      });
      return this.#read(response, await response.text());
    } catch (error) {
      return this.#unanswered(error, request);
    }
  }

  #read(response: Response, text: string): Outcome {
    const body = parsed(text);
    if (response.ok && body !== null) return { fault: null, body: body.value };
    const fault = faultOf(body?.value);
    if (fault === null) {
      const what = `${this.#options.url} answered ${response.status}, but not as a Ductape server`;
      const isUnknown = response.status >= 500 || response.ok;
      return failed(isUnknown ? unknown(what) : uncounted("STORE_UNAVAILABLE", what), {
        isUnknown,
      });
    }
    const { code, retryable } = fault;
    return failed(fault, {
      isUncounted: retryable,
      isUnknown: code === "OUTCOME_UNKNOWN" || code === "INTERNAL",
      waitMs: Number(response.headers.get("retry-after") ?? 0) * 1_000,
    });
  }

  #unanswered(error: unknown, { isSafe }: Sent): Outcome {
    if (!(error instanceof Error)) throw error;
    const { url } = this.#options;
    if (UNSENT.has(causeOf(error))) {
      const message = `the server at ${url} cannot be reached (${causeOf(error)})`;
      return failed(uncounted("STORE_UNAVAILABLE", message, error), { isUncounted: true });
    }
    const isLate = error.name === "TimeoutError";
    const why = isLate ? "did not answer in time" : `broke off (${causeOf(error)})`;
    const message = `the server at ${url} ${why}`;
    const code = isLate ? "TIMEOUT" : "STORE_UNAVAILABLE";
    return failed(isSafe ? uncounted(code, message, error) : unknown(message, error), {
      isUnknown: true,
    });
  }
}

/** The outcome of one attempt. */
type Outcome =
  | { readonly fault: null; readonly body: unknown }
  | {
      readonly fault: DuctapeError;
      /** Nothing was counted. */
      readonly isUncounted: boolean;
      /** It may have counted. */
      readonly isUnknown: boolean;
      /** How long the server asks to wait. */
      readonly waitMs: number;
    };

function failed(
  fault: DuctapeError,
  known: { readonly isUncounted?: boolean; readonly isUnknown?: boolean; readonly waitMs?: number },
): Outcome {
  const { isUncounted = false, isUnknown = false, waitMs = 0 } = known;
  return { fault, isUncounted, isUnknown, waitMs };
}

function parsed(text: string): { readonly value: unknown } | null {
  try {
    return { value: text === "" ? undefined : JSON.parse(text) };
  } catch {
    return null;
  }
}

function uncounted(
  code: "STORE_UNAVAILABLE" | "TIMEOUT",
  message: string,
  cause?: unknown,
): StoreError {
  return new StoreError(code, message, { cause });
}

function unknown(message: string, cause?: unknown): StoreError {
  return new StoreError("OUTCOME_UNKNOWN", `${message}; the call may have counted`, { cause });
}

/** The code of an error's root cause, else its message. */
function causeOf(error: Error): string {
  const { cause } = error;
  if (!(cause instanceof Error)) return error.message;
  const code: unknown = Reflect.get(cause, "code");
  return typeof code === "string" ? code : cause.message;
}

function waitOf(attempt: number): number {
  return Math.min(WAIT_MS_MAX, WAIT_MS * 2 ** attempt) * (0.5 + Math.random() / 2);
}
