import { DuctapeError, ValidationError } from "ductape";

/** The ETag of a revision (RFC 9110, 8.8.3). */
export function etagOf(revision: number): string {
  return `"${revision}"`;
}

/**
 * The revision that `If-Match` names; undefined if the header is missing or `*`. Throws
 * `VALIDATION`.
 */
export function ifMatchOf(header: string | undefined): number | undefined {
  if (header === undefined || header.trim() === "*") return undefined;
  const revision = /^\s*"(\d{1,15})"\s*$/.exec(header)?.[1];
  if (revision !== undefined) return Number(revision);
  const message = 'expects the ETag of one revision, such as "3" with its quotes, or *';
  throw new ValidationError([{ path: "If-Match", message }]);
}

/** True if `If-None-Match` names the revision, so the caller has it already. */
export function isKnown(header: string | undefined, revision: number): boolean {
  if (header === undefined) return false;
  const tags = header.split(",").map((tag) => tag.trim().replace(/^W\//, ""));
  return tags.includes("*") || tags.includes(etagOf(revision));
}

/** How often a change is attempted while others change the same definition. */
const ATTEMPTS_MAX = 20;

/**
 * Changes a definition and returns exactly what it was before: unless the caller names a revision,
 * only the revision just read is changed, with new attempts while others are quicker. A definition
 * that cannot be read is changed without that check. Throws what `fetch` and `change` throw.
 */
export async function changeOf<V extends { readonly revision: number }, A>(
  revision: number | undefined,
  fetch: () => Promise<V>,
  change: (revision: number | undefined) => Promise<A>,
): Promise<{ readonly before: V | null; readonly after: A }> {
  for (let attempt = 1; ; attempt++) {
    const before = await fetch().catch(nullIfUnreadable);
    try {
      return { before, after: await change(revision ?? before?.revision) };
    } catch (error) {
      const isBehind = DuctapeError.is(error) && error.code === "REVISION_CONFLICT";
      if (!isBehind || revision !== undefined || attempt === ATTEMPTS_MAX) throw error;
    }
  }
}

function nullIfUnreadable(error: unknown): null {
  if (DuctapeError.is(error) && error.code === "VALIDATION") return null;
  throw error;
}
