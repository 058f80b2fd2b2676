import type { Logger } from "pino";
import type { Actor } from "./access.js";

/** A change by somebody: one line of the audit log. */
interface AuditEntry {
  /** Such as `quota.reset`, `quotas.update`, `keys.revoke`. */
  readonly event: string;
  readonly actor: Actor;
  readonly request_id: string;
  /** What was changed, by the names that calls use. */
  readonly target: Readonly<Record<string, string | null>>;
  /** The old and the new value; null if there was, or is, none. */
  readonly before: unknown;
  readonly after: unknown;
}

/**
 * The log of changes by people: resets, grants, `set` actions, and changes of definitions, keys
 * and sessions. Lines are only ever added, and each is written before its change is answered. No
 * line contains a token, a key or the data of a session.
 */
export class Audit {
  readonly #logger: Logger | null;

  /** Null: writes nothing. */
  constructor(logger: Logger | null) {
    this.#logger = logger;
  }

  /** Adds a line. */
  add({ event, actor, request_id, target, before, after }: AuditEntry): void {
    this.#logger?.info({ event, actor, request_id, target, before, after });
  }
}
