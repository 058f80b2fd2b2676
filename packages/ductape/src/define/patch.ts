import { ConflictError, show } from "../base/errors.js";
import { Fields, Issues, type Empty } from "../base/field.js";

/**
 * A change. Fields that are absent, undefined or `{}` stay; null takes an optional field back to
 * its default, as in a JSON merge patch (RFC 7396): `anchor: null` removes an anchor. Only of
 * `limit` null is a value: count only. With `if_revision` that revision is changed and no other.
 */
export type Patch<T> = {
  readonly [K in keyof T]?: T[K] | Empty | (Empty extends Pick<T, K> ? null : never) | undefined;
} & { readonly if_revision?: number | Empty | undefined };

/** What a deletion may ask for. */
export interface DeleteOptions {
  /** Deletes although counters are in use. */
  readonly force?: boolean | Empty | undefined;
  /** Deletes that revision and no other: else `REVISION_CONFLICT`. */
  readonly if_revision?: number | Empty | undefined;
}

/** A parsed patch: only what it changes; undefined takes a field back to its default. */
export interface Changes {
  readonly ifRevision: number | null;
  readonly fields: Readonly<Record<string, unknown>>;
}

/**
 * Parses a patch of `known` fields, of which those of `nullable` take null as a value. Throws
 * `VALIDATION`.
 */
export function parsePatch(
  patch: unknown,
  known: readonly string[],
  nullable: readonly string[],
): Changes {
  const issues = new Issues();
  const given = new Fields(patch, "patch", [...known, "if_revision"], issues, "");
  const ifRevision = parseRevision(given);
  issues.throwAny();
  const fields: Record<string, unknown> = {};
  for (const name of known) {
    const value = given.get(name);
    if (value === undefined) continue;
    fields[name] = value === null && !nullable.includes(name) ? undefined : value;
  }
  return { ifRevision, fields };
}

/** The `if_revision` of a change; null where it is left out. What is wrong goes to the issues. */
export function parseRevision(given: Fields): number | null {
  const value = given.get("if_revision");
  if (value === undefined) return null;
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 1) return value;
  given.refuse("if_revision", `wants an integer from 1, got ${show(value)}`);
  return null;
}

/** Throws `REVISION_CONFLICT` where another revision is wanted than the one stored. */
export function checkRevision(ifRevision: number | null, revision: number): void {
  if (ifRevision === null || ifRevision === revision) return;
  const message = `if_revision: wants ${ifRevision}, but the stored revision is ${revision}`;
  throw new ConflictError("REVISION_CONFLICT", message);
}
