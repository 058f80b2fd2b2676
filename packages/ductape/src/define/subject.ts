import { DuctapeError, show, ValidationError } from "../base/errors.js";
import { shownName } from "../base/field.js";
import { valueAt } from "./selector.js";
import { checkText, pathText } from "../base/text.js";

/**
 * Who is counted: the value of the quota's one selector, or an object that answers selectors by
 * their path.
 */
export type SubjectInput = string | { readonly [name: string]: unknown };

/** Whose session a call carries, once its token is verified. */
export interface Identity {
  /** What `selector`, that of the session's definition, picks. */
  readonly identifier: string;
  readonly selector: string;
  /** What the session holds; selectors of rules pick from it. Never told in errors. */
  readonly data: { readonly [name: string]: unknown };
}

/** Where a subject comes from: how messages name it. */
export type SubjectOrigin = "subject" | "session";

const NAMES_MAX = 5;

/**
 * The value of a subject at the path of a selector; `what` counts by it, such as `quota "calls"`.
 * Throws `SUBJECT_REQUIRED` where there is none, naming what there is instead, and `VALIDATION` for
 * one that names nobody. What a session holds is told to nobody.
 */
export function pickSubject(
  path: readonly string[],
  subject: Exclude<SubjectInput, string> | null,
  what: string,
  origin: SubjectOrigin,
): string {
  const value = subject === null ? undefined : valueAt(subject, path);
  if (value === undefined) throw subjectRequired(path, subject, what, origin);
  const text = typeof value === "number" && Number.isSafeInteger(value) ? String(value) : value;
  const wrong =
    typeof text === "string" ? checkText(text) : `wants a string or an integer, got ${show(value)}`;
  if (wrong === null && typeof text === "string") return text;
  const message =
    origin === "session" ? "wants a string or an integer of 1 to 255 characters" : String(wrong);
  throw new ValidationError([{ path: `${origin}.${path.join(".")}`, message }]);
}

/** The fault of a subject that is missing, or that has only other names than the selector. */
export function subjectRequired(
  path: readonly string[],
  subject: object | null,
  what: string,
  origin: SubjectOrigin,
): DuctapeError {
  const name = path.join(".");
  const given = Object.keys(subject ?? {});
  const names = given.slice(0, NAMES_MAX).map(shownName).join(", ");
  const others = `wants ${name}, got ${names}${given.length > NAMES_MAX ? ", ..." : ""}`;
  const isOther = origin === "subject" && given.length > 0;
  const how = isOther ? others : `give it as a string or as an object with ${name}`;
  const message = origin === "session" ? "the session has no such value" : how;
  const issues = [{ path: `${origin}.${name}`, message: isOther ? others : "is missing" }];
  const text = `${origin}: ${what} counts by ${pathText(path)}: ${message}`;
  return new DuctapeError("SUBJECT_REQUIRED", text, { issues });
}
