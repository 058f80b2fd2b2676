import {
  ConflictError,
  DuctapeError,
  ERRORS,
  NotFoundError,
  StoreError,
  ValidationError,
  type ErrorCode,
  type Issue,
} from "ductape";

/** A fault in an answer (RFC 9457). */
export interface Problem {
  /** Where the code is explained. */
  readonly type: string;
  readonly title: string;
  readonly status: number;
  /** What is wrong with this request. */
  readonly detail: string;
  readonly code: ErrorCode;
  /** Whether the same request may succeed later unchanged. */
  readonly retryable: boolean;
  readonly request_id: string;
  readonly issues?: readonly Issue[];
}

/** The media type of a problem. */
export const PROBLEM_TYPE = "application/problem+json";

/**
 * A fault as a problem document. Any error that is not from the library is `INTERNAL`: its message
 * may contain anything, so it goes only to the log.
 */
export function problemOf(error: unknown, requestId: string): Problem {
  const fault = DuctapeError.is(error) ? error : new DuctapeError("INTERNAL", "an internal fault");
  const { code, retryable, message, issues } = fault;
  return {
    type: `/docs#${code}`,
    title: titleOf(code),
    status: ERRORS[code].httpStatus,
    detail: message,
    code,
    retryable,
    request_id: requestId,
    ...(issues === undefined ? {} : { issues }),
  };
}

/** A code in words: `QUOTA_NOT_FOUND` is `Quota not found`. */
function titleOf(code: string): string {
  const words = code.toLowerCase().replaceAll("_", " ");
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}`;
}

/** A fault of one of several inputs, with `prefix` before its path; other errors unchanged. */
export function faultAt(prefix: string, error: unknown): unknown {
  if (!DuctapeError.is(error) || error instanceof StoreError) return error;
  const { code, message } = error;
  const issues = error.issues?.map((issue) => ({ ...issue, path: `${prefix}${issue.path}` }));
  if (code === "VALIDATION" && issues !== undefined) return new ValidationError(issues);
  const Family = [NotFoundError, ConflictError].find((family) => error instanceof family);
  return new (Family ?? DuctapeError)(code, `${prefix}${message}`, {
    cause: error,
    ...(issues === undefined ? {} : { issues }),
  });
}

const WAIT_S_MIN = 1;
const WAIT_JITTER_S = 3;

/**
 * When to try again after a fault of the store, in whole seconds, varied so that clients do not all
 * return at once.
 */
export function faultRetryAfter(random: () => number): string {
  return String(WAIT_S_MIN + Math.floor(random() * WAIT_JITTER_S));
}
