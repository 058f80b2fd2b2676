// Pure functions that remember results. A result depends on the argument alone, so a remembered one
// is as good as a new one. No other pure file keeps anything between calls.

/** The function with a memory of its last result: for arguments that repeat. */
export function rememberingLast<V>(compute: (key: string) => V): (key: string) => V {
  let last: { readonly key: string; readonly value: V } | null = null;
  return (key) => {
    if (last === null || last.key !== key) last = { key, value: compute(key) };
    return last.value;
  };
}

/**
 * The function with a memory of its results. At `keysMax` of them it forgets all. It remembers no
 * error.
 */
export function remembering<V>(keysMax: number, compute: (key: string) => V): (key: string) => V {
  const values = new Map<string, V>();
  return (key) => {
    const known = values.get(key);
    if (known !== undefined) return known;
    const value = compute(key);
    if (values.size >= keysMax) values.clear();
    values.set(key, value);
    return value;
  };
}

/** Where {@link rememberingInPlaces} keeps the result of an argument. */
export interface Places<K> {
  /** The one place of an argument, an integer from 0, below a small bound. */
  place(key: K): number;
  isSame(a: K, b: K): boolean;
}

/**
 * The function with a memory of the last result in each place: for arguments of several numbers,
 * which would cost a text for each call as the key of a map.
 */
export function rememberingInPlaces<K, V>(
  { place, isSame }: Places<K>,
  compute: (key: K) => V,
): (key: K) => V {
  const kept: { readonly key: K; readonly value: V }[] = [];
  return (key) => {
    const at = place(key);
    const known = kept[at];
    if (known !== undefined && (known.key === key || isSame(known.key, key))) return known.value;
    const value = compute(key);
    kept[at] = { key, value };
    return value;
  };
}
