import type { Action } from "./action.js";
import type { AnswerKey } from "./answer.js";
import type { Leg } from "./leg.js";

/** How old an answer of a cache may be. */
export interface CachePolicy {
  readonly tag: string;
  /** Milliseconds; an answer is younger than that. */
  readonly expiry: number;
}

/**
 * - `done`: admitted and written. `denied`: a limit refused it, nothing is changed.
 * - `withheld`: would be admitted, but another step of the same plan was not.
 * - `overflow`: the count would pass 2^53-1. `conflict`: the key was used with another input.
 */
export type StepStatus = "done" | "denied" | "withheld" | "overflow" | "conflict";

/**
 * One request as the engine decides it: admitted by all legs, or nothing is written. `apply` fills
 * in `status`, `nowMs`, `told` and `isReplayed`. Steps joined by `next` are decided as one: all or
 * none.
 */
export interface Step {
  readonly action: Action;
  /** Scaled by the quota's decimals. */
  readonly amount: number;
  /** The one rule that the action speaks to; null: all. */
  readonly rule: string | null;
  /** The first one; `next` leads on. */
  readonly legs: Leg;
  readonly answer: AnswerKey | null;
  /** The cache that may answer; null: none. */
  readonly cache: CachePolicy | null;
  next: Step | null;
  /** The instant it was planned for, then that it was decided at: epoch milliseconds. */
  nowMs: number;
  status: StepStatus;
  /** The legs to tell: those planned, or those of the first answer. */
  told: Leg | null;
  isReplayed: boolean;
  /** The age of the oldest copy it was decided on, in milliseconds; null: decided by the engine. */
  ageMs: number | null;
}
