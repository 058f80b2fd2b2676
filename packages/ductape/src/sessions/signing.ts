import { createSecretKey, type KeyObject } from "node:crypto";
import type { CryptoKey } from "jose";
import type { Catalogue, Follower } from "../define/catalogue.js";
import { StoreError, ValidationError } from "../base/errors.js";
import { signingKey, type EnvironmentPlace } from "../base/key.js";
import { isRecord } from "../base/json.js";
import type { Clock } from "../base/call.js";
import type { DocumentChange, DocumentWrite } from "../stores/store.js";
import { derivedKey, randomText, seal, unseal } from "./seal.js";
import { SharedRead } from "./shared-read.js";

/** A key of an environment, ready for use. */
interface SigningKey {
  readonly kid: string;
  /** HMAC-SHA256. */
  readonly sign: KeyObject;
  /** AES-256-GCM. */
  readonly encrypt: CryptoKey;
}

/** A stored key; `secret` is unencrypted, or encrypted with the client's secret. */
interface StoredKey {
  readonly kid: string;
  readonly secret: string;
  readonly is_sealed: boolean;
  readonly created_ms: number;
  /** When another key took over; null for the key that signs. */
  readonly retired_ms: number | null;
  /** The longest life of a token that it signs, in milliseconds. */
  readonly longest_ms: number;
}

interface StoredKeys {
  readonly revision: number;
  readonly keys: readonly StoredKey[];
}

/** How often, at most, an unknown key makes the process read again. */
const REREAD_PAUSE_MS = 250;
/** How long another process may sign with an old key after a rotation that it has not seen. */
const UNSEEN_MS_MAX = 60_000;
const NO_KEYS: StoredKeys = { revision: 0, keys: [] };

/** What {@link SigningKeys} depends on. */
interface SigningParts {
  readonly catalogue: Catalogue;
  readonly clock: Clock;
  /** Encrypts stored keys; null: they are stored unencrypted. */
  readonly secret: string | null;
}

/**
 * The keys that sign tokens, one set for each environment, created at first use and kept in the
 * store. A new key signs at once; an old one verifies until the last token it signed expires.
 */
export class SigningKeys implements Follower {
  readonly #parts: SigningParts;
  readonly #sealing: Uint8Array | null;
  readonly #stored = new Map<string, StoredKeys>();
  /** By key id; a key never changes. */
  readonly #ready = new Map<string, Promise<SigningKey>>();
  readonly #reread: SharedRead;

  constructor(parts: SigningParts) {
    this.#parts = parts;
    this.#sealing = parts.secret === null ? null : derivedKey(parts.secret, "sealed keys");
    this.#reread = new SharedRead(() => parts.catalogue.refresh(), REREAD_PAUSE_MS);
    parts.catalogue.follow("signing", this);
  }

  /**
   * The key that signs tokens with a life of `lifetimeMs`; created if the store has no such key.
   * Throws `STORE_UNAVAILABLE`, `TIMEOUT`, and `VALIDATION` if the stored key needs another secret.
   */
  async current(place: EnvironmentPlace, lifetimeMs: number): Promise<SigningKey> {
    const isLongEnough = (key: StoredKey | undefined) => (key?.longest_ms ?? -1) >= lifetimeMs;
    if (!isLongEnough(this.#newest(place))) {
      await this.#change(place, (keys) => {
        const [newest, ...older] = keys;
        if (newest === undefined) return [this.#made(place, lifetimeMs)];
        return isLongEnough(newest) ? null : [{ ...newest, longest_ms: lifetimeMs }, ...older];
      });
    }
    const key = this.#newest(place);
    if (key === undefined) throw new StoreError("STORE_UNAVAILABLE", "the new key is gone again");
    return this.#prepared(place, key);
  }

  /**
   * The key with an id that still verifies, even one that another process has just made; or null.
   */
  async find(place: EnvironmentPlace, kid: string): Promise<SigningKey | null> {
    if (this.#known(place, kid) === undefined) await this.#reread.after();
    const key = this.#known(place, kid);
    if (key === undefined || endOf(key) <= this.#parts.clock()) return null;
    return this.#prepared(place, key);
  }

  /** Makes a new key, which signs from now on. Returns its id. */
  async rotate(place: EnvironmentPlace): Promise<string> {
    const nowMs = this.#parts.clock();
    let kid = "";
    await this.#change(place, (keys) => {
      const made = this.#made(place, keys[0]?.longest_ms ?? 0);
      kid = made.kid;
      // A key retired by a fast clock would verify until that time.
      const retiredMs = (key: StoredKey) => Math.min(key.retired_ms ?? nowMs, nowMs);
      const old = keys.map((key) => ({ ...key, retired_ms: retiredMs(key) }));
      return [made, ...old.filter((key) => endOf(key) > nowMs)];
    });
    return kid;
  }

  /** The stored keys of an environment, to be deleted with it. */
  documents(place: EnvironmentPlace): { key: string; revision: number }[] {
    const key = signingKey(place);
    const stored = this.#stored.get(key);
    return stored === undefined ? [] : [{ key, revision: stored.revision }];
  }

  #change(
    place: EnvironmentPlace,
    next: (keys: readonly StoredKey[]) => readonly StoredKey[] | null,
  ): Promise<void> {
    const key = signingKey(place);
    return this.#parts.catalogue.change(() => {
      const { revision, keys } = this.#stored.get(key) ?? NO_KEYS;
      const wanted = next(keys);
      const writes: DocumentWrite[] = [];
      if (wanted !== null) {
        writes.push({ key, ifRevision: revision, value: JSON.stringify({ keys: wanted }) });
      }
      return { writes };
    });
  }

  #newest(place: EnvironmentPlace): StoredKey | undefined {
    return this.#stored.get(signingKey(place))?.keys[0];
  }

  #known(place: EnvironmentPlace, kid: string): StoredKey | undefined {
    return this.#stored.get(signingKey(place))?.keys.find((key) => key.kid === kid);
  }

  #made(place: EnvironmentPlace, longest_ms: number): StoredKey {
    const kid = randomText(12);
    const secret = randomText(32);
    const sealing = this.#sealing;
    return {
      kid,
      secret: sealing === null ? secret : seal(sealing, secret, `${signingKey(place)}${kid}`),
      is_sealed: sealing !== null,
      created_ms: this.#parts.clock(),
      retired_ms: null,
      longest_ms,
    };
  }

  #prepared(place: EnvironmentPlace, key: StoredKey): Promise<SigningKey> {
    const known = this.#ready.get(key.kid);
    if (known !== undefined) return known;
    const secret = Buffer.from(this.#opened(place, key), "base64url");
    const made = importKeys(key.kid, secret);
    this.#ready.set(key.kid, made);
    return made;
  }

  #opened(place: EnvironmentPlace, { kid, secret, is_sealed }: StoredKey): string {
    if (!is_sealed) return secret;
    if (this.#sealing === null)
      throw secretFault("is required: the stored signing keys are encrypted");
    const opened = unseal(this.#sealing, secret, `${signingKey(place)}${kid}`);
    if (opened === null) {
      throw secretFault("is not the one that encrypted the stored signing keys");
    }
    return opened;
  }

  take({ key, revision, value }: DocumentChange): void {
    const gone = this.#stored.get(key)?.keys ?? [];
    if (value === null) this.#stored.delete(key);
    else this.#stored.set(key, { revision, keys: readKeys(value) });
    const kept = this.#stored.get(key)?.keys ?? [];
    for (const { kid } of gone) if (!kept.some((each) => each.kid === kid)) this.#ready.delete(kid);
  }

  clear(): void {
    this.#stored.clear();
    this.#ready.clear();
  }
}

async function importKeys(kid: string, secret: Uint8Array): Promise<SigningKey> {
  const { subtle } = globalThis.crypto;
  const [signing, encrypting] = [derivedKey(secret, "HS256"), derivedKey(secret, "A256GCM")];
  const encrypt = await subtle.importKey("raw", encrypting, "AES-GCM", false, [
    "encrypt",
    "decrypt",
  ]);
  return { kid, sign: createSecretKey(signing), encrypt };
}

/** When the last token that a key signed expires. */
function endOf({ retired_ms, longest_ms }: StoredKey): number {
  return retired_ms === null ? Infinity : retired_ms + longest_ms + UNSEEN_MS_MAX;
}

/** Keys that cannot be read are ignored: they accept no token, and a new one is made. */
function readKeys(text: string): readonly StoredKey[] {
  const value: unknown = JSON.parse(text);
  const keys = isRecord(value) && Array.isArray(value["keys"]) ? value["keys"] : [];
  return keys.filter(isStoredKey);
}

function isStoredKey(value: unknown): value is StoredKey {
  if (!isRecord(value)) return false;
  const { kid, secret, is_sealed, retired_ms, longest_ms } = value;
  return (
    typeof kid === "string" &&
    typeof secret === "string" &&
    typeof is_sealed === "boolean" &&
    (retired_ms === null || typeof retired_ms === "number") &&
    typeof longest_ms === "number"
  );
}

function secretFault(message: string): ValidationError {
  return new ValidationError([{ path: "options.secret", message }]);
}
