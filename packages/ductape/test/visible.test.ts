// What people see of text that others made: nothing in it moves a cursor or hides.
import { describe, expect, it } from "vitest";
import { show, visible } from "ductape";

const between = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, i) => String.fromCodePoint(from + i));

/** What terminals obey, and what Unicode lists as turning or hiding text. */
const HOSTILE = [
  between(0x00, 0x1f),
  between(0x7f, 0x9f),
  ["\u00AD", "\u034F", "\u061C", "\u115F", "\u1160", "\u17B4", "\u180E", "\u2800", "\u3164"],
  between(0x200b, 0x200f),
  between(0x2028, 0x202e),
  between(0x2060, 0x206f),
  between(0xfe00, 0xfe0f),
  ["\uFEFF", "\uFFA0", "\uFFFB", "\u{1D173}", "\u{E0001}", "\u{E0041}", "\u{E01EF}", "\uE000"],
  ["\uD800", "\uDFFF"],
].flat();

describe("text that people see", () => {
  it("shows each character that a terminal would obey or hide as JSON escapes it", () => {
    for (const char of HOSTILE) {
      const shown = visible(`a${char}b`);
      expect(shown).toMatch(/^a(\\n|\\r|\\t|(\\u[0-9a-f]{4}){1,2})b$/);
      expect(JSON.parse(`"${shown}"`)).toBe(`a${char}b`);
    }
    expect(visible("\u001B[2J\u0007\n\u202Eada\u{E0041}")).toBe(
      "\\u001b[2J\\u0007\\n\\u202eada\\udb40\\udc41",
    );
  });

  it("stays unchanged if it is visible", () => {
    const plain = "Zoë, Łukasz, 小明, 👩 \\ \"quoted\" 'x' é ﷺ $Session{userId} a\\u001b";
    expect(visible(plain)).toBe(plain);
  });

  it("stays JSON of the same value", () => {
    const value = Object.fromEntries(HOSTILE.map((char) => [`k${char}`, [char, "plain"]]));
    const shown = visible(JSON.stringify(value));
    expect(JSON.parse(shown)).toEqual(value);
    expect(shown).toBe(visible(shown));
  });

  it("is how faults show a value", () => {
    expect(show("\u001B]0;x\u0007\u009B2J\u202E")).toBe('"\\u001b]0;x\\u0007\\u009b2J\\u202e"');
  });
});
