import { show } from "./errors.js";

/** The longest tag, subject or key, in UTF-16 units. */
export const TEXT_CHARS_MAX = 255;

/**
 * What is wrong with the text of a tag, subject or key, or null. Two different ill-formed strings
 * would become the same bytes.
 */
export function checkText(value: unknown): string | null {
  if (typeof value !== "string") return `expects a string, got ${show(value)}`;
  if (value.length === 0) return "expects at least one character, got an empty string";
  if (value.length > TEXT_CHARS_MAX) {
    return `expects at most ${TEXT_CHARS_MAX} characters, got ${value.length}`;
  }
  // Most texts are plain: one pass over them is cheaper than two calls.
  for (let i = 0; i < value.length; i++) {
    const unit = value.charCodeAt(i);
    if (unit === 0) return "must not contain the character NUL";
    if (unit >= FIRST_SURROGATE) return checkSurrogates(value);
  }
  return null;
}

const FIRST_SURROGATE = 0xd800;

function checkSurrogates(value: string): string | null {
  if (!value.isWellFormed()) return "expects well-formed Unicode, got a lone surrogate";
  return value.includes("\0") ? "must not contain the character NUL" : null;
}

/**
 * The path of a selector: `$Session{details}{plan}` is `["details", "plan"]`; null if the text is
 * not a selector.
 */
export function selectorPath(text: string): string[] | null {
  return checkText(text) === null ? pathAfter("$Session", text) : null;
}

/** The path of `root{a}{b}`, which is `["a", "b"]`; null if the text is not one of that root. */
export function pathAfter(root: string, text: string): string[] | null {
  const names = text.startsWith(root) ? text.slice(root.length) : "";
  if (!/^(\{[^{}]+\})+$/.test(names) || checkText(names) !== null) return null;
  return names.slice(1, -1).split("}{");
}

/** The selector of a path. */
export function pathText(path: readonly string[]): string {
  return `$Session${path.map((name) => `{${name}}`).join("")}`;
}

/** The known name nearest to `name` by edit distance, or null if none is near. */
export function nearest(name: string, known: readonly string[]): string | null {
  let best: string | null = null;
  let bestEdits = Math.max(2, Math.floor(name.length / 3)) + 1;
  for (const candidate of known) {
    const edits = name.length > 64 ? bestEdits : editsBetween(name.toLowerCase(), candidate);
    if (edits < bestEdits) [best, bestEdits] = [candidate, edits];
  }
  return best;
}

/** Levenshtein distance, one row at a time. */
function editsBetween(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 0; i < a.length; i++) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++) {
      const swap = (row[j] ?? 0) + (a[i] === b[j] ? 0 : 1);
      next.push(Math.min(swap, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
