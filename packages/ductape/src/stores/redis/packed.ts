import { STATUSES } from "../../decide/answer.js";
import { NOTHING, type Cell, type LastWindow, type LegNumbers } from "../../decide/cell.js";
import { answerOfOld, type OldAnswer } from "../old-answers.js";

// Counters as apply.lua keeps them: little-endian doubles, which hold every amount and
// every instant exactly.

const DOUBLE_BYTES = 8;

/** Reads packed doubles, one after the other. */
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

  /** The next counter; undefined where nothing was ever counted. */
  counter(): Cell | undefined {
    const form = this.next();
    if (form === 0) return undefined;
    const shape = Math.floor(Math.abs(form));
    const window = { startMs: this.next(), endMs: this.next() };
    const cell: Cell = {
      shape,
      window,
      used: this.next(),
      granted: this.next(),
      alerted: this.next(),
      entries: null,
      seenMs: this.next(),
      plannedLimit: orUnknown(this.next()),
      last: null,
    };
    if (form === shape + REMEMBERS) cell.last = this.#last();
    if (form < 0) cell.entries = Array.from({ length: 2 * this.next() }, () => this.next());
    return cell;
  }

  #last(): LastWindow {
    const window = { startMs: this.next(), endMs: this.next() };
    const [used, limit] = [this.next(), orNull(this.next())];
    return used === 0 ? NOTHING : { window, used, limit };
  }

  /** The numbers of the next leg of an old answer. */
  leg(): LegNumbers {
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

  /** How many bytes were read. */
  get at(): number {
    return this.#at;
  }
}

/** A stored counter; undefined where there is none. */
export function readCounter(bytes: Buffer | null): Cell | undefined {
  return bytes === null ? undefined : new PackedReader(bytes).counter();
}

/** The text of a stored answer to an idempotency key; of an old one as it would be written now. */
export function readAnswerText(bytes: Buffer): string {
  return bytes[0] === 0 ? answerOfOld(readOld(bytes)) : bytes.toString("utf8");
}

function readOld(bytes: Buffer): OldAnswer {
  const reader = new PackedReader(bytes);
  const [expiresMs, nowMs, status] = [reader.next(), reader.next(), reader.next()];
  const [legCount, fingerprintBytes] = [reader.next(), reader.next()];
  const legs = Array.from({ length: legCount }, () => reader.leg());
  const factsAt = reader.at + fingerprintBytes;
  return {
    fingerprint: bytes.toString("utf8", reader.at, factsAt),
    facts: bytes.toString("utf8", factsAt),
    status: STATUSES[status] ?? "done",
    nowMs,
    legs,
    expiresMs,
  };
}

/** What the form of a counter has more that remembers the window before its own. */
export const REMEMBERS = 0.5;

/** A planned limit that nobody has told; -1 is one without a limit. */
export const UNKNOWN = -2;

function orUnknown(value: number): number | null {
  return value === UNKNOWN ? null : value;
}

function orNull(value: number): number | null {
  return value === -1 ? null : value;
}

/** A counter as {@link readCounter} reads it. */
export function packCounter(cell: Cell): Buffer {
  const { shape, window, used, granted, alerted, entries, seenMs, plannedLimit, last } = cell;
  const { startMs, endMs } = window;
  const form = entries !== null ? -shape : last !== null ? shape + REMEMBERS : shape;
  const numbers = [form, startMs, endMs, used, granted, alerted, seenMs, plannedLimit ?? UNKNOWN];
  if (entries !== null) return packed([...numbers, entries.length / 2, ...entries]);
  if (last === null) return packed(numbers);
  return packed([...numbers, last.window.startMs, last.window.endMs, last.used, last.limit ?? -1]);
}

function packed(numbers: readonly number[]): Buffer {
  const bytes = Buffer.alloc(numbers.length * DOUBLE_BYTES);
  for (const [i, number] of numbers.entries()) bytes.writeDoubleLE(number, i * DOUBLE_BYTES);
  return bytes;
}
