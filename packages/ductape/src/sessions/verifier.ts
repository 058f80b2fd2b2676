import { compactDecrypt, type CryptoKey } from "jose";
import type { Catalogue, PlacedSession } from "../define/catalogue.js";
import { DuctapeError, SessionError, show } from "../base/errors.js";
import { audienceOf } from "../base/key.js";
import type { Identity } from "../define/subject.js";
import { identifierOf, valueAt } from "../define/selector.js";
import type { Clock } from "../base/call.js";
import { pathText, selectorPath } from "../base/text.js";
import {
  expiryOf,
  formOf,
  isFor,
  objectOf,
  outsideHeader,
  ownClaims,
  ownKeyId,
  utf8,
  type TokenForm,
} from "./token.js";
import type { Issuers } from "./issuer.js";
import { Recent } from "./recent.js";
import type { Revocations } from "./revocations.js";
import { signedPayload } from "./seal.js";
import type { SigningKeys } from "./signing.js";

/** What a {@link Verifier} depends on. */
interface VerifierParts {
  readonly catalogue: Catalogue;
  readonly signing: SigningKeys;
  readonly revocations: Revocations;
  readonly issuers: Issuers;
  readonly clock: Clock;
}

/** A verified token. */
interface Verified extends Omit<Identity, "selector"> {
  /** Null for a token of an outside issuer. */
  readonly sessionId: string | null;
  readonly expiresMs: number;
}

/** A token verified before, and its definition. */
interface Seen extends Verified, Identity {
  readonly session: PlacedSession;
  /** The catalogue's version when the definition was last found unchanged. */
  edition: number;
}

/** Characters of tokens, including their data, that are kept in memory: at most twice this. */
const SEEN_CHARS_MAX = 16 * 1_024 * 1_024;

/**
 * Identifies the owner of a token. A token is verified once; after that its exact text is known,
 * only for the same product, environment and session, until it expires or is revoked, its
 * definition changes, or too many others are in use. Whatever is wrong with a token, the message
 * is the same and reveals nothing about it.
 */
export class Verifier {
  readonly #parts: VerifierParts;
  readonly #seen = new Recent<Seen>(SEEN_CHARS_MAX);

  constructor(parts: VerifierParts) {
    this.#parts = parts;
  }

  /** The owner of the session, if the token is already known; null: call {@link identify}. */
  seen(product: string, env: string, tag: string, token: string, nowMs: number): Identity | null {
    const seen = this.#seen.get(token);
    if (seen === undefined) return null;
    const { session } = seen;
    if (session.tag !== tag || session.env !== env || session.product !== product) return null;
    if (seen.expiresMs <= nowMs || !this.#stands(seen)) return null;
    return seen.sessionId !== null && this.#parts.revocations.has(seen.sessionId) ? null : seen;
  }

  /**
   * Verifies a token. Throws `*_NOT_FOUND`, `ENVIRONMENT_INACTIVE`, `SESSION_INVALID`,
   * `SESSION_EXPIRED` and `SESSION_REVOKED`; `SUBJECT_REQUIRED` if a token of an outside issuer
   * names nobody; `ISSUER_UNAVAILABLE`; and the faults of the store.
   */
  async identify(product: string, env: string, tag: string, token: string): Promise<Identity> {
    const { catalogue, clock, revocations } = this.#parts;
    const known = this.seen(product, env, tag, token, clock());
    if (known !== null) return known;
    const session = await catalogue.locateSession(product, env, tag);
    const { edition } = catalogue;
    const verified = await this.#verify(session, bareToken(token, tag));
    if (verified === null) throw invalid();
    const { sessionId, expiresMs } = verified;
    if (expiresMs <= clock()) throw refused("SESSION_EXPIRED", "has expired");
    if (sessionId !== null && revocations.has(sessionId)) throw revoked();
    const { identifier, data } = verified;
    const { selector } = session.definition;
    const seen: Seen = { session, edition, expiresMs, sessionId, identifier, selector, data };
    this.#seen.set(token, seen);
    return seen;
  }

  /** True while the definition, its product and its environment are those it was verified for. */
  #stands(seen: Seen): boolean {
    const { catalogue } = this.#parts;
    if (seen.edition === catalogue.edition) return true;
    const { product, env, tag } = seen.session;
    try {
      if (catalogue.findSession(product, env, tag) !== seen.session) return false;
    } catch (error) {
      if (DuctapeError.is(error)) return false;
      throw error;
    }
    seen.edition = catalogue.edition;
    return true;
  }

  #verify(session: PlacedSession, token: string | null): Promise<Verified | null> {
    const form = token === null ? null : formOf(token);
    if (token === null || form === null) return Promise.resolve(null);
    return session.definition.issuer === null
      ? this.#verifyOwn(session, token, form)
      : this.#verifyOutside(session, token, form);
  }

  async #verifyOwn(
    session: PlacedSession,
    token: string,
    form: TokenForm,
  ): Promise<Verified | null> {
    const { encrypted } = session.definition;
    const kid = ownKeyId(form, encrypted);
    const key = kid === null ? null : await this.#parts.signing.find(session, kid);
    if (key === null) return null;
    const payload = encrypted
      ? await decrypted(token, key.encrypt)
      : signedPayload(token, key.sign);
    const target = {
      audience: audienceOf(session),
      tag: session.tag,
      sessionUid: session.sessionUid,
    };
    return payload && ownClaims(objectOf(utf8(payload)), target, this.#parts.clock());
  }

  async #verifyOutside(
    session: PlacedSession,
    token: string,
    form: TokenForm,
  ): Promise<Verified | null> {
    const { definition } = session;
    const { issuer, audience, algorithms, selector } = definition;
    const header = outsideHeader(form, algorithms);
    if (issuer === null || audience === null || header === null) return null;
    const payload = await this.#parts.issuers.verified(definition, token, header);
    const data = payload && objectOf(utf8(payload));
    if (data === null || !isFor(data, issuer, audience)) return null;
    const expiresMs = expiryOf(data, this.#parts.clock());
    if (expiresMs === null) return null;
    const path = selectorPath(selector) ?? [];
    const identifier = identifierOf(valueAt(data, path));
    if (identifier === null) throw namesNobody(session.tag, path);
    return { identifier, data, sessionId: null, expiresMs };
  }
}

/** `tag:jwt` means the same as `jwt` if the tag is the session's. */
function bareToken(token: string, tag: string): string | null {
  const at = token.lastIndexOf(":");
  if (at === -1) return token;
  return at === tag.length && token.startsWith(tag) ? token.slice(at + 1) : null;
}

async function decrypted(token: string, key: CryptoKey): Promise<Uint8Array | null> {
  try {
    const options = {
      keyManagementAlgorithms: ["dir"],
      contentEncryptionAlgorithms: ["A256GCM"],
    };
    return (await compactDecrypt(token, key, options)).plaintext;
  } catch {
    return null;
  }
}

type SessionCode = "SESSION_INVALID" | "SESSION_EXPIRED" | "SESSION_REVOKED";

function refused(code: SessionCode, message: string): SessionError {
  return new SessionError(code, `session.token: ${message}`);
}

function invalid(): SessionError {
  return refused("SESSION_INVALID", "is not a valid token of this session");
}

function revoked(): SessionError {
  return refused("SESSION_REVOKED", "its session has been revoked");
}

function namesNobody(tag: string, path: readonly string[]): DuctapeError {
  const message = `session: a token of ${show(tag)} has no text or integer at ${pathText(path)}`;
  return new DuctapeError("SUBJECT_REQUIRED", message, {
    issues: [{ path: `session.${path.join(".")}`, message: "is missing" }],
  });
}
