import type { Counter } from "./counter.js";
import type { AnswerKey, RuleCheck } from "./plan.js";

/**
 * The counters and answers that a plan is decided on. The store loads them, holds their lock, and
 * keeps what changes.
 */
export interface Counters {
  /** The counter of a check, or undefined where nothing was ever counted. */
  find(check: RuleCheck): Counter | undefined;
  /** The counter that `find` gave was changed in place. */
  changed(check: RuleCheck, counter: Counter): void;
  /** A counter where `find` gave none, or in place of the one that it gave. */
  put(check: RuleCheck, counter: Counter): void;
  /** The text of the first answer to a key; it may have expired. */
  findAnswer(key: AnswerKey): string | undefined;
  /** Keeps the text of an answer until it expires, epoch milliseconds. */
  putAnswer(key: AnswerKey, text: string, expiresMs: number): void;
}
