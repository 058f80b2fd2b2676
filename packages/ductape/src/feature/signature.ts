import { createHmac } from "node:crypto";
import { invalid, type Setting } from "../base/settings.js";

/** The fewest and the most bytes of a secret, as Standard Webhooks says. */
const [BYTES_MIN, BYTES_MAX] = [24, 64];

/**
 * Parses the secrets that requests to handlers are signed with: one or two of the form
 * `whsec_<base64>`, separated by spaces, each of 24 to 64 bytes. Throws `VALIDATION`, without
 * showing any.
 */
export function parseSecrets({ path, value }: Setting): readonly Buffer[] {
  if (value === undefined) return [];
  const texts = typeof value === "string" ? value.split(" ") : [];
  const secrets = texts.map((text) => {
    const [, base64 = ""] = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(text) ?? [];
    return Buffer.from(base64, "base64");
  });
  const areRight = secrets.every(({ length }) => length >= BYTES_MIN && length <= BYTES_MAX);
  if (areRight && (secrets.length === 1 || secrets.length === 2)) return secrets;
  const wanted = `expects whsec_ and base64 of ${BYTES_MIN} to ${BYTES_MAX} random bytes`;
  throw invalid(path, `${wanted}, or two of these separated by a space`);
}

/**
 * The headers that sign a request, by each of the secrets: HMAC-SHA256 of the id, the time in
 * seconds and the body, joined by dots. Source: Standard Webhooks, specification 1.0.0.
 */
export function signatureHeaders(
  secrets: readonly Buffer[],
  id: string,
  nowMs: number,
  body: string,
): Readonly<Record<string, string>> {
  const seconds = String(Math.floor(nowMs / 1_000));
  const signed = secrets.map((secret) => {
    const hmac = createHmac("sha256", secret).update(`${id}.${seconds}.${body}`);
    return `v1,${hmac.digest("base64")}`;
  });
  return {
    "webhook-id": id,
    "webhook-timestamp": seconds,
    "webhook-signature": signed.join(" "),
  };
}
