import { DuctapeError, show, StoreError, ValidationError } from "./errors.js";
import { isLeftOut, isRecord } from "./json.js";
import { checkTimeout, invalid } from "./settings.js";

/** A clock: epoch milliseconds, an integer. */
export type Clock = () => number;

/**
 * The runtime's `AbortSignal`, as typed by Node or the DOM; if neither is loaded, the members that
 * every such signal has.
 */
export type CallSignal = typeof globalThis extends {
  readonly AbortSignal: { readonly prototype: infer Signal };
}
  ? Signal
  : { readonly aborted: boolean; readonly reason: unknown };

/** Options of one call. */
export interface CallOptions {
  /** Aborts a call that has not been sent yet: `ABORTED`. */
  readonly signal?: CallSignal | undefined;
  /** How long to wait for an answer, in milliseconds: `TIMEOUT`, or `OUTCOME_UNKNOWN` once sent. */
  readonly timeoutMs?: number | undefined;
}

/** The most inputs of one `runAll`. */
const INPUTS_MAX = 1_000;

/** Checks the options of a call; `defaults` supply what they leave out. Throws `VALIDATION`. */
export function parseCall(options: unknown, defaults: CallOptions): CallOptions {
  if (options === undefined) return defaults;
  const given = optionsOf(options);
  for (const name of Object.keys(given)) {
    if (name !== "signal" && name !== "timeoutMs") {
      throw invalid(`options.${name}`, "is not a known option; known are signal, timeoutMs");
    }
  }
  const { signal, timeoutMs } = given;
  const call = isLeftOut(timeoutMs)
    ? defaults
    : { timeoutMs: checkTimeout(timeoutMs, "options.timeoutMs") };
  if (isLeftOut(signal)) return call;
  if (signal instanceof AbortSignal) return { ...call, signal };
  throw invalid("options.signal", `expects an AbortSignal, got ${show(signal)}`);
}

/** The options of a call for several inputs. */
interface BatchCall {
  readonly atomic: boolean;
  readonly call: CallOptions;
}

/** Checks the arguments of `runAll`, except for the inputs themselves. Throws `VALIDATION`. */
export function parseBatchCall(
  inputs: readonly unknown[],
  options: unknown,
  defaults: CallOptions,
): BatchCall {
  if (!Array.isArray(inputs) || inputs.length > INPUTS_MAX) {
    const message = `expects an array of at most ${INPUTS_MAX} inputs, got ${show(inputs)}`;
    throw new ValidationError([{ path: "inputs", message }]);
  }
  const { atomic: given, ...rest } = optionsOf(options === undefined ? {} : options);
  const call = parseCall(rest, defaults);
  const atomic = isLeftOut(given) ? false : given;
  if (typeof atomic === "boolean") return { atomic, call };
  throw invalid("options.atomic", `expects true or false, got ${show(atomic)}`);
}

/** What each input comes to; a fault stands in its place. Throws what is no fault. */
export async function settleEach<I, T>(
  inputs: readonly I[],
  run: (input: I) => Promise<T>,
): Promise<(T | DuctapeError)[]> {
  const settled = await Promise.allSettled(inputs.map(run));
  return settled.map((result) => {
    if (result.status === "fulfilled") return result.value;
    if (DuctapeError.is(result.reason)) return result.reason;
    throw result.reason;
  });
}

function optionsOf(options: unknown): Record<string, unknown> {
  if (isRecord(options)) return options;
  throw invalid("options", `expects an object, got ${show(options)}`);
}

/** Waits no longer than the call allows. Throws `ABORTED`, `TIMEOUT`. */
export function within<T>(waiting: Promise<T>, { signal, timeoutMs }: CallOptions): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(abortedError(signal?.reason));
    if (signal?.aborted === true) return abort();
    signal?.addEventListener("abort", abort, { once: true });
    const timer =
      timeoutMs === undefined
        ? undefined
        : setTimeout(() => reject(timedOut(timeoutMs)), timeoutMs);
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    };
    waiting.then(resolve, reject).finally(end);
  });
}

/** The fault of a call to a closed client. */
export function closedError(): StoreError {
  return new StoreError("STORE_UNAVAILABLE", "the client is closed; make a new one", {
    retryable: false,
  });
}

/** The error of a call that its signal aborted before anything was done. */
export function abortedError(reason: unknown): StoreError {
  return new StoreError("ABORTED", "the call was aborted before it was sent; nothing was changed", {
    cause: reason,
  });
}

/** The error of a call that timed out before anything was done. */
export function timedOut(timeoutMs: number): StoreError {
  const message = `the store was busy for ${timeoutMs} ms, perhaps locked by another process`;
  return new StoreError("TIMEOUT", `${message}; nothing was changed`);
}

/** The error of a call that was sent but not answered. */
export function unanswered(timeoutMs: number): StoreError {
  const message = `the store has not answered within ${timeoutMs} ms; the call may have counted`;
  return new StoreError("OUTCOME_UNKNOWN", message);
}
