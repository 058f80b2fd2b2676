import { checkText } from "../base/text.js";

/** The value at a path: own members only, so that `__proto__` and inherited names find nothing. */
export function valueAt(data: object, path: readonly string[]): unknown {
  let value: unknown = data;
  for (const name of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, name))
      return undefined;
    value = Reflect.get(value, name);
  }
  return value;
}

/**
 * The text of a value that names somebody, a well-formed string or an integer; null for any other.
 */
export function identifierOf(value: unknown): string | null {
  const text = typeof value === "number" && Number.isSafeInteger(value) ? String(value) : value;
  return typeof text === "string" && checkText(text) === null ? text : null;
}
