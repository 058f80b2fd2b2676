import { answerText, detailsText, type Answer } from "../decide/answer.js";
import type { CheckNumbers, ReportedCheck } from "../decide/outcome.js";

/**
 * The form in which answers were stored before their numbers were packed; 24 hours after an update
 * none is left.
 */
export interface OlderAnswer extends Omit<Answer, "details" | "checks" | "amount" | "hold"> {
  /** JSON: the details of each check. */
  readonly facts: string;
  readonly legs: readonly Omit<CheckNumbers, "held" | "heldFitsMs" | "countedIn">[];
}

/** A stored answer in the form of {@link answerText}, even if it was stored as JSON. */
export function currentAnswer(stored: string): string {
  if (!stored.startsWith("{")) return stored;
  const older: OlderAnswer = JSON.parse(stored);
  return answerOfOlder(older);
}

/** An older answer in the form of {@link answerText}. */
export function answerOfOlder({ facts, legs, ...rest }: OlderAnswer): string {
  const known: readonly ReportedCheck[] = JSON.parse(facts);
  // Its checks name their subjects, because the caller was not stored.
  const details = detailsText(known, null);
  const checks = legs.map((leg) => ({ ...leg, held: 0, heldFitsMs: 0, countedIn: null }));
  return answerText({ ...rest, amount: null, hold: null, checks, details });
}
