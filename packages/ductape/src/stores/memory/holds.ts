import { rememberedMs, type Hold } from "../../decide/hold.js";
import type { AnswerKey } from "../../decide/plan.js";
import type { HoldPage, HoldRow } from "../store.js";
import { inOrder } from "./documents.js";
import { textBytes, type MemoryRoom, type Tenant } from "./room.js";

/** The holds of one space, the oldest first: a hold keeps its place when it changes. */
interface Space {
  readonly tenant: Tenant;
  readonly holds: Map<string, Hold>;
}

/** Bytes of a hold of one rule with its answers and its place in a map, without its texts. */
export const HOLD_BYTES = 1_000;
/** Holds visited for each new one; more than one keeps ahead of the growth. */
const VISITS_PER_HOLD = 2;

/** Holds in this process, dropped a few at a time once they are no longer remembered. */
export class MemoryHolds {
  readonly #spaces = new Map<string, Space>();
  readonly #room: MemoryRoom;
  #walk = this.#walkHolds();
  #nowMs = 0;

  constructor(room: MemoryRoom) {
    this.#room = room;
  }

  /** A hold, which may be past the time it is remembered. */
  get({ space, name }: AnswerKey): Hold | undefined {
    return this.#spaces.get(space)?.holds.get(name);
  }

  /** Stores a hold, or replaces it. */
  put(spaceName: string, name: string, hold: Hold, nowMs: number): void {
    const space = this.#spaces.get(spaceName) ?? this.#newSpace(spaceName);
    const before = space.holds.get(name);
    // A new hold under a name that was forgotten takes the last place.
    if (before !== undefined && before.openedMs !== hold.openedMs) space.holds.delete(name);
    space.holds.set(name, hold);
    if (before !== undefined) return;
    this.#room.take(space.tenant, bytesOf(name, hold));
    this.dropPast(nowMs);
  }

  /** Drops what is no longer remembered of the next few. */
  dropPast(nowMs: number): void {
    this.#nowMs = nowMs;
    for (let visit = 0; visit < VISITS_PER_HOLD; visit++) {
      if (this.#walk.next().done === true) this.#walk = this.#walkHolds();
    }
  }

  /** All that are still remembered. */
  *rows(nowMs: number): Generator<HoldRow> {
    for (const [space, { holds }] of this.#spaces) {
      for (const [name, hold] of holds) {
        if (rememberedMs(hold) > nowMs) yield { space, name, hold };
      }
    }
  }

  /** See `Records.hold`. */
  live(space: string, name: string, nowMs: number): Hold | null {
    const hold = this.#spaces.get(space)?.holds.get(name);
    return hold === undefined || rememberedMs(hold) <= nowMs ? null : hold;
  }

  /** See `Records.openHolds`. */
  open(space: string, { after, limit }: HoldPage, nowMs: number): HoldRow[] {
    const rows: HoldRow[] = [];
    for (const [name, hold] of this.#spaces.get(space)?.holds ?? []) {
      if (hold.status !== "open" || hold.expiresMs <= nowMs) continue;
      if (after === null || inOpenedOrder(after, { name, openedMs: hold.openedMs }) < 0) {
        rows.push({ space, name, hold });
      }
    }
    const placeOf = ({ name, hold: { openedMs } }: HoldRow) => ({ name, openedMs });
    return rows.toSorted((a, b) => inOpenedOrder(placeOf(a), placeOf(b))).slice(0, limit);
  }

  /** Deletes the holds of all spaces that start with `prefix`. */
  forget(prefix: string): void {
    for (const [name, { tenant, holds }] of this.#spaces) {
      if (!name.startsWith(prefix)) continue;
      for (const [id, hold] of holds) this.#room.take(tenant, -bytesOf(id, hold));
      this.#spaces.delete(name);
    }
  }

  #newSpace(name: string): Space {
    const space = { tenant: this.#room.tenantOf(name), holds: new Map() };
    this.#spaces.set(name, space);
    return space;
  }

  *#walkHolds(): Generator<undefined> {
    for (const [name, { tenant, holds }] of this.#spaces) {
      for (const [id, hold] of holds) {
        if (rememberedMs(hold) <= this.#nowMs) {
          holds.delete(id);
          this.#room.take(tenant, -bytesOf(id, hold));
        }
        yield;
      }
      if (holds.size === 0) this.#spaces.delete(name);
    }
  }
}

function bytesOf(name: string, hold: Hold): number {
  return HOLD_BYTES + textBytes(name) + textBytes(hold.owners);
}

/** A hold's place in a list of open ones. */
type Place = NonNullable<HoldPage["after"]>;

function inOpenedOrder(a: Place, b: Place): number {
  return a.openedMs - b.openedMs || inOrder(a.name, b.name);
}
