import type { Action } from "../../decide/action.js";
import { rememberedMs, type Hold } from "../../decide/hold.js";
import type { AnswerKey } from "../../decide/plan.js";
import { holdText, readHold } from "../hold-record.js";
import type { KeptHolds } from "../kept-holds.js";
import { numberArray, textArray } from "./arrays.js";
import type { Row, Value } from "./pool.js";

/** A hold in memory, as its row was when last read or written. */
export interface KnownHold {
  readonly hold: Hold;
  /** The version of the row, unique to the change that wrote it. */
  readonly version: string;
}

/** A hold of a batch. */
export interface HoldSlot {
  readonly space: string;
  readonly name: string;
  hold: Hold | undefined;
  /** The version of its row; null: it has none, or none is known. */
  version: string | null;
  /** The batch begins with a `reserve`, so most likely it has no row. */
  readonly isNew: boolean;
  isDirty: boolean;
}

type HoldKey = Pick<AnswerKey, "space" | "name">;

/** The holds of one batch. */
export class BatchHolds {
  readonly #slots = new Map<string, HoldSlot>();
  readonly #known: KeptHolds<KnownHold>;

  constructor(known: KeptHolds<KnownHold>) {
    this.#known = known;
  }

  /** A step of the batch acts on a hold. */
  add({ space, name }: HoldKey, action: Action): void {
    const key = space + name;
    if (this.#slots.has(key)) return;
    const known = this.#known.get(key);
    const isNew = known === undefined && action === "reserve";
    const [hold, version] = [known?.hold, known?.version ?? null];
    this.#slots.set(key, { space, name, hold, version, isNew, isDirty: false });
  }

  get isEmpty(): boolean {
    return this.#slots.size === 0;
  }

  /** True if it is known what the rows of all holds contain, unless others have changed them. */
  get isCalm(): boolean {
    for (const { version, isNew } of this.#slots.values()) {
      if (version === null && !isNew) return false;
    }
    return true;
  }

  get hasChanged(): boolean {
    for (const { isDirty } of this.#slots.values()) if (isDirty) return true;
    return false;
  }

  find({ space, name }: HoldKey): Hold | undefined {
    return this.#slotOf(space + name).hold;
  }

  put({ space, name }: HoldKey, hold: Hold): void {
    const slot = this.#slotOf(space + name);
    slot.hold = hold;
    slot.isDirty = true;
  }

  /** The parameters of the statement that locks and reads the rows, in the order of their keys. */
  keys(): Value[] {
    const slots = this.#inOrder();
    return [textArray(slots.map(({ space }) => space)), textArray(slots.map(({ name }) => name))];
  }

  /** Replaces everything with the rows of the server, before anything is decided. */
  load(rows: readonly Row[]): void {
    for (const slot of this.#slots.values()) {
      slot.hold = undefined;
      slot.version = null;
      slot.isDirty = false;
    }
    for (const [space, name, version, record] of rows) {
      const slot = this.#slotOf(`${space}${name}`);
      slot.hold = readHold(String(record));
      slot.version = version ?? null;
    }
  }

  /** Changed holds without a row. */
  inserts(): HoldSlot[] {
    return this.#inOrder().filter(({ isDirty, version }) => isDirty && version === null);
  }

  /** Changed holds with a row. */
  updates(): HoldSlot[] {
    return this.#inOrder().filter(({ isDirty, version }) => isDirty && version !== null);
  }

  /**
   * The parameters of the guarded statement for all holds: the expected version (null: no row),
   * then as {@link holdValues}; a hold that must only be unchanged has no record.
   */
  guardValues(): Value[] {
    const slots = this.#inOrder();
    const versions = numberArray(slots.map(({ version }) => version));
    return [versions, ...holdValues(slots)];
  }

  /** Keeps the holds of the batch, committed under `version`, in memory for the next one. */
  keep(version: string): void {
    for (const [key, { hold, isDirty, version: before }] of this.#slots) {
      const now = isDirty ? version : before;
      if (hold?.status !== "open" || now === null) this.#known.drop(key);
      else this.#known.keep(key, { hold, version: now });
    }
  }

  #inOrder(): HoldSlot[] {
    return [...this.#slots].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, slot]) => slot);
  }

  #slotOf(key: string): HoldSlot {
    const slot = this.#slots.get(key);
    if (slot === undefined) throw new Error("a plan asks for a hold that was not loaded");
    return slot;
  }
}

/** The columns of holds but the version, as parameters; null for one that is not dirty. */
export function holdValues(
  slots: readonly Pick<HoldSlot, "space" | "name" | "hold" | "isDirty">[],
): Value[] {
  const all = <T>(pick: (hold: Hold) => T) =>
    slots.map(({ hold, isDirty }) => (isDirty && hold !== undefined ? pick(hold) : null));
  return [
    textArray(slots.map(({ space }) => space)),
    textArray(slots.map(({ name }) => name)),
    numberArray(all(({ openedMs }) => openedMs)),
    numberArray(all(rememberedMs)),
    textArray(all(({ status }) => (status === "open" ? "t" : "f"))),
    textArray(all(holdText)),
  ];
}
