import type { Verdict } from "./apply.js";
import type { Cell } from "./cell.js";
import type { Step } from "./plan.js";

/**
 * What a store promises. Tests and docs read differences between stores from here, never from a
 * name.
 */
export interface StoreGuarantees {
  readonly name: string;
  /** An acknowledged change outlives the death of the process. */
  readonly durable: boolean;
  /** Who may share it exactly. */
  readonly shared: "process" | "machine" | "network";
}

/** What one call may ask of a store. */
export interface CallOptions {
  /** Gives up a call that has not been sent yet: `ABORTED`. */
  readonly signal?: AbortSignal | undefined;
  /** How long to wait for an answer, in milliseconds: `TIMEOUT`, or `OUTCOME_UNKNOWN` once sent. */
  readonly timeoutMs?: number | undefined;
}

/**
 * A definition as its last change left it. `revision` counts its changes from 1; `value` is JSON
 * text, or null once it is deleted.
 */
export interface DocumentChange {
  readonly key: string;
  readonly revision: number;
  readonly value: string | null;
}

/** One write of an all-or-nothing change of definitions. */
export interface DocumentWrite {
  readonly key: string;
  /** The revision it must have now; 0: it must not exist. */
  readonly ifRevision: number;
  /** New JSON text, null to delete; undefined only checks the revision. */
  readonly value: string | null | undefined;
}

/**
 * Definitions, kept beside the counters. Every method throws `STORE_UNAVAILABLE` where the store
 * cannot answer.
 */
export interface Documents {
  /** All changes after `sequence` (0: everything), and the sequence they lead to. */
  changes(sequence: number): Promise<{ sequence: number; changes: DocumentChange[] }>;
  /**
   * Writes all or none, and forgets the counters whose space starts with one of `forget`, in the
   * same step. Returns the key of a write whose `ifRevision` no longer holds, else null.
   */
  write(writes: readonly DocumentWrite[], forget: readonly string[]): Promise<string | null>;
}

/** A counter as `scan` reads it. */
export interface CellRow {
  readonly space: string;
  readonly subject: string;
  /** A copy. */
  readonly cell: Cell;
}

/**
 * Where counters and definitions live. A store runs `apply` under its own lock and adds nothing to
 * the decision. Every plan is atomic, and resolved when it is as durable as `guarantees` says.
 */
export interface Store {
  readonly guarantees: StoreGuarantees;
  /** False until `open`, and once what was opened is lost: open it, and read all of it, anew. */
  readonly isOpen: boolean;
  /** Opens or creates it. Throws `STORE_UNAVAILABLE` and may be called again. */
  open(): Promise<void>;
  /**
   * Decides the plan that starts with this step, and fills it in. Plans of the same turn share a
   * batch where the engine has a round trip. Throws `STORE_UNAVAILABLE`, `TIMEOUT`, `ABORTED`,
   * `OVERLOADED`, `OUTCOME_UNKNOWN`.
   */
  apply(plan: Step, options?: CallOptions): Verdict | Promise<Verdict>;
  readonly documents: Documents;
  /**
   * Counters of all spaces that start with `prefix`, in no order, each as a commit left it. Read a
   * piece at a time, so that other calls go on between.
   */
  scan(prefix: string): AsyncIterable<CellRow>;
  /** Lets what was accepted finish, then releases everything. */
  close(): Promise<void>;
}

/** A clock: epoch milliseconds, an integer. */
export type Clock = () => number;
