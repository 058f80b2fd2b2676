/** One wrong field: where it is (`rules[0].limit`) and what is wrong with it. */
export interface Issue {
  readonly path: string;
  readonly message: string;
}

/**
 * How programs see a kind of fault: its HTTP status, its exit code, and whether a retry may help.
 */
export interface ErrorRow {
  readonly httpStatus: number;
  readonly exitCode: number;
  readonly retryable: boolean;
}

const row = (httpStatus: number, exitCode: number, retryable = false): ErrorRow => ({
  httpStatus,
  exitCode,
  retryable,
});

/**
 * The one table of fault codes. A code never changes its meaning; docs/ERRORS.md has one heading
 * for each.
 */
export const ERRORS = {
  VALIDATION: row(400, 2),
  PRODUCT_NOT_FOUND: row(404, 4),
  ENVIRONMENT_NOT_FOUND: row(404, 4),
  QUOTA_NOT_FOUND: row(404, 4),
  SESSION_NOT_FOUND: row(404, 4),
  CACHE_NOT_FOUND: row(404, 4),
  FEATURE_NOT_FOUND: row(404, 4),
  RESERVATION_NOT_FOUND: row(404, 4),
  HANDLER_NOT_FOUND: row(404, 4),
  HANDLER_FAILED: row(502, 1),
  ENVIRONMENT_INACTIVE: row(409, 5),
  ALREADY_EXISTS: row(409, 5),
  REVISION_CONFLICT: row(409, 5),
  SUBJECT_REQUIRED: row(400, 2),
  SESSION_INVALID: row(401, 1),
  SESSION_EXPIRED: row(401, 1),
  SESSION_REVOKED: row(401, 1),
  IDEMPOTENCY_CONFLICT: row(422, 5),
  ISSUER_UNAVAILABLE: row(503, 69, true),
  STORE_UNAVAILABLE: row(503, 69, true),
  TIMEOUT: row(503, 69, true),
  ABORTED: row(499, 130),
  OVERLOADED: row(503, 69, true),
  OUTCOME_UNKNOWN: row(503, 69),
  QUOTA_EXCEEDED: row(429, 3),
  UNAUTHORIZED: row(401, 1),
  FORBIDDEN: row(403, 1),
  KEY_NOT_FOUND: row(404, 4),
  ROUTE_NOT_FOUND: row(404, 4),
  METHOD_NOT_ALLOWED: row(405, 2),
  REQUEST_TIMEOUT: row(408, 1, true),
  BODY_TOO_LARGE: row(413, 2),
  MEDIA_TYPE_UNSUPPORTED: row(415, 2),
  HEADERS_TOO_LARGE: row(431, 2),
  INTERNAL: row(500, 1),
} as const satisfies Record<string, ErrorRow>;

/** The code of a fault: a key of {@link ERRORS}. */
export type ErrorCode = keyof typeof ERRORS;

/** The parts of a {@link DuctapeError} besides its code and message. */
interface DuctapeErrorOptions {
  readonly cause?: unknown;
  readonly issues?: readonly Issue[];
  /** Overrides the table for one case of a code that differs, such as a corrupt file. */
  readonly retryable?: boolean;
}

const BRAND = Symbol.for("ductape.error");

/**
 * A fault: the call could not be decided. A denial is never an error, except from `enforce`.
 * `code` is stable and listed in docs/ERRORS.md; `issues` names each wrong field of bad input.
 */
export class DuctapeError extends Error {
  readonly code: ErrorCode;
  /** True if the same call may succeed later unchanged. */
  readonly retryable: boolean;
  readonly issues?: readonly Issue[];

  constructor(code: ErrorCode, message: string, options: DuctapeErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.retryable = options.retryable ?? ERRORS[code].retryable;
    if (options.issues) this.issues = options.issues;
    Object.defineProperty(this, BRAND, { value: true });
  }

  /** True for every DuctapeError, even from another copy of this package. */
  static is(error: unknown): error is DuctapeError {
    return error instanceof Error && BRAND in error;
  }
}

/**
 * Bad input: `issues` names each wrong field, its value and what is expected. Nothing was changed.
 */
export class ValidationError extends DuctapeError {
  declare readonly issues: readonly Issue[];

  constructor(issues: readonly Issue[], options: { readonly cause?: unknown } = {}) {
    const message = issues.map((issue) => `${issue.path}: ${issue.message}`).join("; ");
    super("VALIDATION", message, { ...options, issues });
  }
}

/** The call names something that is not defined. */
export class NotFoundError extends DuctapeError {}

/** The change conflicts with what is stored: it exists already, or has another revision. */
export class ConflictError extends DuctapeError {}

/** A token was refused. The message never contains the token or its data. */
export class SessionError extends DuctapeError {}

/** The store could not answer, or not in time. */
export class StoreError extends DuctapeError {}

/**
 * A fault of one of several inputs, with `prefix` before its path; a fault of the store unchanged.
 */
export function faultAt(prefix: string, error: unknown): unknown {
  if (error instanceof StoreError) return error;
  return renamedFault(
    error,
    (text) => `${prefix}${text}`,
    (why) => why,
  );
}

/**
 * A fault of the same family, with what it names changed: `nameIn` changes its message and the
 * paths of its issues, `whyIn` what is wrong there. Any other error unchanged.
 */
export function renamedFault(
  error: unknown,
  nameIn: (text: string) => string,
  whyIn: (text: string) => string = nameIn,
): unknown {
  if (!DuctapeError.is(error) || nameIn(error.message) === error.message) return error;
  const { code, message, retryable } = error;
  const issues = error.issues?.map((issue) => ({
    path: nameIn(issue.path),
    message: whyIn(issue.message),
  }));
  if (code === "VALIDATION" && issues !== undefined) {
    return new ValidationError(issues, { cause: error });
  }
  const more = issues === undefined ? {} : { issues };
  return new (familyOf(code))(code, nameIn(message), { cause: error, retryable, ...more });
}

const OF_STORE: ReadonlySet<ErrorCode> = new Set([
  "STORE_UNAVAILABLE",
  "TIMEOUT",
  "ABORTED",
  "OVERLOADED",
  "OUTCOME_UNKNOWN",
]);

/** The class of faults with a code. */
export function familyOf(code: ErrorCode): typeof DuctapeError {
  const { httpStatus, exitCode } = ERRORS[code];
  if (httpStatus === 404) return NotFoundError;
  if (exitCode === 5) return ConflictError;
  if (OF_STORE.has(code)) return StoreError;
  return code.startsWith("SESSION_") ? SessionError : DuctapeError;
}

/**
 * Characters that a terminal obeys instead of showing, or hides: control characters, the marks
 * that change the direction of text, line separators, and everything invisible in Unicode.
 */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]/gu;
const SHORT: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/**
 * Text that is safe to show: each character that a terminal would obey or hide is escaped as in
 * JSON, such as `\u001b`, so JSON keeps its meaning. The result is one line.
 */
export function visible(text: string): string {
  return text.replace(HIDDEN, (char) => SHORT[char] ?? char.split("").map(escaped).join(""));
}

const escaped = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;

const SHOWN_CHARS_MAX = 60;

/** A value as shown in error messages: at most 60 characters, without calling user code. */
export function show(value: unknown): string {
  if (typeof value === "string") return shorten(visible(JSON.stringify(value)));
  if (typeof value === "bigint") return `${shorten(String(value))}n (a bigint)`;
  if (typeof value === "function") return "a function";
  if (typeof value === "symbol") return "a symbol";
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === "object" && value !== null) return "an object";
  return String(value);
}

/** The kind of a value that may be a secret, without the value. */
export function kindOf(value: unknown): string {
  return typeof value === "string" ? "a string" : show(value);
}

function shorten(text: string): string {
  if (text.length <= SHOWN_CHARS_MAX) return text;
  // A cut may fall into a pair of surrogates.
  return `${text.slice(0, SHOWN_CHARS_MAX).toWellFormed()}... (${text.length} characters)`;
}
