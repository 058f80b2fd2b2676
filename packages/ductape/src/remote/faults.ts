import {
  ERRORS,
  familyOf,
  ValidationError,
  type DuctapeError,
  type ErrorCode,
  type Issue,
} from "../base/errors.js";
import { isRecord } from "../base/json.js";

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
