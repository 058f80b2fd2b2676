import { emptyCounter, NOTHING, type Counter } from "../decide/counter.js";
import { holdsOf } from "../decide/holds.js";
import type { Span } from "../decide/period.js";

// How stores keep a counter: one entry for each field. What a field means is in decide/.

/** A counter that is being read: its window is its own until then. */
interface NewCounter extends Counter {
  window: { startMs: number; endMs: number };
}

/** A number of a counter, and where it is kept. */
export interface NumberField {
  /** Its place in a {@link Counter}, such as `window.startMs`. */
  readonly path: string;
  readonly column: string;
  readonly type: "integer" | "bigint" | "real";
  /** Counting alone changes it: stores may write such numbers apart from the others. */
  readonly isCounted: boolean;
  /** It may be null, which Redis keeps as -2. */
  readonly isOptional: boolean;
  /** Null only if it is optional. */
  get(counter: Readonly<Counter>): number | null;
  set(counter: NewCounter, value: number | null): void;
}

/** A bounded list of a counter, oldest first, and the column that stores it as a JSON array. */
export interface ListField {
  readonly column: string;
  get(counter: Readonly<Counter>): readonly number[] | null;
  set(counter: Counter, values: readonly number[] | null): void;
}

/** All numbers, in the order in which stores keep them. */
export const ALL_NUMBERS: readonly NumberField[] = [
  number("windowVersion", "shape", "integer"),
  bound("startMs", "start_ms"),
  bound("endMs", "end_ms"),
  { ...number("used", "used", "bigint"), isCounted: true },
  number("granted", "granted", "bigint"),
  number("alerted", "alerted", "real"),
  { ...number("seenMs", "seen_ms", "bigint"), isCounted: true },
  optional("knownLimit", "planned_limit"),
];

/** The numbers that counting alone does not change. */
export const NUMBERS = ALL_NUMBERS.filter(({ isCounted }) => !isCounted);

type Plain = Omit<NumberField, "get" | "set">;

function plain(path: string, column: string, type: NumberField["type"]): Plain {
  return { path, column, type, isCounted: false, isOptional: false };
}

function number(
  member: "windowVersion" | "used" | "granted" | "alerted" | "seenMs",
  column: string,
  type: NumberField["type"],
): NumberField {
  return {
    ...plain(member, column, type),
    get: (counter) => counter[member],
    set: (counter, value) => (counter[member] = value ?? 0),
  };
}

function optional(member: "knownLimit", column: string): NumberField {
  return {
    ...plain(member, column, "bigint"),
    isOptional: true,
    get: (counter) => counter[member],
    set: (counter, value) => (counter[member] = value),
  };
}

function bound(member: keyof Span, column: string): NumberField {
  return {
    ...plain(`window.${member}`, column, "bigint"),
    get: ({ window }) => window[member],
    set: ({ window }, value) => (window[member] = value ?? 0),
  };
}

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
  {
    column: "holds",
    get: ({ holds }) => (holds === null ? null : [holds.edition, ...holds.parts]),
    set: (counter, values) => {
      const [edition = 0, ...parts] = values ?? [];
      counter.holds = values === null ? null : holdsOf(edition, parts);
    },
  },
];

/** A counter by its columns; a list as the text that {@link listText} makes. */
export function counterOf(column: (name: string) => unknown): Counter {
  const counter = newCounter();
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

/** A counter to fill in. */
export function newCounter(): NewCounter {
  return emptyCounter(1, { startMs: 0, endMs: 0 });
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

/** True if counting alone has changed what was written. */
export function onlyCounted(written: Written, counter: Readonly<Counter>): boolean {
  if (written === null || counter.entries !== null) return false;
  if (written.last !== counter.last || written.holds !== counter.holds) return false;
  return NUMBERS.every((field) => field.get(written) === field.get(counter));
}
