import { createPublicKey, type KeyObject } from "node:crypto";
import { show } from "../base/errors.js";
import { isRecord } from "../base/json.js";
import { whyNotPublic, type Algorithm, type Jwk, type PublicKey } from "../define/issuer.js";

/** A public key, and what it may verify. */
export interface VerifyingKey {
  /** What tokens name it by; null: nothing, and any token may be of it. */
  readonly kid: string | null;
  /** Some of those asked for, at least one. */
  readonly algorithms: readonly Algorithm[];
  readonly key: KeyObject;
}

/** RFC 7518, 3.3. */
const RSA_BITS_MIN = 2_048;
/** What OpenSSL verifies with. */
const RSA_BITS_MAX = 16_384;
/** An exponent of more bits makes each token cost more, and OpenSSL takes none for long keys. */
const RSA_EXPONENT_MAX = 2n ** 64n;
/** The curve of an algorithm (RFC 7518, 3.4), as Node names it. */
const CURVES: Readonly<Record<string, Algorithm>> = {
  prime256v1: "ES256",
  secp384r1: "ES384",
  secp521r1: "ES512",
};

/** What a public key is made of (RFC 7518, 6; RFC 8037). */
const PUBLIC_MEMBERS = new Set(["kty", "n", "e", "crv", "x", "y"]);

/**
 * A key for tokens signed with some of `algorithms`; else a sentence that says why it is none and
 * shows no part of it.
 */
export function verifyingKey(
  given: PublicKey,
  algorithms: readonly Algorithm[],
): VerifyingKey | string {
  const wrong = typeof given === "string" ? null : (whyNotPublic(given) ?? whyNotMeant(given));
  if (wrong !== null) return wrong;
  const key = readKey(given);
  if (key === null) return "cannot be read as a public key";
  const weak = whyWeak(key);
  if (weak !== null) return weak;
  const alg: unknown = typeof given === "string" ? undefined : given["alg"];
  const kind = algorithms.filter((algorithm) => isKeyFor(key, algorithm));
  const fitting = kind.filter((each) => alg === undefined || isSame(each, alg));
  if (kind.length > 0 && fitting.length === 0) {
    return `is for alg ${show(alg)}, which is not among algorithms: ${algorithms.join(", ")}`;
  }
  if (fitting.length === 0) return `is no key for ${algorithms.join(" or ")}`;
  const kid: unknown = typeof given === "string" ? undefined : given["kid"];
  return { kid: typeof kid === "string" ? kid : null, algorithms: fitting, key };
}

/** What a key says of its use (RFC 7517, 4.2 and 4.3) that is not to verify signatures. */
function whyNotMeant({ use, key_ops: operations, alg }: Jwk): string | null {
  if (use !== undefined && use !== "sig") return `has use ${show(use)}, wants "sig"`;
  const verifies = Array.isArray(operations) && operations.includes("verify");
  if (operations !== undefined && !verifies) return 'has key_ops without "verify"';
  return alg === undefined || typeof alg === "string" ? null : `has alg ${show(alg)}, wants a text`;
}

function readKey(given: PublicKey): KeyObject | null {
  try {
    if (typeof given === "string") return createPublicKey(given);
    const texts = Object.entries(given).filter((member): member is [string, string] => {
      return PUBLIC_MEMBERS.has(member[0]) && typeof member[1] === "string";
    });
    return createPublicKey({ key: Object.fromEntries(texts), format: "jwk" });
  } catch {
    return null;
  }
}

/** With an exponent of 1 a signature is its own message: anybody can make one. */
function whyWeak({ asymmetricKeyDetails: details }: KeyObject): string | null {
  const { modulusLength: bits, publicExponent: exponent } = details ?? {};
  if (bits === undefined || exponent === undefined) return null;
  if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX) {
    return `has ${bits} bits, wants ${RSA_BITS_MIN} to ${RSA_BITS_MAX}`;
  }
  const isSound = exponent >= 3n && exponent % 2n === 1n && exponent < RSA_EXPONENT_MAX;
  return isSound ? null : "has an exponent e that is not odd, under 3 or of more than 64 bits";
}

function isKeyFor(key: KeyObject, algorithm: Algorithm): boolean {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (type === "rsa") return /^[RP]S/.test(algorithm);
  if (type === "ec") return CURVES[details?.namedCurve ?? ""] === algorithm;
  return type === "ed25519" && (algorithm === "EdDSA" || algorithm === "Ed25519");
}

/** `EdDSA` is the older name of what is `Ed25519` with that curve (RFC 9864). */
function isSame(algorithm: Algorithm, alg: unknown): boolean {
  if (algorithm === "EdDSA" || algorithm === "Ed25519") return alg === "EdDSA" || alg === "Ed25519";
  return algorithm === alg;
}

/** The keys in a JSON Web Key Set, as many as it has; null where it is none. */
export function keysIn(set: unknown): readonly Jwk[] | null {
  if (!isRecord(set) || !Array.isArray(set["keys"])) return null;
  return set["keys"].filter(isRecord);
}
