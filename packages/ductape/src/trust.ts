import { show } from "./errors.js";
import type { Fields } from "./field.js";
import { isRecord } from "./json.js";
import { type Empty } from "./request.js";

/** Signatures of outside tokens: only those made with a private key. */
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

/** Whose tokens to take, beside our own. */
export interface IssuerInput {
  /** The `iss` of its tokens; with it the others here have a meaning. */
  readonly issuer?: string | Empty | undefined;
  /** The `aud` that its tokens must have. */
  readonly audience?: string | Empty | undefined;
  /** Which signatures to take; never one with a shared secret. */
  readonly algorithms?: readonly Algorithm[] | Empty | undefined;
  /** Its public key: PEM (SPKI), or a JWK. RSA keys have 2048 bits or more. */
  readonly public_key?: string | { readonly [name: string]: unknown } | undefined;
  /** Its key set: where it is fetched (https, or http on this machine), or the set itself. */
  readonly jwks?: string | { readonly [name: string]: unknown } | undefined;
}

/** The parsed part of an {@link IssuerInput}: all null and empty for a session of our own. */
export interface IssuerBody {
  readonly issuer: string | null;
  readonly audience: string | null;
  readonly algorithms: readonly Algorithm[];
  readonly public_key: string | { readonly [name: string]: unknown } | null;
  readonly jwks: string | { readonly [name: string]: unknown } | null;
}

const ISSUER_FIELDS = ["audience", "algorithms", "public_key", "jwks"] as const;
const TEXT_CHARS_MAX = 1_024;
const KEY_CHARS_MAX = 65_536;

/** The parts of an outside issuer; what is wrong goes to the issues of `fields`. */
export function parseIssuer(fields: Fields): IssuerBody {
  const issuer = textOf(fields, "issuer");
  if (issuer === null) {
    for (const field of ISSUER_FIELDS) {
      const value = fields.get(field) ?? undefined;
      const isGiven = value !== undefined && !(Array.isArray(value) && value.length === 0);
      if (isGiven) fields.refuse(field, "has a meaning only with issuer");
    }
    return { issuer, audience: null, algorithms: [], public_key: null, jwks: null };
  }
  const audience = textOf(fields, "audience");
  if (audience === null) fields.refuse("audience", "is required with issuer: a text");
  const public_key = keyOf(fields, "public_key", checkPublicKey);
  const jwks = keyOf(fields, "jwks", checkJwks);
  const isOne =
    ((fields.get("public_key") ?? null) === null) !== ((fields.get("jwks") ?? null) === null);
  if (!isOne) fields.refuse("jwks", "wants either jwks or public_key beside issuer");
  return { issuer, audience, algorithms: algorithmsOf(fields), public_key, jwks };
}

function textOf(fields: Fields, field: string): string | null {
  const value = fields.get(field) ?? null;
  if (value === null) return null;
  const isText = typeof value === "string" && value.length > 0 && value.length <= TEXT_CHARS_MAX;
  if (isText && value.isWellFormed()) return value;
  fields.refuse(field, `wants a text of 1 to ${TEXT_CHARS_MAX} characters, got ${show(value)}`);
  return null;
}

function algorithmsOf(fields: Fields): readonly Algorithm[] {
  const value = fields.get("algorithms");
  if (Array.isArray(value) && value.length > 0) {
    const known = ALGORITHMS.filter((algorithm) => value.includes(algorithm));
    if (known.length === new Set(value).size) return known;
  }
  const wanted = `wants an array of some of ${ALGORITHMS.join(", ")}`;
  fields.refuse("algorithms", `${wanted}, got ${show(value)}`);
  return [];
}

type Key = string | { readonly [name: string]: unknown };

function keyOf(fields: Fields, field: string, check: (value: Key) => string | null): Key | null {
  const value = fields.get(field) ?? null;
  if (value === null) return null;
  if (typeof value !== "string" && !isRecord(value)) {
    fields.refuse(field, `wants a string or an object, got ${show(value)}`);
    return null;
  }
  const isSmall = JSON.stringify(value).length <= KEY_CHARS_MAX;
  const wrong = isSmall ? check(value) : `wants at most ${KEY_CHARS_MAX} characters`;
  fields.refuse(field, wrong);
  return typeof value === "string" ? value.trim() : structuredClone(value);
}

function checkPublicKey(value: Key): string | null {
  if (typeof value === "string") {
    const isPem = /^\s*-----BEGIN PUBLIC KEY-----\s[^-]+-----END PUBLIC KEY-----\s*$/.test(value);
    return isPem ? null : 'wants a PEM text that begins with "-----BEGIN PUBLIC KEY-----"';
  }
  return isPublicJwk(value) ? null : "wants a public JWK: kty RSA, EC or OKP, and no private part";
}

/** True for a JWK of a public key: nothing secret in it, and no shared secret. */
export function isPublicJwk(value: unknown): boolean {
  if (!isRecord(value) || Object.hasOwn(value, "d") || Object.hasOwn(value, "k")) return false;
  return value["kty"] === "RSA" || value["kty"] === "EC" || value["kty"] === "OKP";
}

function checkJwks(value: Key): string | null {
  if (typeof value === "string") return checkUrl(value.trim());
  const { keys } = value;
  if (Array.isArray(keys) && keys.length > 0 && keys.every(isPublicJwk)) return null;
  return "wants a key set { keys: [...] } of public JWKs";
}

function checkUrl(text: string): string | null {
  const url = URL.canParse(text) ? new URL(text) : null;
  const isPlain = url !== null && url.username === "" && url.password === "" && url.hash === "";
  const isSafe =
    url?.protocol === "https:" || (url?.protocol === "http:" && isLoopback(url.hostname));
  if (isPlain && isSafe) return null;
  return `wants an https URL without a password, or http on this machine, got ${show(text)}`;
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(host);
}
