import type { Counter } from "./counter.js";
import type { Hold } from "./hold.js";
import type { AnswerKey, RuleCheck } from "./plan.js";

/**
 * The counters and answers that a plan is decided on. The store loads them, holds their lock, and
 * keeps what changes.
 */
export interface Counters {
  /** The counter of a check, or undefined where nothing was ever counted. */
  find(check: RuleCheck): Counter | undefined;
  /** The counter returned by `find` was changed in place. */
  changed(check: RuleCheck, counter: Counter): void;
  /** Adds a counter where `find` returned none, or replaces the one that it returned. */
  put(check: RuleCheck, counter: Counter): void;
  /** The text of the first answer to a key; it may have expired. */
  findAnswer(key: AnswerKey): string | undefined;
  /** Stores the text of an answer until it expires, in epoch milliseconds. */
  putAnswer(key: AnswerKey, text: string, expiresMs: number): void;
  /** The hold of a name in a space of answers; it may be past the time it is remembered. */
  findHold(key: AnswerKey): Hold | undefined;
  /** Stores a hold, or replaces it. */
  putHold(key: AnswerKey, hold: Hold): void;
}
