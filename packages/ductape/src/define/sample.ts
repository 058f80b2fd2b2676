import { type Issues, shownName, unknownField } from "../base/field.js";

/** Data of a session: any JSON object. */
export interface SessionData {
  readonly [name: string]: unknown;
}

const DEPTH_MAX = 8;
const MEMBERS_MAX = 64;
/** Keeps a token with the data under 8 kB. */
const DATA_CHARS_MAX = 4_096;

/**
 * A copy of the part of `data` that matches `sample`: members in the sample, of the same types. In
 * the sample null stands for any value, an empty object for any members, and the first item of an
 * array for all items. Members may be absent. Problems go to `issues`, without values.
 */
export function likeSample(
  data: unknown,
  sample: SessionData,
  path: string,
  issues: Issues,
): SessionData {
  const before = issues.list.length;
  const copy = copyOf(data, sample, path, 0, issues);
  if (issues.list.length > before || !isObject(copy)) return {};
  const { length } = JSON.stringify(copy);
  if (length <= DATA_CHARS_MAX) return copy;
  issues.add(path, `expects at most ${DATA_CHARS_MAX} characters as JSON, got ${length}`);
  return {};
}

/** A copy of the sample data itself: any JSON. */
export function anySample(data: unknown, path: string, issues: Issues): SessionData {
  return likeSample(data, {}, path, issues);
}

function copyOf(
  value: unknown,
  sample: unknown,
  path: string,
  depth: number,
  issues: Issues,
): unknown {
  if (depth > DEPTH_MAX) {
    issues.add(path, `expects at most ${DEPTH_MAX} levels`);
    return null;
  }
  const type = typeOf(value);
  const wanted = sample === null || sample === undefined ? null : typeOf(sample);
  if (type === null) issues.add(path, "expects JSON data: text, numbers, objects and so on");
  else if (wanted !== null && wanted !== type) issues.add(path, `expects ${wanted}, got ${type}`);
  else if (Array.isArray(value)) {
    const item: unknown = Array.isArray(sample) ? sample[0] : null;
    return value.slice(0, MEMBERS_MAX + 1).map((each: unknown, i) => {
      if (i === MEMBERS_MAX) issues.add(path, `expects at most ${MEMBERS_MAX} items`);
      return copyOf(each, item, `${path}[${i}]`, depth + 1, issues);
    });
  } else if (isObject(value)) return membersOf(value, sample, path, depth, issues);
  return value;
}

function membersOf(
  value: SessionData,
  sample: unknown,
  path: string,
  depth: number,
  issues: Issues,
): SessionData {
  const known = isObject(sample) ? Object.keys(sample) : [];
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  if (members.length > MEMBERS_MAX) issues.add(path, `expects at most ${MEMBERS_MAX} members`);
  // fromEntries makes every name an own member, even `__proto__`.
  return Object.fromEntries(
    members.slice(0, MEMBERS_MAX).map(([name, member]) => {
      const at = `${path}.${shownName(name)}`;
      const isKnown = known.length === 0 || known.includes(name);
      if (!isKnown) issues.add(at, unknownField(name, known));
      if (!name.isWellFormed()) issues.add(at, "expects well-formed Unicode");
      const like = isKnown && isObject(sample) && known.length > 0 ? sample[name] : null;
      return [name, copyOf(member, like, at, depth + 1, issues)];
    }),
  );
}

function typeOf(value: unknown): string | null {
  if (typeof value === "string") return value.isWellFormed() ? "a text" : null;
  if (typeof value === "number") return Number.isFinite(value) ? "a number" : null;
  if (typeof value === "boolean") return "true or false";
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  return isObject(value) ? "an object" : null;
}

/** A plain object, because an instance of a class would not survive JSON. */
function isObject(value: unknown): value is SessionData {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}
