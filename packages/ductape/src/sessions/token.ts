import { rememberingLast } from "../base/memo.js";
import { isRecord } from "../base/json.js";
import { LIFETIME_MS_MAX } from "../define/session.js";

/** The longest token that is examined, in characters. */
export const TOKEN_CHARS_MAX = 8_192;
/**
 * How far ahead `iat` and `nbf` may be, because clocks of servers differ a little. `exp` has no
 * tolerance.
 */
const SKEW_MS_MAX = 30_000;

/** The `typ` of our own tokens (RFC 8725, 3.11), so that no other kind of JWT passes for one. */
const TOKEN_TYPE = "ductape-session+jwt";
/** The `iss` of our own tokens. */
export const TOKEN_ISSUER = "ductape";

/** A parsed JSON object. */
type Json = Readonly<Record<string, unknown>>;

/** A well-formed token; nothing in it is verified yet. */
export interface TokenForm {
  /** 3: signed. 5: encrypted. */
  readonly parts: number;
  readonly header: Json;
}

/**
 * Checks the form of a token before any parser sees it: at most 8 kB, three or five parts of
 * canonical base64url (RFC 4648, 3.5: no white space, no padding, no stray bits), and a header
 * that is one JSON object without duplicate members. Null for any other text.
 */
export function formOf(token: string): TokenForm | null {
  if (token.length > TOKEN_CHARS_MAX) return null;
  const parts = token.split(".");
  if (parts.length !== 3 && parts.length !== 5) return null;
  for (const [i, text] of parts.entries()) {
    // The second part of a directly encrypted token is its empty key (RFC 7516, 4.5).
    const isRight = parts.length === 5 && i === 1 ? text === "" : isCanonical(text);
    if (!isRight) return null;
  }
  const header = headerIn(parts[0] ?? "");
  return header === null ? null : { parts: parts.length, header };
}

/** All tokens of one key have the same text here. */
const headerIn = rememberingLast((part) => objectOf(textOf(part)));

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

function isCanonical(text: string): boolean {
  if (!/^[\w-]+$/.test(text) || text.length % 4 === 1) return false;
  const last = DIGITS.indexOf(text.charAt(text.length - 1));
  const strayBits = text.length % 4 === 2 ? 0b1111 : text.length % 4 === 3 ? 0b11 : 0;
  return (last & strayBits) === 0;
}

function textOf(part: string): string | null {
  const binary = atob(part.replaceAll("-", "+").replaceAll("_", "/"));
  return utf8(Uint8Array.from(binary, (character) => character.charCodeAt(0)));
}

const DECODER = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Bytes as text; null if they are not UTF-8. */
export function utf8(bytes: Uint8Array): string | null {
  try {
    return DECODER.decode(bytes);
  } catch {
    return null;
  }
}

/** The object in a JSON text, if it has no duplicate member; else null. */
export function objectOf(text: string | null): Json | null {
  if (text === null) return null;
  try {
    const value: unknown = JSON.parse(text);
    if (!isRecord(value)) return null;
    // A text that serializes back to itself has no duplicates, and most texts do.
    return JSON.stringify(value) === text || !namesTwice(text) ? value : null;
  } catch {
    return null;
  }
}

/**
 * Parsers differ on duplicate members: one may verify what another does not read (RFC 8725, 2.4).
 */
function namesTwice(json: string): boolean {
  const open: Set<string>[] = [];
  let text = "";
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|[{}:]/g)) {
    if (token === "{") open.push(new Set());
    else if (token === "}") open.pop();
    else if (token !== ":") text = token;
    else {
      const names = open.at(-1);
      const name = String(JSON.parse(text));
      if (names?.has(name) !== false) return true;
      names.add(name);
    }
  }
  return false;
}

/** The key that one of our own tokens names; null unless its header is exactly what we write. */
export function ownKeyId({ parts, header }: TokenForm, isEncrypted: boolean): string | null {
  const { kid } = header;
  const wanted = headerOf(String(kid), isEncrypted);
  const names = Object.keys(wanted);
  const isOurs =
    parts === (isEncrypted ? 5 : 3) &&
    names.length === Object.keys(header).length &&
    Object.entries(wanted).every(([name, value]) => header[name] === value);
  return isOurs && typeof kid === "string" && /^[\w-]{16}$/.test(kid) ? kid : null;
}

/** The header of our own tokens. */
export function headerOf(kid: string, isEncrypted: boolean) {
  return isEncrypted
    ? ({ alg: "dir", enc: "A256GCM", typ: TOKEN_TYPE, kid } as const)
    : ({ alg: "HS256", typ: TOKEN_TYPE, kid } as const);
}

/**
 * The members accepted in an outside token's header; any other may require something we do not do.
 */
const OUTSIDE_MEMBERS = new Set(["alg", "typ", "kid", "x5t", "x5t#S256"]);
const OUTSIDE_TYPES = new Set(["jwt", "at+jwt", "application/at+jwt", "application/jwt"]);

/** The header of an outside token, as far as its signature is concerned. */
export interface TokenHeader {
  readonly alg: string;
  /** Null if it names no key. */
  readonly kid: string | null;
}

/** Reads the header of an outside token; null unless it is signed with one of `algorithms`. */
export function outsideHeader(
  { parts, header }: TokenForm,
  algorithms: readonly string[],
): TokenHeader | null {
  const { alg, typ, kid = null } = header;
  const isKnown = Object.keys(header).every((name) => OUTSIDE_MEMBERS.has(name));
  const isTyped =
    typ === undefined || (typeof typ === "string" && OUTSIDE_TYPES.has(typ.toLowerCase()));
  if (parts !== 3 || !isKnown || !isTyped) return null;
  if (typeof alg !== "string" || !algorithms.includes(alg)) return null;
  if (kid !== null && (typeof kid !== "string" || kid.length > 255)) return null;
  return { alg, kid };
}

/** What a verified token must be issued for. */
interface TokenTarget {
  readonly audience: string;
  readonly tag: string;
  readonly sessionUid: string;
}

/** The claims of our own tokens. */
interface OwnClaims {
  readonly sessionId: string;
  readonly identifier: string;
  readonly data: Json;
  readonly expiresMs: number;
}

/** Reads the claims of one of our own tokens; null unless it is for `target` at `nowMs`. */
export function ownClaims(claims: Json | null, target: TokenTarget, nowMs: number) {
  if (claims === null) return null;
  const { iss, aud, tag, def, sid, sub, jti, data } = claims;
  const isOurs = iss === TOKEN_ISSUER && aud === target.audience && tag === target.tag;
  const expiresMs = expiryOf(claims, nowMs);
  if (!isOurs || def !== target.sessionUid || expiresMs === null) return null;
  if (typeof claims["iat"] !== "number" || typeof jti !== "string") return null;
  if (typeof sid !== "string" || typeof sub !== "string" || !isRecord(data)) return null;
  return { sessionId: sid, identifier: sub, data, expiresMs } satisfies OwnClaims;
}

/** True if the claims of an outside token are for `audience`. Its `aud` may be an array. */
export function isFor(claims: Json, issuer: string, audience: string): boolean {
  const { iss, aud } = claims;
  return iss === issuer && (aud === audience || (Array.isArray(aud) && aud.includes(audience)));
}

/** The instant of `exp`, even a past one; null if an instant is wrong or too far ahead. */
export function expiryOf({ exp, iat, nbf }: Json, nowMs: number): number | null {
  if (!isInstant(exp)) return null;
  for (const from of [iat, nbf]) {
    if (from === undefined) continue;
    if (!isInstant(from) || from * 1_000 > nowMs + SKEW_MS_MAX) return null;
  }
  const fromMs = typeof iat === "number" ? iat * 1_000 : nowMs;
  // One second more, because `exp` is rounded up to a whole second.
  return exp * 1_000 - fromMs > LIFETIME_MS_MAX + 1_000 ? null : exp * 1_000;
}

function isInstant(value: unknown): value is number {
  return typeof value === "number" && value >= 0 && value <= Number.MAX_SAFE_INTEGER / 1_000;
}
