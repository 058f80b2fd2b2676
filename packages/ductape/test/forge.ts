import { createHmac } from "node:crypto";
import type { Store } from "../src/stores/store.js";
import { derivedKey } from "../src/sessions/seal.js";

/** The parts of a token as text or JSON, to be taken apart and put together in wrong ways. */
export type Part = string | object;

/** A part of a token in base64url. */
export const encoded = (part: Part): string =>
  Buffer.from(typeof part === "string" ? part : JSON.stringify(part)).toString("base64url");

/** The header and the claims of a signed token. */
export function opened(token: string) {
  const [header = "", claims = ""] = token.split(".");
  return { header: record(header), claims: record(claims) };
}

function record(part: string): Record<string, unknown> {
  const value: Record<string, unknown> = JSON.parse(Buffer.from(part, "base64url").toString());
  return value;
}

/** The secrets of all signing keys in a store, by key id: what only an operator could read. */
export async function secretsOf(store: Store): Promise<Map<string, Uint8Array>> {
  const { changes } = await store.documents.changes(0);
  const secrets = new Map<string, Uint8Array>();
  for (const { key, value } of changes) {
    if (!key.startsWith("signing/") || value === null) continue;
    const { keys }: { keys: { kid: string; secret: string }[] } = JSON.parse(value);
    for (const { kid, secret } of keys) {
      secrets.set(kid, derivedKey(Buffer.from(secret, "base64url"), "HS256"));
    }
  }
  return secrets;
}

/** A token of these parts, whatever they are, under a right HMAC of `secret`. */
export function forged(header: Part, claims: Part, secret: string | Uint8Array): string {
  const text = `${encoded(header)}.${encoded(claims)}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}
