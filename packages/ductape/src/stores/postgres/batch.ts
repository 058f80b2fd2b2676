import { apply } from "../../decide/apply.js";
import { answerKeyOf } from "../../decide/answer.js";
import type { Counter } from "../../decide/counter.js";
import type { Counters } from "../../decide/counters.js";
import type { Hold } from "../../decide/hold.js";
import type { Outcome } from "../../decide/outcome.js";
import { allChecks, type AnswerKey, type Plan, type RuleCheck } from "../../decide/plan.js";
import {
  ALL_NUMBERS,
  counterOf,
  LISTS,
  listText,
  NUMBERS,
  onlyCounted,
  writtenOf,
  type Written,
} from "../counter-record.js";
import { currentAnswer } from "../older-answers.js";
import { numberArray, textArray } from "./arrays.js";
import type { KeptHolds } from "../kept-holds.js";
import { BatchHolds, type KnownHold } from "./holds.js";
import { CALM_MIN, type Known, type KnownCounters } from "./known.js";
import type { Row, Value } from "./pool.js";

/** A counter of a batch. */
export interface Slot {
  readonly key: string;
  /** A check that names it. */
  readonly check: RuleCheck;
  /** Its copy in memory. */
  readonly known: Known | undefined;
  counter: Counter | undefined;
  /** The version of its row; null: it has none. */
  version: string | null;
  /** The content of its row. */
  written: Written;
  calm: number;
  isDirty: boolean;
}

/** An answer to write. */
interface NewAnswer {
  readonly key: string;
  readonly text: string;
  readonly expiresMs: number;
}

/** The keys of a plan's counters. */
export function keysOf(plan: Plan): string[] {
  return plan.flatMap((step) => allChecks(step).map(keyOf));
}

const keyOf = ({ rule, subject }: RuleCheck): string => rule.space + subject;

/** The counters, answers and holds of one batch. */
export class Batch implements Counters {
  readonly plans: readonly Plan[];
  readonly holds: BatchHolds;
  readonly #slots = new Map<string, Slot>();
  /** The requested answers, the existing ones, and the new ones. */
  readonly #answerKeys = new Set<string>();
  readonly #answers = new Map<string, string>();
  readonly #newAnswers = new Map<string, NewAnswer>();
  #dirty: Slot[] = [];
  #lastCheck: RuleCheck | null = null;
  #lastSlot: Slot | null = null;
  /** True if a plan has several counters. */
  readonly hasSeveral: boolean;

  constructor(plans: readonly Plan[], known: KnownCounters, knownHolds: KeptHolds<KnownHold>) {
    this.plans = plans;
    this.holds = new BatchHolds(knownHolds);
    let hasSeveral = false;
    for (const plan of plans) {
      if (plan.length > 1) hasSeveral = true;
      for (const step of plan) {
        if (step.answerKey !== null) this.#answerKeys.add(answerKeyOf(step.answerKey));
        if (step.hold !== null) this.holds.add(step.hold, step.action);
        const checks = allChecks(step);
        if (checks.length > 1) hasSeveral = true;
        for (const check of checks) this.#add(check, known);
      }
    }
    this.hasSeveral = hasSeveral;
  }

  #add(check: RuleCheck, known: KnownCounters): void {
    const key = keyOf(check);
    if (this.#slots.has(key)) return;
    this.#slots.set(key, newSlot(key, check, known.take(key)));
  }

  /** True if all counters and holds are in memory and no other process seems to use them. */
  get isCalm(): boolean {
    if (this.#answerKeys.size > 0 || !this.holds.isCalm) return false;
    for (const { calm } of this.#slots.values()) if (calm < CALM_MIN) return false;
    return true;
  }

  get hasChanged(): boolean {
    return this.#dirty.length > 0 || this.#newAnswers.size > 0 || this.holds.hasChanged;
  }

  get slots(): Iterable<Slot> {
    return this.#slots.values();
  }

  /** The keys of all counters. */
  get keys(): string[] {
    return [...this.#slots.keys()];
  }

  /** The keys of all requested answers. */
  get answerKeys(): string[] {
    return [...this.#answerKeys];
  }

  /** Rows of new counters and answers that the batch writes. */
  get insertCount(): number {
    return this.#inserts().length + this.#newAnswers.size;
  }

  find(check: RuleCheck): Counter | undefined {
    return this.#slotOf(check).counter;
  }

  changed(check: RuleCheck, counter: Counter): void {
    this.put(check, counter);
  }

  put(check: RuleCheck, counter: Counter): void {
    const slot = this.#slotOf(check);
    slot.counter = counter;
    if (slot.isDirty) return;
    slot.isDirty = true;
    this.#dirty.push(slot);
  }

  findAnswer(of: AnswerKey): string | undefined {
    const key = answerKeyOf(of);
    return this.#newAnswers.get(key)?.text ?? this.#answers.get(key);
  }

  putAnswer(of: AnswerKey, text: string, expiresMs: number): void {
    const key = answerKeyOf(of);
    this.#newAnswers.set(key, { key, text, expiresMs });
  }

  findHold(key: AnswerKey): Hold | undefined {
    return this.holds.find(key);
  }

  putHold(key: AnswerKey, hold: Hold): void {
    this.holds.put(key, hold);
  }

  /** Decides all plans at one instant, each after those before it. */
  decide(nowMs: number): Outcome[] {
    return this.plans.map((plan) => apply(this, plan, nowMs));
  }

  /** The latest instant at which any counter changed, in epoch milliseconds. */
  get seenMs(): number {
    let seenMs = 0;
    for (const { counter } of this.#slots.values()) {
      if (counter !== undefined && counter.seenMs > seenMs) seenMs = counter.seenMs;
    }
    return seenMs;
  }

  /** Replaces everything with the rows of the server, before anything is decided. */
  load(rows: readonly Row[]): void {
    this.#dirty = [];
    this.#newAnswers.clear();
    this.#answers.clear();
    for (const slot of this.#slots.values()) {
      slot.counter = undefined;
      slot.version = null;
      slot.written = null;
      slot.isDirty = false;
      // A counter without a row is new: most likely only this process uses it.
      slot.calm = CALM_MIN;
    }
    for (const row of rows) this.#loadRow(row);
  }

  #loadRow(row: Row): void {
    const slot = this.#slots.get(row[0] ?? "");
    if (slot === undefined) return;
    const counter = rowCounter(row, slot.check);
    slot.counter = counter;
    slot.version = row[1] ?? null;
    slot.written = writtenOf(counter);
    if (slot.known === undefined) return;
    slot.calm = slot.known.version === slot.version ? slot.known.calm + 1 : 0;
  }

  /** Adds an answer from the server. */
  loadAnswer(key: string, text: string): void {
    this.#answers.set(key, currentAnswer(text));
  }

  /** Keeps the results of the batch, committed under `version`, in memory for the next one. */
  keep(known: KnownCounters, version: string): void {
    this.holds.keep(version);
    for (const slot of this.#slots.values()) {
      const { key, counter, isDirty, calm } = slot;
      const now = isDirty ? version : slot.version;
      if (counter === undefined || now === null) continue;
      const written = isDirty ? writtenOf(counter) : slot.written;
      known.keep(key, { counter, version: now, written, calm });
    }
  }

  /**
   * The parameters of the guarded statement after keys, versions and counts; null: only counts
   * change.
   */
  guardValues(): { keys: string; versions: string; used: string; body: Value[] | null } {
    const slots = [...this.#slots.values()];
    return {
      keys: textArray(slots.map(({ key }) => key)),
      versions: numberArray(slots.map(({ version }) => version)),
      used: numberArray(
        slots.map(({ isDirty, counter }) => (isDirty ? (counter?.used ?? null) : null)),
      ),
      body: this.holds.isEmpty && this.#dirty.every(hasOnlyCounted) ? null : bodyValues(slots),
    };
  }

  /** The counter of a batch that has only one and only counted; else null. */
  single(): Slot | null {
    const [slot] = this.#dirty;
    if (
      this.#slots.size !== 1 ||
      !this.holds.isEmpty ||
      slot === undefined ||
      !hasOnlyCounted(slot)
    )
      return null;
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

  #slotOf(check: RuleCheck): Slot {
    if (check === this.#lastCheck && this.#lastSlot !== null) return this.#lastSlot;
    const slot = this.#slots.get(keyOf(check));
    if (slot === undefined) throw new Error("a plan asks for a counter that was not loaded");
    this.#lastCheck = check;
    this.#lastSlot = slot;
    return slot;
  }
}

function newSlot(key: string, check: RuleCheck, known: Known | undefined): Slot {
  return {
    key,
    check,
    known,
    counter: known?.counter,
    version: known?.version ?? null,
    written: known?.written ?? null,
    calm: known?.calm ?? 0,
    isDirty: false,
  };
}

function hasOnlyCounted({ written, counter }: Slot): boolean {
  return counter !== undefined && onlyCounted(written, counter);
}

/** The columns of counters but key, count, instant and version, as parameters. */
export function bodyValues(slots: readonly Pick<Slot, "counter">[]): Value[] {
  const all = <T>(pick: (counter: Counter) => T) =>
    slots.map(({ counter }) => (counter === undefined ? null : pick(counter)));
  return [
    ...NUMBERS.map((field) => numberArray(all((counter) => field.get(counter)))),
    ...LISTS.map((field) => textArray(all((counter) => listText(field, counter)))),
  ];
}

/** The place of each column of a counter in a row, after key and version. */
const PLACES = new Map([...ALL_NUMBERS, ...LISTS].map(({ column }, i) => [column, 2 + i]));

/** A counter from its row; its window is the check's object if they are equal. */
export function rowCounter(row: Row, check: RuleCheck | null): Counter {
  const counter = counterOf((column) => row[PLACES.get(column) ?? -1]);
  const { startMs, endMs } = counter.window;
  const window = check?.window;
  if (window?.startMs === startMs && window.endMs === endMs) counter.window = window;
  return counter;
}
