import { DuctapeError, ValidationError, type ListedSession, type StartedSession } from "ductape";

// Fields are snake_case on the wire and in the shell. The library's names stay beside them for a
// while, because earlier versions used them.

/** A started session with the wire's field names. */
export function startedWire({ token, refreshToken, sessionId, expiresAt }: StartedSession) {
  return { token, refresh_token: refreshToken, session_id: sessionId, expires_at: expiresAt };
}

/** A session of a list with the wire's field names. */
export function listedWire(session: ListedSession) {
  const { sessionId, identifier, createdAt, refreshedAt, expiresAt, revokedAt } = session;
  return {
    session_id: sessionId,
    identifier,
    created_at: createdAt,
    refreshed_at: refreshedAt,
    expires_at: expiresAt,
    revoked_at: revokedAt,
  };
}

/** The value of a field given by its name or its old name. Throws if both are given and differ. */
export function eitherName<T>(name: string, value: T | undefined, before: T | undefined) {
  if (value === undefined || before === undefined || value === before) return value ?? before;
  const message = "is given under two names with different values; send one of the two";
  throw new ValidationError([{ path: name, message }]);
}

const WIRE: Readonly<Record<string, string>> = {
  refreshToken: "refresh_token",
  sessionId: "session_id",
};

/** A fault of the library with the wire's field names. */
export function wireFault(error: unknown): unknown {
  if (!DuctapeError.is(error) || wireText(error.message) === error.message) return error;
  const { code, message, issues, retryable } = error;
  if (code === "VALIDATION" && issues !== undefined) {
    const renamed = issues.map((issue) => ({
      path: wireText(issue.path),
      message: wireText(issue.message),
    }));
    return new ValidationError(renamed, { cause: error });
  }
  return new DuctapeError(code, wireText(message), { cause: error, retryable });
}

/** Renames no part of a longer word and nothing in quotes, which is a value that was sent. */
function wireText(text: string): string {
  return text.replace(/(?<![\w"])(refreshToken|sessionId)(?![\w"])/g, (name) => WIRE[name] ?? name);
}
