import type { KeyObject } from "node:crypto";
import { compactVerify } from "jose";
import { DuctapeError, show, ValidationError } from "../base/errors.js";
import { OutgoingError, type Outgoing } from "../base/outgoing.js";
import type { SessionBody } from "../define/session.js";
import type { Clock } from "../base/call.js";
import type { TokenHeader } from "./token.js";
import { ALGORITHMS, type Algorithm, type PublicKey } from "../define/issuer.js";
import { keysIn, verifyingKey, type VerifyingKey } from "./public-key.js";
import { Recent } from "./recent.js";

/** The most bytes of a key set. */
const JWKS_BYTES_MAX = 65_536;
/** How long a fetch may take, in milliseconds. */
const FETCH_MS_MAX = 5_000;
/** How long keys are used before they are fetched again. */
const FRESH_MS = 600_000;
/** How often, at most, a token with an unknown key causes a fetch. */
const COOL_DOWN_MS = 30_000;
/** The pause after a failed fetch. */
const RETRY_MS = 1_000;
/** How long keys are used if they cannot be fetched again. */
const STALE_MS_MAX = 86_400_000;
/** The most keys that one token is tried with, to bound the cost of a hostile one. */
const TRIED_MAX = 8;
/** Characters of the addresses whose keys are kept. */
const REMOTE_CHARS_MAX = 262_144;

/** Verifies tokens of outside issuers with their public keys, given or fetched. */
export class Issuers {
  readonly #clock: Clock;
  readonly #outgoing: Outgoing;
  readonly #remotes = new Recent<RemoteKeys>(REMOTE_CHARS_MAX);
  /** By definition, which becomes a new object when it changes. */
  readonly #given = new WeakMap<SessionBody, readonly VerifyingKey[]>();

  constructor(clock: Clock, outgoing: Outgoing) {
    this.#clock = clock;
    this.#outgoing = outgoing;
  }

  /**
   * Throws `VALIDATION` if a key of a definition is not fit to verify with its `algorithms`, or if
   * its keys are at a forbidden address.
   */
  check({ public_key, jwks, algorithms }: SessionBody): void {
    if (public_key !== null) refuse("public_key", whyNoKey(public_key, algorithms));
    if (typeof jwks === "string") refuse("jwks", this.#outgoing.refusal(jwks));
    for (const [i, jwk] of (keysIn(jwks) ?? []).entries()) {
      const key = verifyingKey(jwk, algorithms);
      if (typeof key === "string") refuse("jwks", `keys[${i}] ${key}`);
    }
  }

  /**
   * The claims of a token if its signature is right, else null. Throws `ISSUER_UNAVAILABLE` if the
   * issuer's keys are needed and cannot be fetched.
   */
  async verified(
    definition: SessionBody,
    token: string,
    header: TokenHeader,
  ): Promise<Uint8Array | null> {
    const { jwks } = definition;
    if (typeof jwks !== "string") {
      return orNull(await verifiedBy(this.#keysOf(definition), token, header));
    }
    const remote = this.#remote(jwks);
    const first = await verifiedBy(await remote.keys(), token, header);
    if (first !== "unknown key") return first;
    const renewed = await remote.renewed();
    return renewed === null ? null : orNull(await verifiedBy(renewed, token, header));
  }

  #remote(url: string): RemoteKeys {
    const known = this.#remotes.get(url);
    if (known !== undefined) return known;
    const made = new RemoteKeys(url, this.#clock, this.#outgoing);
    this.#remotes.set(url, made);
    return made;
  }

  #keysOf(definition: SessionBody): readonly VerifyingKey[] {
    const known = this.#given.get(definition);
    if (known !== undefined) return known;
    const { jwks, public_key, algorithms } = definition;
    const given = public_key === null ? keysIn(jwks) : [public_key];
    const keys = usableKeys(given ?? [], algorithms);
    this.#given.set(definition, keys);
    return keys;
  }
}

function refuse(path: string, message: string | null): void {
  if (message !== null) throw new ValidationError([{ path, message }]);
}

/** The key of a definition must fit each of its algorithms, or one of them could never verify. */
function whyNoKey(key: PublicKey, algorithms: readonly Algorithm[]): string | null {
  const found = verifyingKey(key, algorithms);
  if (typeof found === "string") return found;
  const other = algorithms.find((algorithm) => !found.algorithms.includes(algorithm));
  return other === undefined ? null : `is not a key for ${other}`;
}

/** The keys fit for verifying: a set may also contain keys for other purposes, or weak ones. */
function usableKeys(
  given: readonly PublicKey[],
  algorithms: readonly Algorithm[],
): readonly VerifyingKey[] {
  return given.flatMap((each) => {
    const key = verifyingKey(each, algorithms);
    return typeof key === "string" ? [] : [key];
  });
}

/**
 * The payload of a token signed by one of the keys. "unknown key": the token names none of these
 * keys, and none has signed it. Null: the key that it names has not signed it.
 */
async function verifiedBy(
  keys: readonly VerifyingKey[],
  token: string,
  { alg, kid }: TokenHeader,
): Promise<Uint8Array | "unknown key" | null> {
  const fitting = keys.filter(({ algorithms }) => algorithms.some((each) => each === alg));
  const named = kid === null ? [] : fitting.filter((key) => key.kid === kid);
  // Neither a key set nor a token has to name keys (RFC 7517, 4.5; RFC 7515, 4.1.4).
  const unnamed = kid === null ? fitting : fitting.filter((key) => key.kid === null);
  const tried = named.length > 0 ? named : unnamed;
  for (const { key } of tried.slice(0, TRIED_MAX)) {
    const payload = await payloadOf(token, key, alg);
    if (payload !== null) return payload;
  }
  return named.length > 0 ? null : "unknown key";
}

/** Whatever is wrong with a token or a key, the token is not verified. */
async function payloadOf(token: string, key: KeyObject, alg: string): Promise<Uint8Array | null> {
  try {
    return (await compactVerify(token, key, { algorithms: [alg] })).payload;
  } catch {
    return null;
  }
}

function orNull(verified: Uint8Array | "unknown key" | null): Uint8Array | null {
  return verified === "unknown key" ? null : verified;
}

/** The keys at a URL, kept, and fetched again when they are old or a token names an unknown one. */
class RemoteKeys {
  readonly #url: string;
  readonly #clock: Clock;
  readonly #outgoing: Outgoing;
  #keys: readonly VerifyingKey[] | null = null;
  #fetchedMs = 0;
  #triedMs = -Infinity;
  #fault: DuctapeError | null = null;
  #fetching: Promise<void> | null = null;

  constructor(url: string, clock: Clock, outgoing: Outgoing) {
    this.#url = url;
    this.#clock = clock;
    this.#outgoing = outgoing;
  }

  /** The known keys. Throws `ISSUER_UNAVAILABLE` if there are none, or only old ones. */
  async keys(): Promise<readonly VerifyingKey[]> {
    const ageMs = () => this.#sinceMs(this.#fetchedMs);
    if (this.#keys === null || ageMs() > FRESH_MS) await this.#fetchOnce();
    if (this.#keys !== null && ageMs() <= STALE_MS_MAX) return this.#keys;
    throw this.#fault ?? unavailable(this.#url, "it was not fetched");
  }

  /** Newer keys, for a token with an unknown key; null if they were just fetched. */
  async renewed(): Promise<readonly VerifyingKey[] | null> {
    const before = this.#keys;
    await this.#fetchOnce();
    return this.#keys === before ? null : this.#keys;
  }

  /** One fetch at a time, and none during the pause after it. */
  #fetchOnce(): Promise<void> {
    const pauseMs = this.#fault === null ? COOL_DOWN_MS : RETRY_MS;
    if (this.#fetching === null && this.#sinceMs(this.#triedMs) < pauseMs) {
      return Promise.resolve();
    }
    this.#fetching ??= this.#fetch().finally(() => {
      this.#fetching = null;
    });
    return this.#fetching;
  }

  /** The distance from now in milliseconds, even to a later instant if the clock was set back. */
  #sinceMs(atMs: number): number {
    return Math.abs(this.#clock() - atMs);
  }

  async #fetch(): Promise<void> {
    this.#triedMs = this.#clock();
    try {
      const { status, text } = await this.#outgoing.send({
        url: this.#url,
        headers: { accept: "application/json" },
        timeoutMs: FETCH_MS_MAX,
        bytesMax: JWKS_BYTES_MAX,
      });
      if (status < 200 || status > 299) throw new OutgoingError(`it answered ${status}`);
      this.#keys = keysOfSet(text);
      this.#fetchedMs = this.#triedMs;
      this.#fault = null;
    } catch (error) {
      if (!(error instanceof OutgoingError)) throw error;
      this.#fault = unavailable(this.#url, error.message);
    }
  }
}

function keysOfSet(text: string): readonly VerifyingKey[] {
  const keys = keysIn(parsed(text));
  // Not the parser's message, which quotes what it read.
  if (keys === null) throw new OutgoingError("it is not a JSON Web Key Set");
  return usableKeys(keys, ALGORITHMS);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function unavailable(url: string, why: string): DuctapeError {
  const message = `jwks: the keys at ${show(url)} cannot be fetched: ${why}`;
  return new DuctapeError("ISSUER_UNAVAILABLE", message);
}
