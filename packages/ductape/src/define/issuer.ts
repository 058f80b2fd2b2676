import { kindOf, show } from "../base/errors.js";
import { type Fields, type Empty } from "../base/field.js";
import { isRecord } from "../base/json.js";

/** Signature algorithms of outside tokens: only those that use a private key. */
export const ALGORITHMS = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519",
] as const;

/** The algorithm of an outside token. */
export type Algorithm = (typeof ALGORITHMS)[number];

/** A JSON Web Key (RFC 7517). */
export interface Jwk {
  readonly [name: string]: unknown;
}

/** A public key: PEM (SPKI), or a JWK. */
export type PublicKey = string | Jwk;

/** An outside issuer whose tokens to accept. */
export interface IssuerInput {
  /** The `iss` of its tokens; required for the other fields here. */
  readonly issuer?: string | Empty | undefined;
  /** The `aud` required in its tokens. */
  readonly audience?: string | Empty | undefined;
  /** Signature algorithms to accept; never one with a shared secret. */
  readonly algorithms?: readonly Algorithm[] | Empty | undefined;
  /**
   * Its public key: PEM (SPKI), or a JWK whose `use`, `key_ops` and `alg`, if present, allow
   * verifying with `algorithms`. RSA keys have 2048 bits or more and an odd exponent from 3.
   */
  readonly public_key?: string | Jwk | undefined;
  /**
   * Its key set: the URL to fetch it from (https, or http on this machine), or the set itself,
   * each key of which must qualify as a `public_key`. In a fetched set other keys are ignored.
   */
  readonly jwks?: string | Jwk | undefined;
}

/** The parsed part of an {@link IssuerInput}: null and empty for our own sessions. */
export interface IssuerBody {
  readonly issuer: string | null;
  readonly audience: string | null;
  readonly algorithms: readonly Algorithm[];
  readonly public_key: PublicKey | null;
  readonly jwks: string | Jwk | null;
}

const ISSUER_FIELDS = ["audience", "algorithms", "public_key", "jwks"] as const;
const TEXT_CHARS_MAX = 1_024;
const KEY_CHARS_MAX = 65_536;

/** Parses the fields of an outside issuer; problems go to the issues of `fields`. */
export function parseIssuer(fields: Fields): IssuerBody {
  const issuer = textOf(fields, "issuer");
  if (issuer === null) {
    for (const field of ISSUER_FIELDS) {
      const value = fields.get(field) ?? undefined;
      const isGiven = value !== undefined && !(Array.isArray(value) && value.length === 0);
      if (isGiven) fields.refuse(field, "applies only with issuer");
    }
    return { issuer, audience: null, algorithms: [], public_key: null, jwks: null };
  }
  const audience = textOf(fields, "audience");
  if (audience === null) fields.refuse("audience", "is required with issuer: a text");
  const public_key = keyOf(fields, "public_key", checkPublicKey);
  const jwks = keyOf(fields, "jwks", checkJwks);
  const isOne =
    ((fields.get("public_key") ?? null) === null) !== ((fields.get("jwks") ?? null) === null);
  if (!isOne) fields.refuse("jwks", "expects either jwks or public_key beside issuer");
  return { issuer, audience, algorithms: algorithmsOf(fields), public_key, jwks };
}

function textOf(fields: Fields, field: string): string | null {
  const value = fields.get(field) ?? null;
  if (value === null) return null;
  const isText = typeof value === "string" && value.length > 0 && value.length <= TEXT_CHARS_MAX;
  if (isText && value.isWellFormed()) return value;
  fields.refuse(field, `expects a text of 1 to ${TEXT_CHARS_MAX} characters, got ${show(value)}`);
  return null;
}

function algorithmsOf(fields: Fields): readonly Algorithm[] {
  const value = fields.get("algorithms");
  if (Array.isArray(value) && value.length > 0) {
    const known = ALGORITHMS.filter((algorithm) => value.includes(algorithm));
    if (known.length === new Set(value).size) return known;
  }
  const wanted = `expects an array of some of ${ALGORITHMS.join(", ")}`;
  fields.refuse("algorithms", `${wanted}, got ${show(value)}`);
  return [];
}

function keyOf(
  fields: Fields,
  field: string,
  check: (value: PublicKey) => string | null,
): PublicKey | null {
  const value = fields.get(field) ?? null;
  if (value === null) return null;
  if (typeof value !== "string" && !isRecord(value)) {
    fields.refuse(field, `expects a string or an object, got ${kindOf(value)}`);
    return null;
  }
  const isSmall = JSON.stringify(value).length <= KEY_CHARS_MAX;
  const wrong = isSmall ? check(value) : `expects at most ${KEY_CHARS_MAX} characters`;
  fields.refuse(field, wrong);
  return typeof value === "string" ? value.trim() : structuredClone(value);
}

const PRIVATE =
  "is a private key: give only its public part, and make a new pair, because this one is exposed";

function checkPublicKey(value: PublicKey): string | null {
  if (typeof value !== "string") return whyNotPublic(value);
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(value)) return PRIVATE;
  const isPem = /^\s*-----BEGIN PUBLIC KEY-----\s[^-]+-----END PUBLIC KEY-----\s*$/.test(value);
  return isPem ? null : 'expects a PEM text that begins with "-----BEGIN PUBLIC KEY-----"';
}

/** Members of private keys (RFC 7518, 6.2.2 and 6.3.2). */
const PRIVATE_MEMBERS = ["d", "p", "q", "dp", "dq", "qi", "oth"];

/** Why a JWK is not a public key, without showing any of it; null if it is one. */
export function whyNotPublic(jwk: Jwk): string | null {
  const { kty } = jwk;
  if (kty === "oct" || Object.hasOwn(jwk, "k")) {
    return "is a shared secret: whoever can check a token with it can make one too";
  }
  if (PRIVATE_MEMBERS.some((name) => Object.hasOwn(jwk, name))) return PRIVATE;
  const isKnown = kty === "RSA" || kty === "EC" || kty === "OKP";
  return isKnown ? null : "expects a public JWK of kty RSA, EC or OKP";
}

function checkJwks(value: PublicKey): string | null {
  if (typeof value === "string") return checkUrl(value.trim());
  const { keys } = value;
  if (!Array.isArray(keys) || keys.length === 0) return "expects a key set { keys: [...] }";
  for (const [i, key] of keys.entries()) {
    const wrong = isRecord(key) ? whyNotPublic(key) : "expects a JWK";
    if (wrong !== null) return `keys[${i}] ${wrong}`;
  }
  return null;
}

function checkUrl(text: string): string | null {
  const wanted = "expects an https URL without a password, or http on this machine";
  // A text that is not a URL may be a key, and a password must not be repeated.
  if (!URL.canParse(text)) return `${wanted}, got a text that is not a URL`;
  const { username, password, hash, protocol, hostname } = new URL(text);
  if (username !== "" || password !== "") return `${wanted}, got one with a name or a password`;
  const isSafe = protocol === "https:" || (protocol === "http:" && isLoopback(hostname));
  return isSafe && hash === "" ? null : `${wanted}, got ${show(text)}`;
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(host);
}
