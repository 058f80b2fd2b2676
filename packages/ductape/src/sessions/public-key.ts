import { createPublicKey, type KeyObject } from "node:crypto";
import { show } from "../base/errors.js";
import { isRecord } from "../base/json.js";
import { whyNotPublic, type Algorithm, type Jwk, type PublicKey } from "../define/issuer.js";

/** A public key and the algorithms it may verify. */
export interface VerifyingKey {
  /** Its id in tokens; null: it has none, and may have signed any token. */
  readonly kid: string | null;
  /** At least one of the requested algorithms. */
  readonly algorithms: readonly Algorithm[];
  readonly key: KeyObject;
}

/** RFC 7518, 3.3. */
const RSA_BITS_MIN = 2_048;
/** The sizes that OpenSSL can verify. */
const RSA_BITS_MAX = 16_384;
/** A longer exponent makes each token cost more, and OpenSSL accepts none for long keys. */
const RSA_EXPONENT_MAX = 2n ** 64n;
/** The curve of each algorithm (RFC 7518, 3.4), by Node's name. */
const CURVES: Readonly<Record<string, Algorithm>> = {
  prime256v1: "ES256",
  secp384r1: "ES384",
  secp521r1: "ES512",
};

/** The members of a public key (RFC 7518, 6; RFC 8037). */
const PUBLIC_MEMBERS = new Set(["kty", "n", "e", "crv", "x", "y"]);

/**
 * A key for tokens signed with some of `algorithms`; else a sentence that says why not, without
 * showing any part of the key.
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
  if (fitting.length === 0) return `is not a key for ${algorithms.join(" or ")}`;
  const kid: unknown = typeof given === "string" ? undefined : given["kid"];
  return { kid: typeof kid === "string" ? kid : null, algorithms: fitting, key };
}

/** Why the declared use of a key (RFC 7517, 4.2 and 4.3) does not allow verifying signatures. */
function whyNotMeant({ use, key_ops: operations, alg }: Jwk): string | null {
  if (use !== undefined && use !== "sig") return `has use ${show(use)}, expects "sig"`;
  const verifies = Array.isArray(operations) && operations.includes("verify");
  if (operations !== undefined && !verifies) return 'has key_ops without "verify"';
  return alg === undefined || typeof alg === "string"
    ? null
    : `has alg ${show(alg)}, expects a text`;
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

/** With an exponent of 1 a signature equals its message, so anybody can forge one. */
function whyWeak({ asymmetricKeyDetails: details }: KeyObject): string | null {
  const { modulusLength: bits, publicExponent: exponent } = details ?? {};
  if (bits === undefined || exponent === undefined) return null;
  if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX) {
    return `has ${bits} bits, expects ${RSA_BITS_MIN} to ${RSA_BITS_MAX}`;
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

/** `EdDSA` is the older name of `Ed25519` on that curve (RFC 9864). */
function isSame(algorithm: Algorithm, alg: unknown): boolean {
  if (algorithm === "EdDSA" || algorithm === "Ed25519") return alg === "EdDSA" || alg === "Ed25519";
  return algorithm === alg;
}

/** All keys in a JSON Web Key Set; null if the value is not one. */
export function keysIn(set: unknown): readonly Jwk[] | null {
  if (!isRecord(set) || !Array.isArray(set["keys"])) return null;
  return set["keys"].filter(isRecord);
}
