import { DuctapeError, StoreError } from "../../base/errors.js";

const REPLIES: Readonly<Record<string, readonly [text: string, retryable: boolean]>> = {
  READONLY: ["the server is a replica, which accepts no writes", true],
  OOM: ["the server has used all of its maxmemory; raise it, with noeviction", true],
  BUSY: ["the server is busy with another script", true],
  LOADING: ["the server is loading its data", true],
  MASTERDOWN: ["the server is a replica without its master", true],
  CLUSTERDOWN: ["the cluster is down", true],
  MISCONF: ["the server refuses writes, because it cannot save to its disk", true],
  NOREPLICAS: ["the server refuses writes, because it has too few replicas", true],
  MOVED: ["the cluster keeps moving the slot", true],
  ASK: ["the cluster keeps moving the slot", true],
  TRYAGAIN: ["the cluster keeps moving the slot", true],
  UNBLOCKED: ["the server was demoted", true],
  NOPERM: ["the user may not run a command or use a key of the store", false],
  NOAUTH: ["the server requires a password", false],
  WRONGPASS: ["the server refused the user or the password", false],
};
const CODE = new RegExp(`(?:^|[-\\s])(${Object.keys(REPLIES).join("|")})\\b`);
/** The client library's messages for commands whose connection ended. */
const LOST = /^(Reached the max retries per request|Connection is closed)/;
const TOLD_CHARS_MAX = 120;

/**
 * A server's error answers, after which nothing has run, because scripts fail before they write.
 */
export function isReply(error: unknown, code = ""): error is Error {
  return error instanceof Error && error.name === "ReplyError" && error.message.startsWith(code);
}

/** True if the same command may be sent again: the server ran nothing, and another will get it. */
export function isElsewhere(error: unknown): error is Error {
  return isReply(error) && /^(MOVED|ASK|TRYAGAIN|CLUSTERDOWN|READONLY)\b/.test(error.message);
}

/** What went wrong, in words, without a password: the client library never shows one. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (LOST.test(error.message)) return "the connection was lost";
  const code = "code" in error && typeof error.code === "string" ? error.code : error.name;
  return (error.message === "" ? code : error.message).slice(0, TOLD_CHARS_MAX);
}

/** The fault of a server that cannot be reached or answered with an error; nothing was done. */
export function unavailable(name: string, error: unknown): DuctapeError {
  if (DuctapeError.is(error)) return error;
  const reason = error instanceof Error ? error.message : "";
  // Older servers wrap the error of a command in that of its script.
  const code = error instanceof Error && isReply(error) ? CODE.exec(reason)?.[1] : codeOf(reason);
  const [text, retryable] = REPLIES[code ?? ""] ?? [reasonOf(error), true];
  const message = `the store ${name}: ${text}; nothing was changed`;
  return new StoreError("STORE_UNAVAILABLE", message, { cause: error, retryable });
}

/** The code at the start of an error while connecting. */
function codeOf(text: string): string | undefined {
  return /^(NOAUTH|WRONGPASS|LOADING)\b/.exec(text)?.[1];
}

/** The fault of a command that was sent: the server may have run it all the same. */
export function unknown(name: string, error: unknown): DuctapeError {
  const why = isTimeout(error) ? "gave no answer" : "lost the connection";
  const message = `the store ${name} ${why}; the call may have counted`;
  return new StoreError("OUTCOME_UNKNOWN", message, { cause: error });
}

/** True if the client library refused a command before it wrote any of it. */
export function isUnsent(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith("Stream isn't writeable");
}

/** True if a command was sent and the server did not answer in time. */
export function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.message === "Command timed out";
}
