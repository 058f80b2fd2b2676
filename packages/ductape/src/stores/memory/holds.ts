import { rememberedMs, type Hold } from "../../decide/hold.js";
import type { AnswerKey } from "../../decide/plan.js";
import { holdText, readHold } from "../hold-record.js";
import type { HoldPage, HoldRow } from "../store.js";
import { inOrder } from "./documents.js";
import { textBytes, type MemoryRoom, type Tenant } from "./room.js";

/** A hold that is settled: of its record, which nothing changes any more, only the text is kept. */
interface Settled {
  readonly text: string;
  readonly keptMs: number;
}

/** The holds of one space. */
interface Space {
  readonly tenant: Tenant;
  /** The oldest first: a hold keeps its place when it changes. */
  readonly open: Map<string, Hold>;
  readonly settled: Map<string, Settled>;
}

/** Bytes of an open hold and its place in a map, without its texts. */
const OPEN_BYTES = 900;
/** Further bytes of an open hold for each of its counters. */
const PART_BYTES = 350;
/** Bytes of a settled one, without its texts. */
const SETTLED_BYTES = 150;
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
  get({ space, name }: Pick<AnswerKey, "space" | "name">): Hold | undefined {
    const known = this.#spaces.get(space);
    if (known === undefined) return undefined;
    const hold = known.open.get(name);
    if (hold !== undefined) return hold;
    const settled = known.settled.get(name);
    return settled === undefined ? undefined : readHold(settled.text);
  }

  /** Stores a hold, or replaces it. */
  put(spaceName: string, name: string, hold: Hold, nowMs: number): void {
    const space = this.#spaces.get(spaceName) ?? this.#newSpace(spaceName);
    const { tenant, open, settled } = space;
    const before = this.#remove(space, name, hold);
    if (hold.status === "open") {
      open.set(name, hold);
      this.#room.take(tenant, openBytes(name, hold.owners, hold.parts.length));
    } else {
      const kept = { text: holdText(hold), keptMs: rememberedMs(hold) };
      settled.set(name, kept);
      this.#room.take(tenant, settledBytes(name, kept));
    }
    if (!before) this.dropPast(nowMs);
  }

  /** Removes what a hold replaces, but for its place if it goes on; true if there was anything. */
  #remove({ tenant, open, settled }: Space, name: string, { status, openedMs }: Hold): boolean {
    const hold = open.get(name);
    if (hold !== undefined) {
      this.#room.take(tenant, -openBytes(name, hold.owners, hold.parts.length));
      // A new hold under a name that was forgotten takes the last place.
      if (status !== "open" || hold.openedMs !== openedMs) open.delete(name);
    }
    const kept = settled.get(name);
    if (kept !== undefined) {
      this.#room.take(tenant, -settledBytes(name, kept));
      settled.delete(name);
    }
    return hold !== undefined || kept !== undefined;
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
    for (const [space, { open, settled }] of this.#spaces) {
      for (const [name, hold] of open) {
        if (rememberedMs(hold) > nowMs) yield { space, name, hold };
      }
      for (const [name, { text, keptMs }] of settled) {
        if (keptMs > nowMs) yield { space, name, hold: readHold(text) };
      }
    }
  }

  /** See `Records.hold`. */
  live(space: string, name: string, nowMs: number): Hold | null {
    const hold = this.get({ space, name });
    return hold === undefined || rememberedMs(hold) <= nowMs ? null : hold;
  }

  /** See `Records.openHolds`. */
  open(space: string, { after, limit }: HoldPage, nowMs: number): HoldRow[] {
    const rows: HoldRow[] = [];
    for (const [name, hold] of this.#spaces.get(space)?.open ?? []) {
      if (hold.expiresMs <= nowMs) continue;
      if (after === null || inOpenedOrder(after, { name, openedMs: hold.openedMs }) < 0) {
        rows.push({ space, name, hold });
      }
    }
    const placeOf = ({ name, hold: { openedMs } }: HoldRow) => ({ name, openedMs });
    return rows.toSorted((a, b) => inOpenedOrder(placeOf(a), placeOf(b))).slice(0, limit);
  }

  /** Deletes the holds of all spaces that start with `prefix`. */
  forget(prefix: string): void {
    for (const [spaceName, { tenant, open, settled }] of this.#spaces) {
      if (!spaceName.startsWith(prefix)) continue;
      for (const [name, { owners, parts }] of open) {
        this.#room.take(tenant, -openBytes(name, owners, parts.length));
      }
      for (const [name, kept] of settled) this.#room.take(tenant, -settledBytes(name, kept));
      this.#spaces.delete(spaceName);
    }
  }

  #newSpace(name: string): Space {
    const tenant = this.#room.tenantOf(name);
    const space = { tenant, open: new Map(), settled: new Map() };
    this.#spaces.set(name, space);
    return space;
  }

  *#walkHolds(): Generator<undefined> {
    for (const [spaceName, { tenant, open, settled }] of this.#spaces) {
      for (const [name, hold] of open) {
        if (rememberedMs(hold) <= this.#nowMs) {
          open.delete(name);
          this.#room.take(tenant, -openBytes(name, hold.owners, hold.parts.length));
        }
        yield;
      }
      for (const [name, kept] of settled) {
        if (kept.keptMs <= this.#nowMs) {
          settled.delete(name);
          this.#room.take(tenant, -settledBytes(name, kept));
        }
        yield;
      }
      if (open.size + settled.size === 0) this.#spaces.delete(spaceName);
    }
  }
}

/** The size of an open hold of so many counters, in bytes. */
export function openBytes(name: string, owners: string, parts: number): number {
  return OPEN_BYTES + parts * PART_BYTES + textBytes(name) + textBytes(owners);
}

function settledBytes(name: string, { text }: Settled): number {
  return SETTLED_BYTES + textBytes(name) + textBytes(text);
}

/** A hold's place in a list of open ones. */
type Place = NonNullable<HoldPage["after"]>;

function inOpenedOrder(a: Place, b: Place): number {
  return a.openedMs - b.openedMs || inOrder(a.name, b.name);
}
