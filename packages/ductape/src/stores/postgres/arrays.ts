/** Text as one parameter of the type `text[]`. */
export function textArray(items: readonly (string | null)[]): string {
  return `{${items.map(quoted).join(",")}}`;
}

/** Numbers, or their texts, as one parameter of a numeric array type. */
export function numberArray(items: readonly (number | string | null)[]): string {
  return `{${items.map((item) => item ?? "NULL").join(",")}}`;
}

function quoted(item: string | null): string {
  if (item === null) return "NULL";
  return /["\\]/.test(item) ? `"${item.replaceAll(/["\\]/g, "\\$&")}"` : `"${item}"`;
}
