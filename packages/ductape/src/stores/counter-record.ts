import { emptyCounter, NOTHING, type Counter } from "../decide/counter.js";

// How stores keep a counter: one entry for each field. What a field means is in decide/.

/** A number of a counter and its column. */
export interface NumberField {
  readonly column: string;
  readonly type: "integer" | "bigint" | "real";
  /** Null only if the column may be null. */
  get(counter: Readonly<Counter>): number | null;
  set(counter: Counter, value: number | null): void;
}

/** A bounded list of a counter, oldest first, and the column that stores it as a JSON array. */
export interface ListField {
  readonly column: string;
  get(counter: Readonly<Counter>): readonly number[] | null;
  set(counter: Counter, values: readonly number[] | null): void;
}

/** The fields that counting alone changes: stores may write these two separately. */
const USED: NumberField = {
  column: "used",
  type: "bigint",
  get: ({ used }) => used,
  set: (counter, value) => (counter.used = value ?? 0),
};
/** When a counter last changed. */
const SEEN: NumberField = {
  column: "seen_ms",
  type: "bigint",
  get: ({ seenMs }) => seenMs,
  set: (counter, value) => (counter.seenMs = value ?? 0),
};

/** The numbers beside {@link USED} and {@link SEEN}. */
export const NUMBERS: readonly NumberField[] = [
  {
    column: "shape",
    type: "integer",
    get: ({ windowVersion }) => windowVersion,
    set: (counter, value) => (counter.windowVersion = value ?? 1),
  },
  {
    column: "start_ms",
    type: "bigint",
    get: ({ window }) => window.startMs,
    set: (counter, value) => (counter.window = { ...counter.window, startMs: value ?? 0 }),
  },
  {
    column: "end_ms",
    type: "bigint",
    get: ({ window }) => window.endMs,
    set: (counter, value) => (counter.window = { ...counter.window, endMs: value ?? 0 }),
  },
  {
    column: "granted",
    type: "bigint",
    get: ({ granted }) => granted,
    set: (counter, value) => (counter.granted = value ?? 0),
  },
  {
    column: "alerted",
    type: "real",
    get: ({ alerted }) => alerted,
    set: (counter, value) => (counter.alerted = value ?? 0),
  },
  {
    column: "planned_limit",
    type: "bigint",
    get: ({ knownLimit }) => knownLimit,
    set: (counter, value) => (counter.knownLimit = value),
  },
];

/** Stands for no limit in a list. */
const NO_LIMIT = -1;

/** The lists. */
export const LISTS: readonly ListField[] = [
  {
    column: "entries",
    get: ({ entries }) => entries,
    set: (counter, values) => (counter.entries = values === null ? null : [...values]),
  },
  {
    column: "last",
    get: ({ last }) => {
      if (last === null || last.used === 0) return last === null ? null : [];
      return [last.window.startMs, last.window.endMs, last.used, last.limit ?? NO_LIMIT];
    },
    set: (counter, values) => {
      if (values === null) counter.last = null;
      else {
        const [startMs = 0, endMs = 0, used = 0, limit = NO_LIMIT] = values;
        const known = {
          window: { startMs, endMs },
          used,
          limit: limit === NO_LIMIT ? null : limit,
        };
        counter.last = used === 0 ? NOTHING : known;
      }
    },
  },
];

/** All numbers, in the order in which stores keep them. */
export const ALL_NUMBERS: readonly NumberField[] = [...NUMBERS, USED, SEEN];

/** A counter by its columns; a list as the text that {@link listText} makes. */
export function counterOf(column: (name: string) => unknown): Counter {
  const counter = emptyCounter(1, { startMs: 0, endMs: 0 });
  for (const field of ALL_NUMBERS) {
    const value = column(field.column);
    field.set(counter, value == null ? null : Number(value));
  }
  for (const field of LISTS) {
    const text = column(field.column);
    field.set(counter, typeof text === "string" ? readList(text) : null);
  }
  return counter;
}

/** A list as stored in a column. */
export function listText(field: ListField, counter: Readonly<Counter>): string | null {
  const values = field.get(counter);
  return values === null ? null : JSON.stringify(values);
}

function readList(text: string): number[] {
  const values: (number | null)[] = JSON.parse(text);
  return values.map((value) => value ?? NO_LIMIT);
}

/** The whole counter as a text, to compare two: equal texts for equal counters. */
export function counterText(counter: Readonly<Counter>): string {
  const numbers = ALL_NUMBERS.map((field) => field.get(counter));
  return JSON.stringify([numbers, LISTS.map((field) => field.get(counter))]);
}

/** A calendar counter when it was last written; null for others. */
export type Written = Readonly<Counter> | null;

/** A record to compare a counter with after it was written. */
export function writtenOf(counter: Readonly<Counter>): Written {
  return counter.entries === null ? { ...counter } : null;
}

/** True if only {@link USED} and {@link SEEN} differ from what was written. */
export function onlyCounted(written: Written, counter: Readonly<Counter>): boolean {
  if (written === null || counter.entries !== null || written.last !== counter.last) return false;
  return NUMBERS.every((field) => field.get(written) === field.get(counter));
}
