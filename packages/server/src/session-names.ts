import { DuctapeError, ValidationError, type ListedSession, type StartedSession } from "ductape";

// Fields are snake_case on the wire and in the shell. The names of the library stand beside them
// for a while, as they were told before.

/** A started session by the names of the wire. */
export function startedWire({ token, refreshToken, sessionId, expiresAt }: StartedSession) {
  return { token, refresh_token: refreshToken, session_id: sessionId, expires_at: expiresAt };
}

/** A session of a list by the names of the wire. */
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

/** The value of a field that came by its name or by the one before. Throws where both differ. */
export function eitherName<T>(name: string, value: T | undefined, before: T | undefined) {
  if (value === undefined || before === undefined || value === before) return value ?? before;
  const message = "is given by two names with two values; send one of the two";
  throw new ValidationError([{ path: name, message }]);
}

const WIRE: Readonly<Record<string, string>> = {
  refreshToken: "refresh_token",
  sessionId: "session_id",
};

/** A fault of the library that names fields as they are named on the wire. */
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

/** Not within a longer word, nor what is quoted: that was sent. */
function wireText(text: string): string {
  return text.replace(/(?<![\w"])(refreshToken|sessionId)(?![\w"])/g, (name) => WIRE[name] ?? name);
}
