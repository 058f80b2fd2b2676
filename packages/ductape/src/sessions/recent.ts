/**
 * Keeps the most recently used values by key: at least `charsMax` characters of keys, and at most
 * twice that. There are two generations: when the young one is full it becomes the old one, and
 * the previous old one is dropped, except for what was used again. Finding a value costs one
 * look-up and writes nothing, whereas a list in order of use changes at each look-up.
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

/** The size of an entry beside its key. */
const ENTRY_CHARS = 256;
