import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  hkdfSync,
  randomBytes,
  timingSafeEqual,
  type KeyObject,
} from "node:crypto";

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** A key of 32 bytes for one purpose (HKDF-SHA256, RFC 5869): no two purposes share a key. */
export function derivedKey(secret: string | Uint8Array, purpose: string): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", secret, "ductape", purpose, 32));
}

/**
 * Encrypts a text with AES-256-GCM for one place; it cannot be decrypted as the text of another
 * place.
 */
export function seal(key: Uint8Array, text: string, place: string): string {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(Buffer.from(place));
  const sealed = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
  return Buffer.concat([nonce, sealed, cipher.getAuthTag()]).toString("base64url");
}

/** The decrypted text; null if the key or the place differs, or a bit has changed. */
export function unseal(key: Uint8Array, sealed: string, place: string): string | null {
  const bytes = Buffer.from(sealed, "base64url");
  if (bytes.length < NONCE_BYTES + TAG_BYTES) return null;
  const decipher = createDecipheriv("aes-256-gcm", key, bytes.subarray(0, NONCE_BYTES), {
    authTagLength: TAG_BYTES,
  });
  decipher.setAAD(Buffer.from(place)).setAuthTag(bytes.subarray(-TAG_BYTES));
  try {
    const text = decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES));
    return Buffer.concat([text, decipher.final()]).toString("utf8");
  } catch {
    return null;
  }
}

/**
 * The payload of a JWS of three parts in canonical base64url if its HMAC-SHA256 is right, else
 * null. Synchronous, because a thread pool would take ten times as long.
 */
export function signedPayload(token: string, key: KeyObject): Uint8Array | null {
  const end = token.lastIndexOf(".");
  const signature = Buffer.from(token.slice(end + 1), "base64url");
  const wanted = createHmac("sha256", key).update(token.slice(0, end)).digest();
  if (signature.length !== wanted.length || !timingSafeEqual(signature, wanted)) return null;
  return Buffer.from(token.slice(token.indexOf(".") + 1, end), "base64url");
}

/** SHA-256, for secrets too long to be guessed from their hash. */
export function hashOf(secret: string): string {
  return createHash("sha256").update(secret).digest("base64url");
}

/** Random bytes as base64url text. */
export function randomText(bytes: number): string {
  return randomBytes(bytes).toString("base64url");
}
