import { isRecord } from "../base/json.js";
import type { SessionData } from "../define/sample.js";
import { derivedKey, hashOf, randomText, seal, unseal } from "./seal.js";

/** How long a refresh token can be exchanged for the same successor again, in milliseconds. */
const AGAIN_MS = 60_000;

/** The record of one session, from its start to the expiry of its last refresh token. */
export interface Login {
  readonly identifier: string;
  readonly created_ms: number;
  readonly refreshed_ms: number;
  /** When the last issued access token expires. */
  readonly token_ends_ms: number;
  readonly revoked_ms: number | null;
  /** SHA-256 of the part that all refresh tokens of the session share. */
  readonly family: string;
  /** SHA-256 of the current refresh token. */
  readonly current: string;
  /** The session's data, encrypted with the current refresh token: the store cannot read it. */
  readonly data: string;
  /** The previous refresh token, with its successor encrypted by it. */
  readonly previous: {
    readonly hash: string;
    readonly successor: string;
    readonly rotated_ms: number;
  } | null;
}

/** A refresh token: `sessionId.family.secret`, the last two 128 and 256 random bits. */
interface RefreshToken {
  readonly text: string;
  readonly sessionId: string;
  readonly family: string;
}

/** The first refresh token of a session. */
export function firstToken(sessionId: string): RefreshToken {
  return tokenOf(sessionId, randomText(16));
}

function tokenOf(sessionId: string, family: string): RefreshToken {
  return { text: `${sessionId}.${family}.${randomText(32)}`, sessionId, family };
}

/** Parses a refresh token; null for any other text. */
export function parseToken(text: string): RefreshToken | null {
  const [, sessionId, family] = /^([\w-]{22})\.([\w-]{22})\.[\w-]{43}$/.exec(text) ?? [];
  return sessionId === undefined || family === undefined ? null : { text, sessionId, family };
}

/** The record of a new session. */
export function newLogin(
  token: RefreshToken,
  identifier: string,
  data: SessionData,
  nowMs: number,
  token_ends_ms: number,
): Login {
  return {
    identifier,
    created_ms: nowMs,
    refreshed_ms: nowMs,
    token_ends_ms,
    revoked_ms: null,
    family: hashOf(token.family),
    current: hashOf(token.text),
    data: sealData(token, data),
    previous: null,
  };
}

/** The outcome of using a refresh token. */
type Exchange =
  | { readonly outcome: "unknown" | "revoked" | "reused" }
  | {
      readonly outcome: "exchanged";
      /** The record to write; the caller updates its `token_ends_ms`. */
      readonly login: Login;
      readonly successor: RefreshToken;
      readonly data: SessionData;
    };

/**
 * The one rule of refresh tokens. Each is exchanged once. For 60 s after that, and as long as its
 * successor has not been used, it returns the same successor again, so two refreshes at once, a
 * lost answer and a crash do no harm. Any other second use is `reused`. Only somebody who has held
 * a token of the session can cause that, because the family part is as secret as the rest.
 */
export function exchange(login: Login, token: RefreshToken, nowMs: number): Exchange {
  if (hashOf(token.family) !== login.family) return { outcome: "unknown" };
  if (login.revoked_ms !== null) return { outcome: "revoked" };
  const hash = hashOf(token.text);
  if (hash === login.current) return rotated(login, token, nowMs);
  const { previous } = login;
  if (previous?.hash !== hash) return { outcome: "reused" };
  // If it is later than now by more than that, a fast clock rotated it.
  const isRecent = Math.abs(nowMs - previous.rotated_ms) <= AGAIN_MS;
  return isRecent ? again(login, token, previous.successor) : { outcome: "reused" };
}

function rotated(login: Login, token: RefreshToken, nowMs: number): Exchange {
  const successor = tokenOf(token.sessionId, token.family);
  const data = openData(token, login.data);
  if (data === null) return { outcome: "unknown" };
  const sealed = seal(sealingKey(token), successor.text, token.sessionId);
  return {
    outcome: "exchanged",
    successor,
    data,
    login: {
      ...login,
      refreshed_ms: nowMs,
      current: hashOf(successor.text),
      data: sealData(successor, data),
      previous: { hash: hashOf(token.text), successor: sealed, rotated_ms: nowMs },
    },
  };
}

function again(login: Login, token: RefreshToken, sealed: string): Exchange {
  const successor = parseToken(unseal(sealingKey(token), sealed, token.sessionId) ?? "");
  const data = successor === null ? null : openData(successor, login.data);
  if (successor === null || data === null) return { outcome: "unknown" };
  return { outcome: "exchanged", login, successor, data };
}

const sealingKey = (token: RefreshToken) => derivedKey(token.text, "successor");

function sealData(token: RefreshToken, data: SessionData): string {
  return seal(derivedKey(token.text, "data"), JSON.stringify(data), token.sessionId);
}

function openData(token: RefreshToken, sealed: string): SessionData | null {
  const text = unseal(derivedKey(token.text, "data"), sealed, token.sessionId);
  const data: unknown = text === null ? null : JSON.parse(text);
  return isRecord(data) ? data : null;
}

/** Reads a stored record; null if this version cannot read it. */
export function readLogin(text: string): Login | null {
  const value: unknown = JSON.parse(text);
  return isLogin(value) ? value : null;
}

function isLogin(value: unknown): value is Login {
  if (!isRecord(value)) return false;
  const texts = ["identifier", "family", "current", "data"];
  const instants = ["created_ms", "refreshed_ms", "token_ends_ms"];
  const { previous, revoked_ms } = value;
  return (
    texts.every((name) => typeof value[name] === "string") &&
    instants.every((name) => typeof value[name] === "number") &&
    (revoked_ms === null || typeof revoked_ms === "number") &&
    (previous === null || isPrevious(previous))
  );
}

function isPrevious(value: unknown): boolean {
  if (!isRecord(value)) return false;
  const { hash, successor, rotated_ms } = value;
  return (
    typeof hash === "string" && typeof successor === "string" && typeof rotated_ms === "number"
  );
}
