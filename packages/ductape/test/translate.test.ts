import { describe, expect, it } from "vitest";
import { luaOf } from "../translate.js";

const of = (text: string) => luaOf(["root"], [], { "a.ts": text });

describe("TypeScript made Lua", () => {
  it("contains what a root needs, in any file, and nothing else", () => {
    const lua = luaOf(["root"], ["given"], {
      "a.ts": 'import { A } from "./b.js"; export function root(): number { return given(A); }',
      "b.ts": `const C = 2; const A = C + 1; const B = 4; class D { #e = 1; }
        export function given(a: number): number { return a.toString(2).length; }`,
    });
    expect(lua.trim()).toBe(
      "local C = 2\nlocal A = C + 1\nlocal function root()\n    return given(A)\nend",
    );
  });

  it.each([
    ["items of a list that may be null", "(a: number[], b?: number) { a.push(b); }", "b: no array"],
    ["an array with null", "() { return [1, null]; }", "null: no array"],
    ["Math.round", "(a: number) { return Math.round(a); }", "Math.round(a): it is rounded"],
    ["numbers in a text", "(a: number) { return `${a}`; }", "`${a}`: a number is written"],
    ["bits", "(a: number) { return a & 1; }", "Bitwise operations"],
    ["what is not declared", "() { return other(); }", "Cannot find name 'other'"],
    [
      "what needs a library",
      "(a: number[]) { a.splice(0, 1); }",
      "a library for __TS__ArraySplice",
    ],
    ["classes", "() { return new Map(); }", "a library for __TS__New"],
  ])("refuses %s", (_, rest, message) => {
    expect(() => of(`function root${rest}`)).toThrow(message);
  });

  it("refuses a name that two files declare", () => {
    const sources = { "a.ts": "function root() { b(); } function b() {}", "b.ts": "const b = 1;" };
    expect(() => luaOf(["root"], [], sources)).toThrow("b is declared twice");
  });
});
