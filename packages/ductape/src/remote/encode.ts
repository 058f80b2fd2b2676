import { kindOf } from "../base/errors.js";
import { isRecord } from "../base/json.js";
import { invalid } from "../base/settings.js";

/**
 * A value as JSON text, as it is now. What JSON would drop or change without a word is refused:
 * numbers that are none, bigints, functions, symbols, and objects of a class. Throws `VALIDATION`
 * that names where it is, after `path`.
 */
export function encode(value: unknown, path: string): string {
  try {
    return JSON.stringify(value ?? null, checkMember);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw invalid(path, "wants JSON, got an object that holds itself, or a bigint");
  }

  /** Called with the object that has the member, as the member itself may have become a text. */
  function checkMember(this: unknown, name: string, member: unknown): unknown {
    const original: unknown = isRecord(this) ? this[name] : member;
    const isRoot = name === "" && original === value;
    const wrong = whatIsWrong(original);
    if (wrong !== null) throw invalid(isRoot ? path : name, `wants JSON, got ${wrong}`);
    return member;
  }
}

function whatIsWrong(value: unknown): string | null {
  if (typeof value === "number") return Number.isFinite(value) ? null : String(value);
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype === null || prototype === Object.prototype) return null;
    return `an object of a class`;
  }
  const isNone = typeof value === "bigint" || typeof value === "function";
  return isNone || typeof value === "symbol" ? kindOf(value) : null;
}
