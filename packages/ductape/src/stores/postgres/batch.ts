import { apply, type Verdict } from "../../decide/apply.js";
import { answerKeyOf, type AnswerKey } from "../../decide/answer.js";
import { lastText, readLast, type Cell, type Cells } from "../../decide/cell.js";
import type { Leg } from "../../decide/leg.js";
import type { Step } from "../../decide/step.js";
import { currentAnswer } from "../old-answers.js";
import { numberArray, textArray } from "./arrays.js";
import { CALM_MIN, type CellForm, type Known, type KnownCells } from "./known.js";
import type { Row, Value } from "./pool.js";

/** A counter of a batch. */
export interface Slot {
  readonly key: string;
  /** A leg that names it. */
  readonly leg: Leg;
  /** What memory had of it. */
  readonly known: Known | undefined;
  cell: Cell | undefined;
  /** Of its row; null: it has none. */
  version: string | null;
  saved: CellForm | null;
  calm: number;
  isDirty: boolean;
}

/** An answer to write. */
export interface NewAnswer {
  readonly key: string;
  readonly text: string;
  readonly expiresMs: number;
}

/** The counters of a plan. */
export function keysOf(plan: Step): string[] {
  const keys: string[] = [];
  for (let step: Step | null = plan; step !== null; step = step.next) {
    for (let leg: Leg | null = step.legs; leg !== null; leg = leg.next) keys.push(keyOf(leg));
  }
  return keys;
}

const keyOf = ({ rule, subject }: Leg): string => rule.space + subject;

/** The counters and answers of one batch. */
export class Batch implements Cells {
  readonly plans: readonly Step[];
  readonly #slots = new Map<string, Slot>();
  /** The answers asked for, those that are there, and those that are new. */
  readonly #answerKeys = new Set<string>();
  readonly #answers = new Map<string, string>();
  readonly #newAnswers = new Map<string, NewAnswer>();
  #dirty: Slot[] = [];
  #lastLeg: Leg | null = null;
  #lastSlot: Slot | null = null;
  /** A plan speaks of several counters. */
  readonly hasSeveral: boolean;

  constructor(plans: readonly Step[], known: KnownCells) {
    this.plans = plans;
    let hasSeveral = false;
    for (const plan of plans) {
      for (let step: Step | null = plan; step !== null; step = step.next) {
        if (step.answer !== null) this.#answerKeys.add(answerKeyOf(step.answer));
        if (step.next !== null || step.legs.next !== null) hasSeveral = true;
        for (let leg: Leg | null = step.legs; leg !== null; leg = leg.next) this.#add(leg, known);
      }
    }
    this.hasSeveral = hasSeveral;
  }

  #add(leg: Leg, known: KnownCells): void {
    const key = keyOf(leg);
    if (this.#slots.has(key)) return;
    this.#slots.set(key, newSlot(key, leg, known.take(key)));
  }

  /** All counters are in memory, and no other process seems to touch them. */
  get isCalm(): boolean {
    if (this.#answerKeys.size > 0) return false;
    for (const { calm } of this.#slots.values()) if (calm < CALM_MIN) return false;
    return true;
  }

  get hasChanged(): boolean {
    return this.#dirty.length > 0 || this.#newAnswers.size > 0;
  }

  get slots(): Iterable<Slot> {
    return this.#slots.values();
  }

  /** The keys of all counters. */
  get keys(): string[] {
    return [...this.#slots.keys()];
  }

  /** The keys of all answers asked for. */
  get answerKeys(): string[] {
    return [...this.#answerKeys];
  }

  /** Rows of new counters and answers that the batch writes. */
  get insertCount(): number {
    return this.#inserts().length + this.#newAnswers.size;
  }

  get(leg: Leg): Cell | undefined {
    return this.#slotOf(leg).cell;
  }

  put(leg: Leg, cell: Cell): void {
    const slot = this.#slotOf(leg);
    slot.cell = cell;
    if (slot.isDirty) return;
    slot.isDirty = true;
    this.#dirty.push(slot);
  }

  getAnswer(of: AnswerKey): string | undefined {
    const key = answerKeyOf(of);
    return this.#newAnswers.get(key)?.text ?? this.#answers.get(key);
  }

  putAnswer(of: AnswerKey, text: string, expiresMs: number): void {
    const key = answerKeyOf(of);
    this.#newAnswers.set(key, { key, text, expiresMs });
  }

  /** Decides all plans at one instant, each on what those before it left. */
  decide(nowMs: number): Verdict[] {
    return this.plans.map((plan) => apply(this, plan, nowMs));
  }

  /** The latest instant that any counter was changed at: epoch milliseconds. */
  get seenMs(): number {
    let seenMs = 0;
    for (const { cell } of this.#slots.values()) {
      if (cell !== undefined && cell.seenMs > seenMs) seenMs = cell.seenMs;
    }
    return seenMs;
  }

  /** Puts the rows of the server in the place of all that is there: decided on nothing yet. */
  load(rows: readonly Row[]): void {
    this.#dirty = [];
    this.#newAnswers.clear();
    this.#answers.clear();
    for (const slot of this.#slots.values()) {
      slot.cell = undefined;
      slot.version = null;
      slot.saved = null;
      slot.isDirty = false;
      // A counter without a row is new: most likely it is this process that counts in it.
      slot.calm = CALM_MIN;
    }
    for (const row of rows) this.#loadRow(row);
    for (const plan of this.plans) forgetReplay(plan);
  }

  #loadRow(row: Row): void {
    const slot = this.#slots.get(row[0] ?? "");
    if (slot === undefined) return;
    const cell = cellOf(row, slot.leg);
    slot.cell = cell;
    slot.version = row[1] ?? null;
    slot.saved = formOf(cell);
    if (slot.known === undefined) return;
    slot.calm = slot.known.version === slot.version ? slot.known.calm + 1 : 0;
  }

  /** Takes over an answer that the server has. */
  loadAnswer(key: string, text: string): void {
    this.#answers.set(key, currentAnswer(text));
  }

  /** What the batch leaves, once it is committed under `version`, is in memory for the next one. */
  keep(known: KnownCells, version: string): void {
    for (const slot of this.#slots.values()) {
      const { key, cell, isDirty, calm } = slot;
      const now = isDirty ? version : slot.version;
      if (cell === undefined || now === null) continue;
      const saved = isDirty || slot.saved === null ? formOf(cell) : slot.saved;
      known.keep(key, { cell, version: now, saved, calm });
    }
  }

  /** What the guarded statement takes after keys, versions and counts; null: only counts change. */
  guardValues(): { keys: string; versions: string; used: string; body: Value[] | null } {
    const slots = [...this.#slots.values()];
    return {
      keys: textArray(slots.map(({ key }) => key)),
      versions: numberArray(slots.map(({ version }) => version)),
      used: numberArray(slots.map(({ isDirty, cell }) => (isDirty ? (cell?.used ?? null) : null))),
      body: this.#dirty.every(onlyCounted) ? null : bodyValues(slots),
    };
  }

  /** The one counter of a batch that has but one, and has only counted; else null. */
  single(): Slot | null {
    const [slot] = this.#dirty;
    if (this.#slots.size !== 1 || slot === undefined || !onlyCounted(slot)) return null;
    return slot;
  }

  /** Counters with a row to change, and those without one. */
  updates(): Slot[] {
    return this.#dirty.filter(({ version }) => version !== null);
  }

  inserts(): Slot[] {
    return this.#inserts().sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  #inserts(): Slot[] {
    return this.#dirty.filter(({ version }) => version === null);
  }

  /** New answers in the order of their keys. */
  newAnswers(): NewAnswer[] {
    return [...this.#newAnswers.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  #slotOf(leg: Leg): Slot {
    if (leg === this.#lastLeg && this.#lastSlot !== null) return this.#lastSlot;
    const slot = this.#slots.get(keyOf(leg));
    if (slot === undefined) throw new Error("a plan asks for a counter that was not loaded");
    this.#lastLeg = leg;
    this.#lastSlot = slot;
    return slot;
  }
}

function newSlot(key: string, leg: Leg, known: Known | undefined): Slot {
  return {
    key,
    leg,
    known,
    cell: known?.cell,
    version: known?.version ?? null,
    saved: known?.saved ?? null,
    calm: known?.calm ?? 0,
    isDirty: false,
  };
}

/** A plan that was told the first answer of a key is decided again: the answer may be gone. */
function forgetReplay(plan: Step): void {
  for (let step: Step | null = plan; step !== null; step = step.next) {
    if (!step.isReplayed) continue;
    step.isReplayed = false;
    step.told = step.legs;
  }
}

function onlyCounted({ saved, cell }: Slot): boolean {
  return (
    saved !== null &&
    cell !== undefined &&
    cell.entries === null &&
    saved.window === cell.window &&
    saved.shape === cell.shape &&
    saved.granted === cell.granted &&
    saved.alerted === cell.alerted &&
    saved.plannedLimit === cell.plannedLimit &&
    saved.last === cell.last
  );
}

function formOf({ shape, window, granted, alerted, plannedLimit, last }: Cell): CellForm {
  return { shape, window, granted, alerted, plannedLimit, last };
}

/** The columns of counters but key, count, instant and version, as parameters. */
export function bodyValues(slots: readonly Pick<Slot, "cell">[]): Value[] {
  const all = (pick: (cell: Cell) => number | null) =>
    numberArray(slots.map(({ cell }) => (cell === undefined ? null : pick(cell))));
  return [
    all(({ shape }) => shape),
    all(({ window }) => window.startMs),
    all(({ window }) => window.endMs),
    all(({ granted }) => granted),
    all(({ alerted }) => alerted),
    textArray(slots.map(({ cell }) => (cell?.entries ? JSON.stringify(cell.entries) : null))),
    all(({ plannedLimit }) => plannedLimit),
    textArray(slots.map(({ cell }) => (cell === undefined ? null : lastText(cell.last)))),
  ];
}

/** A counter from its row; its window is that of the plan where they are the same. */
export function cellOf(row: Row, leg: Leg | null): Cell {
  const [, , shape, startMs, endMs, used, granted, alerted, entries, seenMs, ...rest] = row;
  const [plannedLimit, last] = rest;
  const window = { startMs: Number(startMs), endMs: Number(endMs) };
  const planned = leg?.planned;
  const isNow = planned?.startMs === window.startMs && planned.endMs === window.endMs;
  return {
    shape: Number(shape),
    window: isNow ? planned : window,
    used: Number(used),
    granted: Number(granted),
    alerted: Number(alerted),
    entries: entries == null ? null : entriesOf(entries),
    seenMs: Number(seenMs),
    plannedLimit: plannedLimit == null ? null : Number(plannedLimit),
    last: last == null ? null : readLast(last),
  };
}

function entriesOf(text: string): number[] {
  const entries: number[] = JSON.parse(text);
  return entries;
}
