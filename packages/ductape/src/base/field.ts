import { kindOf, show, ValidationError, type Issue } from "./errors.js";
import { isEmptyRecord, isRecord } from "./json.js";
import { checkText, nearest } from "./text.js";

/** An optional field may be omitted, undefined or `{}`: all three mean the same. */
export type Empty = Record<string, never>;

/** The most issues that one error lists. */
const ISSUES_MAX = 32;
const NAME_CHARS_MAX = 1_000;

/** Collects issues, so that one error names every wrong field, up to the first 32. */
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
 * The own fields of one object in an input, each read once, so that nothing comes through a
 * prototype and nothing changes between a check and its use. Problems go to `issues`.
 */
export class Fields {
  readonly issues: Issues;
  readonly #values: ReadonlyMap<string, unknown>;
  readonly #prefix: string;

  /**
   * The fields of `input`, called `name`; any that are not `known` are reported. `prefix` precedes
   * the names of members. An input that is not an object is reported once, without its fields.
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
    if (!isRecord(input)) issues.add(name, `expects an object, got ${kindOf(input)}`);
    this.#values = new Map(isRecord(input) ? Object.entries(input) : []);
    for (const field of this.#values.keys()) {
      if (issues.isFull) return;
      if (!known.includes(field)) this.refuse(shownName(field), unknownField(field, known));
    }
  }

  /** The value of a field; undefined if it is left out or `{}`. */
  get(field: string): unknown {
    const value = this.#values.get(field);
    return isEmptyRecord(value) ? undefined : value;
  }

  /** The name of a field in messages. */
  at(field: string): string {
    return `${this.#prefix}${field}`;
  }

  /** Adds an issue of a field, unless it is null. */
  refuse(field: string, message: string | null): void {
    this.issues.add(this.at(field), message);
  }

  /** A required tag, slug or name that identifies the object; "" if it is wrong. */
  tag(field: string): string {
    const value = this.get(field);
    const wrong = checkText(value);
    this.refuse(field, wrong);
    return wrong === null && typeof value === "string" ? value : "";
  }

  /** An optional text for people, up to 1,000 characters. */
  name(field: string, otherwise: string): string {
    const value = this.get(field);
    if (value === undefined) return otherwise;
    if (typeof value === "string" && value.length <= NAME_CHARS_MAX && value.isWellFormed()) {
      return value;
    }
    this.refuse(
      field,
      `expects a text of at most ${NAME_CHARS_MAX} characters, got ${show(value)}`,
    );
    return otherwise;
  }

  /** An optional choice of a few words; the first is the default. */
  oneOf<T extends string>(field: string, choices: readonly [T, ...T[]]): T {
    const value = this.get(field);
    const [otherwise] = choices;
    if (value === undefined) return otherwise;
    const found = choices.find((choice) => choice === value);
    if (found === undefined) {
      this.refuse(field, `expects ${choices.join(" or ")}, got ${show(value)}`);
    }
    return found ?? otherwise;
  }

  /** An optional true or false. */
  flag(field: string, otherwise: boolean): boolean {
    const value = this.get(field);
    if (value === undefined) return otherwise;
    if (typeof value === "boolean") return value;
    this.refuse(field, `expects true or false, got ${show(value)}`);
    return otherwise;
  }
}

/** The message for an unknown field. */
export function unknownField(name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  return near === null
    ? `is not a known field; known are ${known.join(", ")}`
    : `is not a known field; did you mean ${near}?`;
}

/** The name of a field as shown in messages, at most 64 characters. */
export const shownName = (name: string): string => (/^\w{1,64}$/.test(name) ? name : show(name));
