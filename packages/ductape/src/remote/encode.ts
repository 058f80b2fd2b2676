import { kindOf } from "../base/errors.js";
import { isRecord } from "../base/json.js";
import { invalid } from "../base/settings.js";

/**
 * The current value as JSON text. Refuses what JSON would silently drop or change: NaN and
 * infinities, bigints, functions, symbols, and instances of classes. Throws `VALIDATION`, which
 * names the place after `path`.
 */
export function encode(value: unknown, path: string): string {
  try {
    return JSON.stringify(value ?? null, checkMember);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw invalid(path, "expects JSON, got an object that contains itself, or a bigint");
  }

  /**
   * Called with the object that has the member, because the member itself may already be a text.
   */
  function checkMember(this: unknown, name: string, member: unknown): unknown {
    const original: unknown = isRecord(this) ? this[name] : member;
    const isRoot = name === "" && original === value;
    const wrong = whatIsWrong(original);
    if (wrong !== null) throw invalid(isRoot ? path : name, `expects JSON, got ${wrong}`);
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
