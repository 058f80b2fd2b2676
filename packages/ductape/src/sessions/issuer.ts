import { compactVerify, createLocalJWKSet, errors, importJWK, importSPKI } from "jose";
import type { CompactVerifyGetKey, CryptoKey, JSONWebKeySet } from "jose";
import { DuctapeError, show, ValidationError } from "../errors.js";
import { isRecord } from "../json.js";
import type { SessionBody } from "../session.js";
import type { Clock } from "../store.js";
import { isPublicJwk, type Algorithm } from "../trust.js";
import { Recent } from "./recent.js";

/** Most bytes of a key set. */
const JWKS_BYTES_MAX = 65_536;
/** How long a fetch may take, in milliseconds. */
const FETCH_MS_MAX = 5_000;
/** Keys are asked for again after this long. */
const FRESH_MS = 600_000;
/** A token of an unknown key makes one fetch, at most this often. */
const COOL_DOWN_MS = 30_000;
/** The pause after a fetch that failed. */
const RETRY_MS = 1_000;
/** Keys that cannot be fetched again serve for this long. */
const STALE_MS_MAX = 86_400_000;
const RSA_BITS_MIN = 2_048;
/** Characters of addresses whose keys are kept. */
const REMOTE_CHARS_MAX = 262_144;

/** Verifies tokens of outside issuers with their public keys, given or fetched. */
export class Issuers {
  readonly #clock: Clock;
  readonly #remotes = new Recent<RemoteKeys>(REMOTE_CHARS_MAX);
  /** By definition, which is another object when it changes. */
  readonly #sources = new WeakMap<SessionBody, CompactVerifyGetKey>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * What a token says whose signature is right; null where it is not. Throws `ISSUER_UNAVAILABLE`
   * where the issuer's keys are needed and cannot be fetched.
   */
  async verified(definition: SessionBody, token: string): Promise<Uint8Array | null> {
    const { jwks, algorithms } = definition;
    const remote = typeof jwks === "string" ? this.#remote(jwks) : null;
    const source = remote === null ? this.#source(definition) : await remote.keys();
    const first = await verifiedBy(source, token, algorithms);
    if (first !== "unknown key" || remote === null) return first === "unknown key" ? null : first;
    const renewed = await remote.renewed();
    const second = renewed === null ? null : await verifiedBy(renewed, token, algorithms);
    return second === "unknown key" ? null : second;
  }

  #remote(url: string): RemoteKeys {
    const known = this.#remotes.get(url);
    if (known !== undefined) return known;
    const made = new RemoteKeys(url, this.#clock);
    this.#remotes.set(url, made);
    return made;
  }

  #source(definition: SessionBody): CompactVerifyGetKey {
    const known = this.#sources.get(definition);
    if (known !== undefined) return known;
    const { jwks, public_key } = definition;
    const source =
      public_key === null ? createLocalJWKSet(keySetOf(jwks)) : publicKeySource(public_key);
    this.#sources.set(definition, source);
    return source;
  }
}

async function verifiedBy(
  source: CompactVerifyGetKey,
  token: string,
  algorithms: readonly Algorithm[],
): Promise<Uint8Array | "unknown key" | null> {
  try {
    const { payload } = await compactVerify(token, source, { algorithms: [...algorithms] });
    return payload;
  } catch (error) {
    // Whatever is wrong with a token, or with a key that does not fit it, it is not verified.
    return error instanceof errors.JWKSNoMatchingKey ? "unknown key" : null;
  }
}

type PublicKey = NonNullable<SessionBody["public_key"]>;

function publicKeySource(key: PublicKey): CompactVerifyGetKey {
  const byAlgorithm = new Map<string, ReturnType<typeof importPublicKey>>();
  return ({ alg }) => {
    const known = byAlgorithm.get(alg) ?? importPublicKey(key, alg);
    byAlgorithm.set(alg, known);
    return known;
  };
}

async function importPublicKey(key: PublicKey, algorithm: string): Promise<CryptoKey> {
  const imported =
    typeof key === "string" ? await importSPKI(key, algorithm) : await importJWK(key, algorithm);
  if (imported instanceof Uint8Array || imported.type !== "public") {
    throw new TypeError("it is no public key");
  }
  return imported;
}

/** Throws `VALIDATION` where a public key is none, too short, or of another kind. */
export async function checkPublicKey({ public_key, algorithms }: SessionBody): Promise<void> {
  if (public_key === null) return;
  for (const algorithm of algorithms) {
    const key = await importPublicKey(public_key, algorithm).catch(() => null);
    const bits: unknown = key !== null && Reflect.get(key.algorithm, "modulusLength");
    const isShort = typeof bits === "number" && bits < RSA_BITS_MIN;
    if (key !== null && !isShort) continue;
    const why = isShort ? `has ${bits} bits, wants ${RSA_BITS_MIN}` : `is no key for ${algorithm}`;
    throw new ValidationError([{ path: "public_key", message: why }]);
  }
}

function keySetOf(value: unknown): JSONWebKeySet {
  if (!isRecord(value) || !Array.isArray(value["keys"])) throw new Error("it is no key set");
  // A key set that is fetched may hold keys for other ends: those are not ours.
  return { keys: value["keys"].filter(isPublicJwk) };
}

/** The keys behind a URL, kept, and fetched again when they are old or a token names another. */
class RemoteKeys {
  readonly #url: string;
  readonly #clock: Clock;
  #keys: CompactVerifyGetKey | null = null;
  #fetchedMs = 0;
  #triedMs = -Infinity;
  #fault: DuctapeError | null = null;
  #fetching: Promise<void> | null = null;

  constructor(url: string, clock: Clock) {
    this.#url = url;
    this.#clock = clock;
  }

  /** The keys as they are known. Throws `ISSUER_UNAVAILABLE` where none are, or only old ones. */
  async keys(): Promise<CompactVerifyGetKey> {
    const ageMs = () => this.#clock() - this.#fetchedMs;
    if (this.#keys === null || ageMs() > FRESH_MS) await this.#fetchOnce();
    if (this.#keys !== null && ageMs() <= STALE_MS_MAX) return this.#keys;
    throw this.#fault ?? unavailable(this.#url, "it was not fetched");
  }

  /** Newer keys, for a token of an unknown one; null where they were asked for just now. */
  async renewed(): Promise<CompactVerifyGetKey | null> {
    const before = this.#keys;
    await this.#fetchOnce();
    return this.#keys === before ? null : this.#keys;
  }

  /** One fetch at a time, and none within the pause after it. */
  #fetchOnce(): Promise<void> {
    const pauseMs = this.#fault === null ? COOL_DOWN_MS : RETRY_MS;
    if (this.#fetching === null && this.#clock() - this.#triedMs < pauseMs) {
      return Promise.resolve();
    }
    this.#fetching ??= this.#fetch().finally(() => {
      this.#fetching = null;
    });
    return this.#fetching;
  }

  async #fetch(): Promise<void> {
    this.#triedMs = this.#clock();
    try {
      const text = await fetchText(this.#url);
      this.#keys = createLocalJWKSet(keySetOf(JSON.parse(text)));
      this.#fetchedMs = this.#triedMs;
      this.#fault = null;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.#fault = unavailable(this.#url, why, error);
    }
  }
}

async function fetchText(url: string): Promise<string> {
  const response = await fetch(url, {
    redirect: "error",
    credentials: "omit",
    headers: { accept: "application/json" },
    signal: AbortSignal.timeout(FETCH_MS_MAX),
  });
  if (!response.ok || response.body === null) throw new Error(`it answers ${response.status}`);
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body) {
    bytes += chunk.length;
    if (bytes > JWKS_BYTES_MAX) throw new Error(`it has more than ${JWKS_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function unavailable(url: string, why: string, cause?: unknown): DuctapeError {
  const message = `jwks: the keys at ${show(url)} cannot be fetched: ${why}`;
  return new DuctapeError("ISSUER_UNAVAILABLE", message, { cause });
}
