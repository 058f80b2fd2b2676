import { copyOf, type Counter } from "./counter.js";
import type { Counters } from "./counters.js";
import { answerKeyOf } from "./answer.js";
import type { Hold } from "./hold.js";
import type { AnswerKey, RuleCheck } from "./plan.js";

/** Copies of counters whose changes reach the originals only when they are committed. */
export interface Draft extends Counters {
  commit(): void;
}

/** A draft of the counters that steps touch, so that several steps can be undone together. */
export function draftOf(counters: Counters): Draft {
  return new CopiedCounters(counters);
}

class CopiedCounters implements Draft {
  readonly #base: Counters;
  readonly #copies = new Map<string, Map<string, { check: RuleCheck; counter: Counter }>>();

  readonly #holds = new Map<string, { key: AnswerKey; hold: Hold }>();

  constructor(base: Counters) {
    this.#base = base;
  }

  find(check: RuleCheck): Counter | undefined {
    const copied = this.#copies.get(check.rule.space)?.get(check.subject);
    if (copied !== undefined) return copied.counter;
    const counter = this.#base.find(check);
    return counter && copyOf(counter);
  }

  changed(check: RuleCheck, counter: Counter): void {
    this.put(check, counter);
  }

  put(check: RuleCheck, counter: Counter): void {
    const { space } = check.rule;
    const copies = this.#copies.get(space);
    if (copies === undefined)
      this.#copies.set(space, new Map([[check.subject, { check, counter }]]));
    else copies.set(check.subject, { check, counter });
  }

  findAnswer(key: AnswerKey): string | undefined {
    return this.#base.findAnswer(key);
  }

  putAnswer(key: AnswerKey, text: string, expiresMs: number): void {
    this.#base.putAnswer(key, text, expiresMs);
  }

  findHold(key: AnswerKey): Hold | undefined {
    return this.#holds.get(answerKeyOf(key))?.hold ?? this.#base.findHold(key);
  }

  putHold(key: AnswerKey, hold: Hold): void {
    this.#holds.set(answerKeyOf(key), { key, hold });
  }

  commit(): void {
    for (const { key, hold } of this.#holds.values()) this.#base.putHold(key, hold);
    for (const copies of this.#copies.values()) {
      for (const { check, counter } of copies.values()) this.#base.put(check, counter);
    }
  }
}
