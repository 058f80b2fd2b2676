import { STATUSES } from "../../decide/answer.js";
import { NOTHING, type Counter, type LastWindow } from "../../decide/counter.js";
import type { Holds } from "../../decide/holds.js";
import { ALL_NUMBERS, newCounter } from "../counter-record.js";
import { answerOfOlder, type OlderAnswer } from "../older-answers.js";

// Counters as stored by apply.lua: little-endian doubles, which represent every amount and every
// instant exactly.

const DOUBLE_BYTES = 8;

/** The numbers that follow the first one, which holds the version of the window. */
const AFTER_FORM = ALL_NUMBERS.slice(1);

/** Reads packed doubles one after another. */
export class PackedReader {
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** The next number. Throws `RangeError` past the end. */
  next(): number {
    const value = this.#view.getFloat64(this.#at, true);
    this.#at += DOUBLE_BYTES;
    return value;
  }

  /** The next counter; undefined if nothing was ever counted. */
  counter(): Counter | undefined {
    const form = this.next();
    if (form === 0) return undefined;
    const counter = newCounter();
    const magnitude = Math.abs(form);
    counter.windowVersion = Math.floor(magnitude);
    const lists = magnitude - counter.windowVersion;
    for (const field of AFTER_FORM) {
      const value = this.next();
      field.set(counter, value === UNKNOWN ? null : value);
    }
    if (lists % REMEMBERS !== 0) counter.holds = this.#holds();
    if (lists >= REMEMBERS) counter.last = this.#last();
    if (form < 0) counter.entries = Array.from({ length: 2 * this.next() }, () => this.next());
    return counter;
  }

  #holds(): Holds {
    const [sum, firstMs, edition] = [this.next(), this.next(), this.next()];
    const length = NUMBERS_PER_PART * this.next();
    // A reply leaves the parts out where they decide nothing.
    return { sum, firstMs, edition, parts: Array.from({ length }, () => this.next()) };
  }

  #last(): LastWindow {
    const window = { startMs: this.next(), endMs: this.next() };
    const [used, limit] = [this.next(), orNull(this.next())];
    return used === 0 ? NOTHING : { window, used, limit };
  }

  /** The numbers of the next check of an older answer. */
  check(): OlderAnswer["legs"][number] {
    const window = { startMs: this.next(), endMs: this.next() };
    const [used, granted, previousUsed] = [this.next(), this.next(), this.next()];
    const [admits, inTheWay, isRolling] = [this.next() === 1, this.next() === 1, this.next() === 1];
    const [leavesMs, fitsMs] = [this.next(), orNull(this.next())];
    return {
      window,
      used,
      granted,
      previousUsed,
      admits,
      inTheWay,
      rolling: isRolling ? { leavesMs, fitsMs } : null,
      alertedFrom: this.next(),
      alerted: this.next(),
    };
  }

  /** The number of bytes read. */
  get at(): number {
    return this.#at;
  }
}

/** A stored counter; undefined if nothing is stored. */
export function readCounter(bytes: Buffer | null): Counter | undefined {
  return bytes === null ? undefined : new PackedReader(bytes).counter();
}

/** The text of a stored answer to an idempotency key; an older one is converted to today's form. */
export function readAnswerText(bytes: Buffer): string {
  return bytes[0] === 0 ? answerOfOlder(readOlder(bytes)) : bytes.toString("utf8");
}

function readOlder(bytes: Buffer): OlderAnswer {
  const reader = new PackedReader(bytes);
  const [expiresMs, nowMs, status] = [reader.next(), reader.next(), reader.next()];
  const [checkCount, fingerprintBytes] = [reader.next(), reader.next()];
  const checks = Array.from({ length: checkCount }, () => reader.check());
  const factsAt = reader.at + fingerprintBytes;
  return {
    fingerprint: bytes.toString("utf8", reader.at, factsAt),
    facts: bytes.toString("utf8", factsAt),
    status: STATUSES[status] ?? "done",
    nowMs,
    legs: checks,
    expiresMs,
  };
}

/** Added to the version of a counter that remembers the window before its own. */
const REMEMBERS = 0.5;
/** Added to the version of a counter with holds. */
const HOLDS = 0.25;
/** When a part of its holds ends, its amount, its edition. */
const NUMBERS_PER_PART = 3;

/** An unknown limit; -1 means none. */
const UNKNOWN = -2;

function orNull(value: number): number | null {
  return value === -1 ? null : value;
}

/** The packed form of a counter, the reverse of {@link readCounter}. */
export function packCounter(counter: Counter): Buffer {
  const { windowVersion, entries, last, holds } = counter;
  const numbers = [formOf(windowVersion, entries !== null, last !== null, holds !== null)];
  for (const field of AFTER_FORM) numbers.push(field.get(counter) ?? UNKNOWN);
  if (holds !== null) {
    const { sum, firstMs, edition, parts } = holds;
    numbers.push(sum, firstMs, edition, parts.length / NUMBERS_PER_PART, ...parts);
  }
  if (entries !== null) return packed([...numbers, entries.length / 2, ...entries]);
  if (last === null) return packed(numbers);
  return packed([...numbers, last.window.startMs, last.window.endMs, last.used, last.limit ?? -1]);
}

/**
 * The first number of a counter: the version of its window, and which lists follow the numbers.
 * Negative: a rolling one.
 */
export function formOf(
  windowVersion: number,
  isRolling: boolean,
  remembersLast: boolean,
  hasHolds: boolean,
): number {
  const magnitude = windowVersion + (hasHolds ? HOLDS : 0);
  if (isRolling) return -magnitude;
  return remembersLast ? magnitude + REMEMBERS : magnitude;
}

function packed(numbers: readonly number[]): Buffer {
  const bytes = Buffer.alloc(numbers.length * DOUBLE_BYTES);
  for (const [i, number] of numbers.entries()) bytes.writeDoubleLE(number, i * DOUBLE_BYTES);
  return bytes;
}
