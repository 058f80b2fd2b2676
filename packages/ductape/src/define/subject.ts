import { DuctapeError, show, ValidationError } from "../base/errors.js";
import { shownName } from "../base/field.js";
import { valueAt } from "./selector.js";
import { checkText, pathText } from "../base/text.js";

/**
 * Who is counted: the value for the quota's single selector, or an object with a value at the path
 * of each selector.
 */
export type SubjectInput = string | { readonly [name: string]: unknown };

/** The owner of a call's session, once its token is verified. */
export interface Identity {
  /** The value that the definition's `selector` picks. */
  readonly identifier: string;
  readonly selector: string;
  /** The session's data, from which the selectors of rules pick. Never shown in errors. */
  readonly data: { readonly [name: string]: unknown };
}

/** The source of a subject, as named in messages. */
export type SubjectOrigin = "subject" | "session";

const NAMES_MAX = 5;

/**
 * The value of a subject at the path of a selector; `what`, such as `quota "calls"`, counts by it.
 * Throws `SUBJECT_REQUIRED` if the subject has no such value, naming the fields it has, and
 * `VALIDATION` for a value that names nobody. No message shows the data of a session.
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
    typeof text === "string"
      ? checkText(text)
      : `expects a string or an integer, got ${show(value)}`;
  if (wrong === null && typeof text === "string") return text;
  const message =
    origin === "session" ? "expects a string or an integer of 1 to 255 characters" : String(wrong);
  throw new ValidationError([{ path: `${origin}.${path.join(".")}`, message }]);
}

/** The fault of a subject that is missing, or that lacks the selector's field. */
function subjectRequired(
  path: readonly string[],
  subject: object | null,
  what: string,
  origin: SubjectOrigin,
): DuctapeError {
  const name = path.join(".");
  const given = Object.keys(subject ?? {});
  const names = given.slice(0, NAMES_MAX).map(shownName).join(", ");
  const others = `expects ${name}, got ${names}${given.length > NAMES_MAX ? ", ..." : ""}`;
  const isOther = origin === "subject" && given.length > 0;
  const how = isOther ? others : `give it as a string or as an object with ${name}`;
  const message = origin === "session" ? "the session has no such value" : how;
  const issues = [{ path: `${origin}.${name}`, message: isOther ? others : "is missing" }];
  const text = `${origin}: ${what} counts by ${pathText(path)}: ${message}`;
  return new DuctapeError("SUBJECT_REQUIRED", text, { issues });
}
