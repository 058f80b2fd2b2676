/** The action of a call. `check` changes nothing. */
export type Action =
  | "check"
  | "increment"
  | "decrement"
  | "set"
  | "reset"
  | "grant"
  | "reserve"
  | "commit"
  | "extend"
  | "release";

/** Every action of a call. */
export const ACTIONS: readonly Action[] = [
  "check",
  "increment",
  "decrement",
  "set",
  "reset",
  "grant",
  "reserve",
  "commit",
  "extend",
  "release",
];

/** An idempotency key, and how long its answer is kept, in milliseconds. */
export interface Idempotency {
  readonly key: string;
  readonly ttlMs: number;
}

/** How long the answer to an idempotency key is kept by default: 24 h. */
export const ANSWER_TTL_MS = 86_400_000;
