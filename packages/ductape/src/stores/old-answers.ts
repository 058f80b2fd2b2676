import { answerText, factsText, type Answer } from "../decide/answer.js";
import type { Leg } from "../decide/leg.js";

/** An answer as it was stored until its numbers were packed: 24 hours later none is left. */
export interface OldAnswer extends Omit<Answer, "facts"> {
  /** JSON: what was known of each leg. */
  readonly facts: string;
}

/** A stored answer as {@link answerText}, whether it stands there so or as JSON of old. */
export function currentAnswer(stored: string): string {
  if (!stored.startsWith("{")) return stored;
  const old: OldAnswer = JSON.parse(stored);
  return answerOfOld(old);
}

/** An old answer as {@link answerText}. */
export function answerOfOld(old: OldAnswer): string {
  const known: readonly Pick<Leg, "rule" | "subject" | "limit">[] = JSON.parse(old.facts);
  // Its legs name their subjects: who asked was not stored.
  return answerText({ ...old, facts: factsText(known, null) });
}
