// Pure functions that remember what they computed: a result depends on the argument alone, so nobody
// can tell a remembered one from a new one. No other pure file keeps anything between calls.

/** The same function, which remembers its last result: for arguments that come many times in a row. */
export function rememberingLast<V>(compute: (key: string) => V): (key: string) => V {
  let last: { readonly key: string; readonly value: V } | null = null;
  return (key) => {
    if (last === null || last.key !== key) last = { key, value: compute(key) };
    return last.value;
  };
}

/**
 * The same function, which remembers its results, at most `keysMax` of them; then it forgets all. It
 * remembers no error.
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

/** How {@link rememberingInPlaces} tells arguments apart. */
export interface Places<K> {
  /** The one place of an argument, an integer from 0, below a small bound. */
  place(key: K): number;
  isSame(a: K, b: K): boolean;
}

/**
 * The same function, which remembers its last result in each place: for arguments of several
 * numbers, without a text made of them on each call.
 */
export function rememberingInPlaces<K, V>(
  { place, isSame }: Places<K>,
  compute: (key: K) => V,
): (key: K) => V {
  const kept: { readonly key: K; readonly value: V }[] = [];
  return (key) => {
    const at = place(key);
    const known = kept[at];
    if (known !== undefined && isSame(known.key, key)) return known.value;
    const value = compute(key);
    kept[at] = { key, value };
    return value;
  };
}
