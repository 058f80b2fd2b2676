import { canonical } from "../base/json.js";
import type { Idempotency } from "../decide/action.js";
import { detailsText } from "../decide/answer.js";
import type { AnswerKey, RuleCheck } from "../decide/plan.js";
import type { Identity } from "../define/subject.js";
import type { Request } from "./request.js";

/** The idempotency key of a request, in the space of its quota. */
export function answerKey(
  { action, subject, session }: Request,
  { key, ttlMs }: Idempotency,
  identity: Identity | null,
  space: string,
  amount: number,
  rule: string | null,
  checks: readonly RuleCheck[],
): AnswerKey {
  const counted = checks.map((check) => check.subject);
  // A session counts as its owner, not its token: a retry after a refresh is the same request.
  const who =
    identity === null ? canonical(subject) : [session?.tag, identity.identifier, ...counted];
  const caller = identity?.identifier ?? (typeof subject === "string" ? subject : "");
  return {
    space,
    name: key,
    ttlMs,
    fingerprint: shortened(JSON.stringify([action, amount, rule, who])),
    caller,
    details: detailsText(checks, caller),
  };
}

/** A longer fingerprint is stored as a hash, because subjects may have many members. */
const FINGERPRINT_CHARS_MAX = 300;

function shortened(fingerprint: string): string {
  if (fingerprint.length <= FINGERPRINT_CHARS_MAX) return fingerprint;
  return [0, 1].map((seed) => hashOf(fingerprint, seed).toString(36)).join("-");
}

/** A hash of 53 bits: cyrb53 by bryc, in the public domain. Not for secrets. */
function hashOf(text: string, seed: number): number {
  let [high, low] = [0xdeadbeef ^ seed, 0x41c6ce57 ^ seed];
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    high = Math.imul(high ^ unit, 2_654_435_761);
    low = Math.imul(low ^ unit, 1_597_334_677);
  }
  const mixed = (a: number, b: number): number =>
    Math.imul(a ^ (a >>> 16), 2_246_822_507) ^ Math.imul(b ^ (b >>> 13), 3_266_489_909);
  return 2 ** 32 * (mixed(low, high) & 0x1fffff) + (mixed(high, low) >>> 0);
}
