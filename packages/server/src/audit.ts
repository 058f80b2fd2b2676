import type { Logger } from "pino";
import type { Actor } from "./access.js";

/** What somebody changed: one line of the audit log. */
export interface AuditEntry {
  /** Such as `quota.reset`, `quotas.update`, `keys.revoke`. */
  readonly event: string;
  readonly actor: Actor;
  readonly request_id: string;
  /** What it is about, by the names that calls use. */
  readonly target: Readonly<Record<string, string | null>>;
  /** What it was and what it is; null where there was, or is, nothing. */
  readonly before: unknown;
  readonly after: unknown;
}

/**
 * The log of changes by people: resets, grants, counts that were set, definitions, keys and
 * sessions that were ended. A line is only ever added, and is written before the change is
 * answered. It holds no token, no key and nothing of what a session holds.
 */
export class Audit {
  readonly #logger: Logger | null;

  /** Null: nothing is written. */
  constructor(logger: Logger | null) {
    this.#logger = logger;
  }

  /** Adds a line. */
  add({ event, actor, request_id, target, before, after }: AuditEntry): void {
    this.#logger?.info({ event, actor, request_id, target, before, after });
  }
}
