import { ConflictError, show } from "../base/errors.js";
import { Fields, Issues, type Empty } from "../base/field.js";

/**
 * A change. Fields that are absent, undefined or `{}` stay; null restores the default of an
 * optional field, as in a JSON merge patch (RFC 7396): `anchor: null` removes an anchor. Only for
 * `limit` is null a value: count only. With `if_revision` only that revision is changed.
 */
export type Patch<T> = {
  readonly [K in keyof T]?: T[K] | Empty | (Empty extends Pick<T, K> ? null : never) | undefined;
} & { readonly if_revision?: number | Empty | undefined };

/** Options of a deletion. */
export interface DeleteOptions {
  /** Deletes even if counters are in use. */
  readonly force?: boolean | Empty | undefined;
  /** Deletes only that revision: else `REVISION_CONFLICT`. */
  readonly if_revision?: number | Empty | undefined;
}

/** A parsed patch: only the changed fields; undefined restores a default. */
export interface Changes {
  readonly ifRevision: number | null;
  readonly fields: Readonly<Record<string, unknown>>;
}

/**
 * Parses a patch of `known` fields; those in `nullable` accept null as a value. Throws
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

/** The `if_revision` of a change; null if it is left out. Problems go to the issues. */
export function parseRevision(given: Fields): number | null {
  const value = given.get("if_revision");
  if (value === undefined) return null;
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 1) return value;
  given.refuse("if_revision", `expects an integer from 1, got ${show(value)}`);
  return null;
}

/** Throws `REVISION_CONFLICT` unless the expected revision is the stored one. */
export function checkRevision(ifRevision: number | null, revision: number): void {
  if (ifRevision === null || ifRevision === revision) return;
  const message = `if_revision: expects ${ifRevision}, but the stored revision is ${revision}`;
  throw new ConflictError("REVISION_CONFLICT", message);
}
