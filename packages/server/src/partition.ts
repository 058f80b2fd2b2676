import { createHmac, randomBytes } from "node:crypto";
import type { Records } from "ductape";

/** The name of one counter. */
interface CounterName {
  readonly product_tag: string;
  readonly env: string;
  readonly quota_tag: string;
  readonly rule: string;
  /** Null: the whole product. */
  readonly subject: string | null;
}

const KIND = "partition-key";
const ID = "1";
const SECRET_BYTES = 32;
/** 9 bytes: among a million counters, the chance that two share a key is 1 in 10^10. */
const KEY_CHARS = 12;

/**
 * Names counters to clients without revealing whose they are, by an HMAC-SHA256 of the name,
 * truncated to 9 bytes. The secret is in the store, so all servers of a store always give a
 * counter the same key, and nobody else can guess a subject and compare.
 */
export class Partitions {
  readonly #records: Records;
  readonly #warn: (message: string, error: unknown) => void;
  #making: Promise<void> | null = null;

  constructor(records: Records, warn: (message: string, error: unknown) => void) {
    this.#records = records;
    this.#warn = warn;
  }

  /** Creates the secret if the store has none; null if it is already known here. Never rejects. */
  ready(): Promise<void> | null {
    if (this.#records.get(KIND, ID) !== undefined) return null;
    this.#making ??= this.#make().finally(() => {
      this.#making = null;
    });
    return this.#making;
  }

  /** The key of a counter in base64; null as long as there is no secret. */
  keyOf({ product_tag, env, quota_tag, rule, subject }: CounterName): string | null {
    const secret = this.#records.get(KIND, ID)?.value;
    if (secret === undefined) return null;
    const name = JSON.stringify([product_tag, env, quota_tag, rule, subject]);
    return createHmac("sha256", secret).update(name).digest("base64").slice(0, KEY_CHARS);
  }

  async #make(): Promise<void> {
    const value = JSON.stringify(randomBytes(SECRET_BYTES).toString("base64url"));
    try {
      await this.#records.change(KIND, (records) => (records.has(ID) ? [] : [{ id: ID, value }]));
    } catch (error) {
      // An answer without a key is also valid, and the next one tries again.
      this.#warn("the secret of partition keys cannot be created yet; trying again", error);
    }
  }
}
