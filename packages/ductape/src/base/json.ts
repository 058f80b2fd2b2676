/** True for an object that is not an array. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** True for a plain object without members: how an optional field may be left out. */
export function isEmptyRecord(value: unknown): boolean {
  if (!isRecord(value) || Object.keys(value).length > 0) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

/** True for an optional field that is left out: undefined, or `{}`. */
export function isLeftOut(value: unknown): value is undefined {
  return value === undefined || isEmptyRecord(value);
}

/** A value whose JSON text does not depend on the order of members in its objects. */
export function canonical(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  return Object.entries(value)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]) => [name, canonical(member)]);
}
