/** A list with at least one item. */
export type NonEmpty<T> = readonly [T, ...T[]];

/** The list, which must not be empty. */
export function nonEmpty<T>(items: readonly T[]): NonEmpty<T> {
  if (isNonEmpty(items)) return items;
  throw new Error("a list that must have an item is empty");
}

/** True if the list has an item. */
export function isNonEmpty<T>(items: readonly T[]): items is NonEmpty<T> {
  return items.length > 0;
}
