/**
 * Values by key, of which the ones used last are kept: at least `charsMax` characters of keys, and
 * at most twice that. Two generations: a full young one becomes the old one, and the old is
 * forgotten but for what was used again. Finding a value costs one look-up and changes nothing,
 * where a list in the order of use is written at each.
 */
export class Recent<T> {
  readonly #charsMax: number;
  #young = new Map<string, T>();
  #youngChars = 0;
  #old = new Map<string, T>();

  constructor(charsMax: number) {
    this.#charsMax = charsMax;
  }

  get(key: string): T | undefined {
    return this.#young.get(key) ?? this.#again(key);
  }

  #again(key: string): T | undefined {
    const value = this.#old.get(key);
    if (value !== undefined) this.set(key, value);
    return value;
  }

  set(key: string, value: T): void {
    if (!this.#young.has(key)) this.#youngChars += key.length + ENTRY_CHARS;
    this.#young.set(key, value);
    if (this.#youngChars <= this.#charsMax) return;
    this.#old = this.#young;
    this.#young = new Map();
    this.#youngChars = 0;
  }
}

/** What an entry takes beside its key. */
const ENTRY_CHARS = 256;
