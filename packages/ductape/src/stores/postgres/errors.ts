import { DuctapeError, StoreError } from "../../base/errors.js";

/** SQLSTATE codes (PostgreSQL documentation, appendix A) after which a retry is right. */
const BUSY: ReadonlySet<string> = new Set([
  "23505", // another process made the same row at once
  "25P03", // the event loop stood still in a transaction
  "40001", // serialization
  "40P01", // deadlock
  "55P03", // lock time-out
  "57014", // statement time-out
]);

/** True if nothing was done because others were using the same rows. */
export function isBusy(error: unknown): boolean {
  return BUSY.has(codeOf(error) ?? "");
}

/** True if somebody else locks a row for longer than a batch takes. */
export function isHeld(error: unknown): boolean {
  return codeOf(error) === "55P03";
}

/** True if the tables are gone: opening again creates them and reads all definitions. */
export function isLost(error: unknown): boolean {
  const code = codeOf(DuctapeError.is(error) ? error.cause : error);
  return code === "42P01" || code === "3F000";
}

const SAYINGS: Readonly<Record<string, readonly [text: string, retryable: boolean]>> = {
  "08P01": ["the pooler refuses the connection; add listen=false to the URL", false],
  "25006": ["the server is read-only, such as a replica; name the primary server", true],
  "26000": ["a pooler mixes up sessions; add listen=false to the URL", false],
  "28000": ["the server refuses this user; check the URL and pg_hba.conf", false],
  "28P01": ["the server refuses the user or the password of the URL", false],
  "3D000": ["the database does not exist; create it, or name another one", false],
  "3F000": ["the schema was dropped while in use; the next call creates it again", true],
  "42501": [
    "the user lacks a privilege; grant CREATE on the database, or on an empty schema",
    false,
  ],
  "42P01": ["the tables were dropped while in use; the next call creates them again", true],
  "42P05": ["a pooler mixes up sessions; add listen=false to the URL", false],
  "53100": ["the server's disk is full; free some space", true],
  "53200": ["the server is out of memory", true],
  "53300": ["the server has no connection left; lower pool, or raise max_connections", true],
  "55P03": ["another transaction holds a lock for too long", true],
  "57014": ["the server cancelled the statement", true],
  "57P01": ["the server is shutting down, or ended the connection", true],
  "57P02": ["the server crashed and recovers", true],
  "57P03": ["the server is starting up", true],
};

/**
 * The public error for what `pg` threw; `shown` names the store without a password. Once `COMMIT`
 * was sent, only an error of the server for that statement means that nothing was done; all others
 * are `OUTCOME_UNKNOWN`.
 */
export function storeError(error: unknown, shown: string, isCommitting = false): unknown {
  if (DuctapeError.is(error) || !(error instanceof Error) || isDefect(error)) return error;
  if (isCommitting && !isRefusal(error)) {
    const message = `the connection to ${shown} was lost before its answer`;
    return new StoreError("OUTCOME_UNKNOWN", `${message}; the call may have counted`, {
      cause: error,
    });
  }
  const code = codeOf(error);
  const [text, retryable] = SAYINGS[code ?? ""] ?? [sayingOf(error, code), true];
  return new StoreError("STORE_UNAVAILABLE", `the store ${shown}: ${text}`, {
    cause: error,
    retryable,
  });
}

/** A mistake in the code, which must be reported unchanged. */
function isDefect(error: Error): boolean {
  return (
    error instanceof TypeError || error instanceof RangeError || error.name === "AssertionError"
  );
}

/**
 * True if the statement failed on the server and was rolled back, and the connection is still
 * usable.
 */
function isRefusal(error: Error): boolean {
  return "severity" in error && error.severity === "ERROR";
}

function sayingOf(error: Error, code: string | null): string {
  const text = error.message === "" ? "it cannot be reached" : error.message;
  return code === null || text.includes(code) ? text : `${text} (${code})`;
}

/** An SQLSTATE, or the code of a fault of the network. */
function codeOf(error: unknown): string | null {
  if (!(error instanceof Error) || !("code" in error)) return null;
  return typeof error.code === "string" ? error.code : null;
}
