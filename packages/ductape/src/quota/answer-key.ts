import { ValidationError } from "../base/errors.js";
import { canonical } from "../base/json.js";
import type { Action, Idempotency } from "../decide/action.js";
import { answerKeyOf, detailsText } from "../decide/answer.js";
import type { AnswerKey, HoldTerms, RuleCheck, Step } from "../decide/plan.js";
import type { Identity } from "../define/subject.js";
import type { HoldFields } from "./hold-fields.js";
import type { Request } from "./request.js";

/** The idempotency key of a request, in the space of its quota. */
export function answerKey(
  request: Request,
  { key, ttlMs }: Idempotency,
  identity: Identity | null,
  space: string,
  amount: number,
  rule: string | null,
  checks: readonly RuleCheck[],
): AnswerKey {
  const { action, holding } = request;
  const caller = callerOf(request, identity);
  const who = whoOf(request, identity, checks);
  const id = holding === null || holding.reservation === "" ? null : holding.reservation;
  return {
    space,
    name: key,
    ttlMs,
    fingerprint: fingerprintOf(action, amount, rule, who, holding),
    caller,
    details: detailsText(checks, caller, id),
  };
}

/** The hold of a request, planned for the current windows of its counters. */
export function holdTerms(
  request: Request,
  holding: HoldFields,
  identity: Identity | null,
  space: string,
  amount: number,
  checks: readonly RuleCheck[],
): HoldTerms {
  const { reservation: name, ttlMs, isFinal, isWhole } = holding;
  const { action } = request;
  return {
    space,
    name,
    ttlMs,
    // Whoever settles a hold, and whatever for, it is settled once: only its amount is compared.
    fingerprint:
      action === "reserve"
        ? fingerprintOf(action, amount, null, whoOf(request, identity, checks), holding)
        : action,
    caller: "",
    // Every subject is named, because not everybody who asks for this answer is the same caller.
    details: detailsText(checks, null, name),
    owners: ownersText(checks),
    isFinal,
    isWhole,
    openedMs: 0,
  };
}

/** Names counters: equal only for the same ones in the same order. */
function ownersText(checks: readonly RuleCheck[]): string {
  let text = "";
  for (const { rule, subject } of checks) {
    if (text !== "") text += ",";
    text += `[${JSON.stringify(rule.space)},${JSON.stringify(subject)}]`;
  }
  return `[${text}]`;
}

/** The subject that most counters of a request have. */
function callerOf({ subject }: Request, identity: Identity | null): string {
  return identity?.identifier ?? (typeof subject === "string" ? subject : "");
}

/** A session counts as its owner, not its token: a retry after a refresh is the same request. */
function whoOf(
  { session, subject }: Request,
  identity: Identity | null,
  checks: readonly RuleCheck[],
): unknown {
  if (identity === null) return canonical(subject);
  return [session?.tag, identity.identifier, ...checks.map((check) => check.subject)];
}

/** In a longer fingerprint the subject is a hash, because subjects may have many members. */
const FINGERPRINT_CHARS_MAX = 300;

/** Equal only for equal inputs. */
function fingerprintOf(
  action: Action,
  amount: number,
  rule: string | null,
  who: unknown,
  holding: HoldFields | null,
): string {
  const fields = holding === null ? [] : fieldsOf(holding);
  const text = JSON.stringify([action, amount, rule, who, ...fields]);
  if (text.length <= FINGERPRINT_CHARS_MAX) return text;
  const whole = JSON.stringify(who);
  const hash = [0, 1].map((seed) => hashOf(whole, seed).toString(36)).join("-");
  return JSON.stringify([action, amount, rule, { hash }, ...fields]);
}

/** A retry of a request without an id may give another one. */
function fieldsOf({ reservation, isNamed, ...holding }: HoldFields): unknown[] {
  const { ttlMs, atLeast, isFinal, allowsExcess, isWhole } = holding;
  return [isNamed ? reservation : null, ttlMs, atLeast, isFinal, allowsExcess, isWhole];
}

/** What an answer kept of its request; null for what it does not tell. */
interface KeptRequest {
  readonly action: unknown;
  /** Scaled by the quota's decimals. */
  readonly amount: number;
  /** The caller, as {@link detailsText} leaves it out. */
  readonly caller: string | null;
}

/** The request of a kept answer. */
export function keptRequest(fingerprint: string): KeptRequest {
  const parts: unknown = JSON.parse(fingerprint);
  const [action, amount, , who]: unknown[] = Array.isArray(parts) ? parts : [];
  return { action, amount: typeof amount === "number" ? amount : 0, caller: keptCaller(who) };
}

function keptCaller(who: unknown): string | null {
  if (who === null) return "";
  if (typeof who === "string") return who;
  if (!Array.isArray(who)) return null;
  // The members of a subject are pairs; those of a session are texts.
  const [, identifier]: unknown[] = who;
  return typeof identifier === "string" ? identifier : "";
}

/**
 * Throws `VALIDATION` if one key belongs to several steps that are decided together: the second
 * would be decided before the first answer is stored.
 */
export function refuseSameKeys(steps: readonly Step[]): void {
  const seen = new Map<string, number>();
  steps.forEach(({ answerKey: own, charge }, i) => {
    if (own === null) return;
    const key = answerKeyOf(own);
    const first = seen.get(key);
    if (first !== undefined) {
      const message = `is the same as that of inputs[${first}]; give each input a key of its own`;
      const path = `inputs[${i}].${charge === null ? "idempotency_key" : "of"}`;
      throw new ValidationError([{ path, message }]);
    }
    seen.set(key, i);
  });
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
