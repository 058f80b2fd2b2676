import { sumOf, type DefinitionChange, type SubjectUsage } from "ductape";

/** A limit of a rule: a number, null for none, or one for each value of a selector. */
type Limit = number | null | PickedLimit;

interface PickedLimit {
  readonly values: Readonly<Record<string, number | null>>;
  readonly default: number | null;
}

/** A rule whose limit changes. */
export interface ChangedLimit {
  readonly rule: string;
  readonly from: Limit;
  readonly to: Limit;
}

/** The changed limits of the rules that a change of a quota keeps. */
export function changedLimits({ kind, action, fields }: DefinitionChange): ChangedLimit[] {
  if (kind !== "quota" || action !== "update") return [];
  return fields.flatMap(({ field, from, to }) => {
    const rule = /^rules\[(.*)\]\.limit$/s.exec(field)?.[1];
    if (rule === undefined || !isLimit(from) || !isLimit(to)) return [];
    return [{ rule, from, to }];
  });
}

/** True if a subject has used more than a limit it may get; its plan is not always known. */
export function isOver({ used, limit }: SubjectUsage, { from, to }: ChangedLimit): boolean {
  // Without a limit now, its plan may be any that has none.
  const now = limitsOf(from).filter(([, each]) => (each === null) === (limit === null));
  const candidates = isPicked(from)
    ? now.filter(([, each]) => each === limit).map(([value]) => limitAt(to, value))
    : [limitAt(to, null)];
  // The grants of its window remain.
  const granted = isPicked(from) || from === null || limit === null ? 0 : sumOf(limit, -from);
  return candidates.some((each) => each !== null && used > sumOf(each, granted));
}

/** The limits of all values; null stands for every value not listed. */
function limitsOf(limit: Limit): (readonly [value: string | null, limit: number | null])[] {
  if (!isPicked(limit)) return [[null, limit]];
  return [...Object.entries(limit.values), [null, limit.default]];
}

function limitAt(limit: Limit, value: string | null): number | null {
  if (!isPicked(limit)) return limit;
  const named = value === null ? undefined : limit.values[value];
  return named === undefined ? limit.default : named;
}

function isPicked(limit: Limit): limit is PickedLimit {
  return typeof limit === "object" && limit !== null;
}

function isLimit(value: unknown): value is Limit {
  if (value === null || typeof value === "number") return true;
  return typeof value === "object" && "values" in value && "default" in value;
}
