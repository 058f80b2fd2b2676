import { show, ValidationError, type SubjectInput } from "ductape";

/** How to give `--subject`, the same in docs and help. */
export const SUBJECT_FLAG =
  "who: ada, or by selectors userId=ada plan=free, or JSON for a value that contains =";

/**
 * The subject given by the values of `--subject`: a text, `name=value` for each selector, or JSON.
 * Throws `VALIDATION`.
 */
export function subjectOf(texts: readonly string[]): SubjectInput {
  const [first = "", ...others] = texts;
  if (others.length === 0 && /^[{"]/.test(first)) return parsed(first);
  if (others.length === 0 && !first.includes("=")) return first;
  const subject: Record<string, unknown> = {};
  for (const text of texts) {
    const at = text.indexOf("=");
    const path = text.slice(0, Math.max(0, at)).split(".");
    if (path.includes("")) throw wrong(`expects name=value for each of several, got ${show(text)}`);
    if (!put(subject, path, text.slice(at + 1))) throw wrong(`names ${path.join(".")} twice`);
  }
  return subject;
}

/** Puts a value at a path of objects; false if there is one already. */
function put(subject: Record<string, unknown>, path: readonly string[], value: string): boolean {
  const [name = "", ...rest] = path;
  const had = Object.hasOwn(subject, name) ? subject[name] : undefined;
  if (rest.length === 0) {
    if (had !== undefined) return false;
    Object.defineProperty(subject, name, { value, enumerable: true });
    return true;
  }
  const inner = had ?? {};
  if (!isObject(inner)) return false;
  Object.defineProperty(subject, name, { value: inner, enumerable: true });
  return put(inner, rest, value);
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null;

function parsed(text: string): SubjectInput {
  try {
    return JSON.parse(text);
  } catch {
    throw wrong(`expects JSON, because it begins with { or a quote, got ${show(text)}`);
  }
}

function wrong(message: string): ValidationError {
  return new ValidationError([{ path: "--subject", message }]);
}
