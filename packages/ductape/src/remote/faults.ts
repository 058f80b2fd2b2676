import {
  ConflictError,
  DuctapeError,
  ERRORS,
  NotFoundError,
  SessionError,
  StoreError,
  ValidationError,
  type ErrorCode,
  type Issue,
} from "../base/errors.js";
import { isRecord } from "../base/json.js";

const OF_STORE: ReadonlySet<ErrorCode> = new Set([
  "STORE_UNAVAILABLE",
  "TIMEOUT",
  "ABORTED",
  "OVERLOADED",
  "OUTCOME_UNKNOWN",
]);

/** The library's error for a problem document (RFC 9457); null if it is not one. */
export function faultOf(problem: unknown): DuctapeError | null {
  if (!isRecord(problem)) return null;
  const { code, detail, retryable } = problem;
  if (!isCode(code) || typeof detail !== "string") return null;
  const issues = issuesOf(problem["issues"]);
  if (code === "VALIDATION") return new ValidationError(issues ?? [{ path: "", message: detail }]);
  return new (familyOf(code))(code, detail, {
    ...(issues === null ? {} : { issues }),
    ...(typeof retryable === "boolean" ? { retryable } : {}),
  });
}

/** A fault of a server with field names in its text replaced; any other error unchanged. */
export function renamedFault(error: unknown, textOf: (text: string) => string): unknown {
  if (!DuctapeError.is(error) || textOf(error.message) === error.message) return error;
  const { code, message, issues, retryable } = error;
  const renamed = issues?.map(({ path, message: why }) => ({
    path: textOf(path),
    message: textOf(why),
  }));
  if (code === "VALIDATION" && renamed !== undefined) {
    return new ValidationError(renamed, { cause: error });
  }
  return new (familyOf(code))(code, textOf(message), { cause: error, retryable });
}

function familyOf(code: ErrorCode): typeof DuctapeError {
  const { httpStatus, exitCode } = ERRORS[code];
  if (httpStatus === 404) return NotFoundError;
  if (exitCode === 5) return ConflictError;
  if (OF_STORE.has(code)) return StoreError;
  return code.startsWith("SESSION_") ? SessionError : DuctapeError;
}

function isCode(code: unknown): code is ErrorCode {
  return typeof code === "string" && Object.hasOwn(ERRORS, code);
}

function issuesOf(value: unknown): Issue[] | null {
  if (!Array.isArray(value)) return null;
  return value.flatMap((issue: unknown) => {
    if (!isRecord(issue)) return [];
    const { path, message } = issue;
    return typeof path === "string" && typeof message === "string" ? [{ path, message }] : [];
  });
}
