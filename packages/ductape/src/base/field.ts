import { kindOf, show, ValidationError, type Issue } from "./errors.js";
import { isEmptyRecord, isRecord } from "./json.js";
import { checkText, nearest } from "./text.js";

/** An optional field may be omitted, undefined or `{}`: all three mean the same. */
export type Empty = Record<string, never>;

/** The most issues that one error tells. */
const ISSUES_MAX = 32;
const NAME_CHARS_MAX = 1_000;

/** Collects what is wrong, so that one error names every field: the first 32 of them. */
export class Issues {
  readonly list: Issue[] = [];

  get isFull(): boolean {
    return this.list.length >= ISSUES_MAX;
  }

  add(path: string, message: string | null): void {
    if (message !== null && !this.isFull) this.list.push({ path, message });
  }

  throwAny(): void {
    if (this.list.length > 0) throw new ValidationError(this.list);
  }
}

/**
 * The fields of one object of an input: its own ones, each read once, so that nothing comes through
 * a prototype and nothing changes between a check and its use. What is wrong goes to `issues`.
 */
export class Fields {
  readonly issues: Issues;
  readonly #values: ReadonlyMap<string, unknown>;
  readonly #prefix: string;

  /**
   * The fields of `input`, called `name`; those that are not `known` are wrong. Members are named
   * after `prefix`. What is no object is wrong as a whole, and then none of its fields is.
   */
  constructor(
    input: unknown,
    name: string,
    known: readonly string[],
    issues: Issues,
    prefix = `${name}.`,
  ) {
    this.#prefix = prefix;
    this.issues = isRecord(input) ? issues : new Issues();
    if (!isRecord(input)) issues.add(name, `wants an object, got ${kindOf(input)}`);
    this.#values = new Map(isRecord(input) ? Object.entries(input) : []);
    for (const field of this.#values.keys()) {
      if (issues.isFull) return;
      if (!known.includes(field)) this.refuse(shownName(field), unknownField(field, known));
    }
  }

  /** The value of a field; undefined where it is left out, which `{}` means too. */
  get(field: string): unknown {
    const value = this.#values.get(field);
    return isEmptyRecord(value) ? undefined : value;
  }

  /** How messages name a field. */
  at(field: string): string {
    return `${this.#prefix}${field}`;
  }

  /** Adds what is wrong with a field, unless it is null. */
  refuse(field: string, message: string | null): void {
    this.issues.add(this.at(field), message);
  }

  /** A required tag, slug or name by which others speak of it; "" where it is wrong. */
  tag(field: string): string {
    const value = this.get(field);
    const wrong = checkText(value);
    this.refuse(field, wrong);
    return wrong === null && typeof value === "string" ? value : "";
  }

  /** An optional text for people, of up to 1,000 characters. */
  name(field: string, otherwise: string): string {
    const value = this.get(field);
    if (value === undefined) return otherwise;
    if (typeof value === "string" && value.length <= NAME_CHARS_MAX && value.isWellFormed()) {
      return value;
    }
    this.refuse(field, `wants a text of at most ${NAME_CHARS_MAX} characters, got ${show(value)}`);
    return otherwise;
  }

  /** An optional one of a few words; the first is the default. */
  oneOf<T extends string>(field: string, choices: readonly [T, ...T[]]): T {
    const value = this.get(field);
    const [otherwise] = choices;
    if (value === undefined) return otherwise;
    const found = choices.find((choice) => choice === value);
    if (found === undefined) {
      this.refuse(field, `wants ${choices.join(" or ")}, got ${show(value)}`);
    }
    return found ?? otherwise;
  }

  /** An optional true or false. */
  flag(field: string, otherwise: boolean): boolean {
    const value = this.get(field);
    if (value === undefined) return otherwise;
    if (typeof value === "boolean") return value;
    this.refuse(field, `wants true or false, got ${show(value)}`);
    return otherwise;
  }
}

/** What to say of a field that nobody knows. */
export function unknownField(name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  return near === null
    ? `is not a known field; known are ${known.join(", ")}`
    : `is not a known field; did you mean ${near}?`;
}

/** A field as messages name it, at most 64 characters. */
export const shownName = (name: string): string => (/^\w{1,64}$/.test(name) ? name : show(name));
