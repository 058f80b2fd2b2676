import { CompactEncrypt, CompactSign } from "jose";
import type { PlacedSession } from "../define/catalogue.js";
import { ValidationError } from "../base/errors.js";
import { audienceOf } from "../base/key.js";
import type { SessionData } from "../define/sample.js";
import { lifetimeMsOf } from "../define/session.js";
import { headerOf, TOKEN_CHARS_MAX, TOKEN_ISSUER } from "./token.js";
import { randomText } from "./seal.js";
import type { SigningKeys } from "./signing.js";

/** An access token and its expiry in epoch milliseconds, a whole second. */
export interface AccessToken {
  readonly token: string;
  readonly endsMs: number;
}

/** The owner of a token. */
interface AccessSubject {
  readonly sessionId: string;
  readonly identifier: string;
  readonly data: SessionData;
}

/**
 * Makes an access token: a JWT signed with the environment's key, or a JWE if the definition is
 * `encrypted`. Throws `VALIDATION` if it would be longer than 8 kB, and the faults of {@link
 * SigningKeys}.
 */
export async function accessToken(
  session: PlacedSession,
  { sessionId, identifier, data }: AccessSubject,
  signing: SigningKeys,
  nowMs: number,
): Promise<AccessToken> {
  const { encrypted } = session.definition;
  const lifetimeMs = lifetimeMsOf(session.definition);
  const key = await signing.current(session, lifetimeMs);
  const exp = Math.ceil((nowMs + lifetimeMs) / 1_000);
  const claims = {
    iss: TOKEN_ISSUER,
    aud: audienceOf(session),
    tag: session.tag,
    def: session.sessionUid,
    sid: sessionId,
    jti: randomText(12),
    sub: identifier,
    iat: Math.floor(nowMs / 1_000),
    exp,
    data,
  };
  const payload = new TextEncoder().encode(JSON.stringify(claims));
  const header = headerOf(key.kid, encrypted);
  const token =
    header.alg === "dir"
      ? await new CompactEncrypt(payload).setProtectedHeader(header).encrypt(key.encrypt)
      : await new CompactSign(payload).setProtectedHeader(header).sign(key.sign);
  if (token.length > TOKEN_CHARS_MAX) {
    const message = `makes a token of ${token.length} characters, past ${TOKEN_CHARS_MAX}`;
    throw new ValidationError([{ path: "data", message }]);
  }
  return { token, endsMs: exp * 1_000 };
}
