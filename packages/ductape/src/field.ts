import { show, ValidationError, type Issue } from "./errors.js";
import { isEmptyRecord, unknownField } from "./request.js";

/** Collects what is wrong, so that one error names every field. */
export class Issues {
  readonly list: Issue[] = [];

  add(path: string, message: string | null): void {
    if (message !== null) this.list.push({ path, message });
  }

  unknown(value: Record<string, unknown>, known: readonly string[], prefix = ""): void {
    for (const name of Object.keys(value)) {
      if (!known.includes(name)) this.add(`${prefix}${name}`, unknownField(name, known));
    }
  }

  throwAny(): void {
    if (this.list.length > 0) throw new ValidationError(this.list);
  }
}

/** An optional human text of up to 1,000 characters. */
export function parseName(
  input: Record<string, unknown>,
  field: string,
  otherwise: string,
  issues: Issues,
): string {
  const value = input[field];
  if (value === undefined || isEmptyRecord(value)) return otherwise;
  if (typeof value === "string" && value.length <= 1000 && value.isWellFormed()) return value;
  issues.add(field, `wants a text of at most 1000 characters, got ${show(value)}`);
  return otherwise;
}

/** One of a few words; the first choice is the default. */
export function oneOf<T extends string>(
  value: unknown,
  choices: readonly [T, ...T[]],
  path: string,
  issues: Issues,
): T {
  if (value === undefined) return choices[0];
  const found = choices.find((choice) => choice === value);
  if (found === undefined) issues.add(path, `wants ${choices.join(" or ")}, got ${show(value)}`);
  return found ?? choices[0];
}
