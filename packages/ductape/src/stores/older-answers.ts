import { answerText, detailsText, type Answer } from "../decide/answer.js";
import type { CheckNumbers, ReportedCheck } from "../decide/outcome.js";

/** An answer as it was stored until its numbers were packed: 24 hours later none is left. */
export interface OlderAnswer extends Omit<Answer, "details" | "checks"> {
  /** JSON: what was known of each check. */
  readonly facts: string;
  readonly legs: readonly CheckNumbers[];
}

/** A stored answer as {@link answerText}, also of one that was stored as JSON. */
export function currentAnswer(stored: string): string {
  if (!stored.startsWith("{")) return stored;
  const older: OlderAnswer = JSON.parse(stored);
  return answerOfOlder(older);
}

/** An older answer as {@link answerText}. */
export function answerOfOlder({ facts, legs, ...rest }: OlderAnswer): string {
  const known: readonly ReportedCheck[] = JSON.parse(facts);
  // Its checks name their subjects: who asked was not stored.
  return answerText({ ...rest, checks: legs, details: detailsText(known, null) });
}
