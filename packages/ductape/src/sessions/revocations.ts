import type { Catalogue, Follower } from "../define/catalogue.js";
import { revokedId } from "../base/key.js";
import { isRecord } from "../base/json.js";
import type { Clock } from "../base/call.js";
import type { DocumentChange } from "../stores/store.js";

/** Old entries visited for each new one; more than one keeps ahead of the growth. */
const VISITS_PER_ENTRY = 2;

/**
 * Revoked sessions, until the last of their tokens has expired. Revocations by this process are
 * seen at once, those by others within a second.
 */
export class Revocations implements Follower {
  readonly #endsMs = new Map<string, number>();
  readonly #clock: Clock;
  #walk = this.#endsMs.entries();

  constructor(catalogue: Catalogue, clock: Clock) {
    this.#clock = clock;
    catalogue.follow("revoked", this);
  }

  /** True for a revoked session. */
  has(sessionId: string): boolean {
    return this.#endsMs.size > 0 && this.#endsMs.has(sessionId);
  }

  take({ key, value }: DocumentChange): void {
    const parsed: unknown = value === null ? null : JSON.parse(value);
    const endsMs = isRecord(parsed) ? parsed["ends_ms"] : null;
    if (typeof endsMs !== "number") return;
    this.#endsMs.set(revokedId(key), endsMs);
    for (let visit = 0; visit < VISITS_PER_ENTRY; visit++) this.#visit();
  }

  clear(): void {
    this.#endsMs.clear();
    this.#walk = this.#endsMs.entries();
  }

  #visit(): void {
    const next = this.#walk.next();
    if (next.done === true) this.#walk = this.#endsMs.entries();
    else if (next.value[1] <= this.#clock()) this.#endsMs.delete(next.value[0]);
  }
}
