import type { LegNumbers } from "./cell.js";
import { canonical } from "../base/json.js";
import { newLeg, nextTold, type Leg } from "./leg.js";
import type { Period } from "./period.js";
import type { Action, Idempotency } from "./action.js";
import type { Step, StepStatus } from "./step.js";

/** The idempotency key of a step. */
export interface AnswerKey {
  /** What all keys of its quota and environment begin with. */
  readonly space: string;
  /** The key as the caller gave it. */
  readonly name: string;
  /** How long its answer is kept, in milliseconds. */
  readonly ttlMs: number;
  /** The same for the same input only. */
  readonly fingerprint: string;
  /** Who asks, the same for the same fingerprint; "" where nobody is named. */
  readonly caller: string;
  /** What is reported of the step's legs, kept so that a replay needs no definition. */
  readonly facts: string;
}

/** The whole key of an answer. */
export const answerKeyOf = ({ space, name }: AnswerKey): string => space + name;

/** The status of a step by the number that stands for it in stored answers and in apply.lua. */
export const STATUSES: readonly StepStatus[] = [
  "done",
  "denied",
  "withheld",
  "overflow",
  "conflict",
];

/**
 * The first answer to an idempotency key. Engines keep it as one text of three lines, which
 * apply.lua writes too: numbers, the fingerprint, the facts. The numbers are `now,ttl,status`, then
 * for each leg `;` and, without the zeros at the end: how long before `now` its window began, how
 * long after it ends, used, previously used, flags (1 admits, 2 in the way, 4 rolling), granted,
 * the alert before and after where one fired, and how long after `now` a rolling leg has room
 * (oldest amount gone; the amount fits, or `n` for never). Zero is written as nothing.
 */
export interface Answer {
  readonly nowMs: number;
  readonly expiresMs: number;
  readonly status: StepStatus;
  readonly fingerprint: string;
  /** As {@link factsText} writes them. */
  readonly facts: string;
  /** The numbers of each leg that a decision reports, in order. */
  readonly legs: readonly LegNumbers[];
}

/** What a decision reports of a leg besides its numbers, so that a replay needs no definition. */
type Fact = readonly [
  rule: string,
  period: Period,
  limit: number | null,
  /** Left out or null where it is the caller. */
  subject?: string | null,
  /** Left out where there are none. */
  alerts?: readonly number[],
];

const [ADMITS, IN_THE_WAY, ROLLING] = [1, 2, 4];
const NEVER = "n";

/** What of a request decides whether another one is a retry of it. */
interface Asked {
  readonly action: Action;
  readonly subject: unknown;
  readonly session: { readonly tag: string } | null;
  /** Whose session it is; null: none. */
  readonly identity: { readonly identifier: string } | null;
}

/** The idempotency key of a request, in the space of its quota. */
export function answerKey(
  { action, subject, session, identity }: Asked,
  { key, ttlMs }: Idempotency,
  space: string,
  amount: number,
  rule: string | null,
  legs: Leg,
): AnswerKey {
  const told = toldOf(legs);
  const counted = told.map((leg) => leg.subject);
  // A session is who it is for, not its token: a retry after a refresh is the same request.
  const who =
    identity === null ? canonical(subject) : [session?.tag, identity.identifier, ...counted];
  const caller = identity?.identifier ?? (typeof subject === "string" ? subject : "");
  return {
    space,
    name: key,
    ttlMs,
    fingerprint: shortened(JSON.stringify([action, amount, rule, who])),
    caller,
    facts: factsText(told, caller),
  };
}

/** A longer fingerprint is kept as a hash, as subjects may hold many members. */
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

/** What is known of each leg as JSON. `caller` is the same for every repeat; null: unknown. */
export function factsText(
  legs: readonly Pick<Leg, "rule" | "subject" | "limit">[],
  caller: string | null,
): string {
  const facts = legs.map(({ rule, limit, subject }): Fact => {
    const whose = subject === caller ? null : subject;
    if (rule.alerts.length > 0) return [rule.name, rule.period, limit, whose, rule.alerts];
    if (whose !== null) return [rule.name, rule.period, limit, whose];
    return [rule.name, rule.period, limit];
  });
  return JSON.stringify(facts);
}

/** The legs that a decision reports, in order. */
export function toldOf(first: Leg): Leg[] {
  const legs: Leg[] = [];
  for (let leg: Leg | null = first; leg !== null; leg = nextTold(leg)) legs.push(leg);
  return legs;
}

/** The text of a decided step's answer. */
export function packAnswer(step: Step, { ttlMs, fingerprint, facts }: AnswerKey): string {
  const { nowMs, status } = step;
  const expiresMs = nowMs + ttlMs;
  return answerText({ nowMs, expiresMs, status, fingerprint, facts, legs: toldOf(step.legs) });
}

/** The text of an answer. */
export function answerText({ nowMs, expiresMs, status, legs, ...texts }: Answer): string {
  const head = [nowMs, expiresMs - nowMs, STATUSES.indexOf(status)].join(",");
  const numbers = [head, ...legs.map((leg) => legText(leg, nowMs))].join(";");
  // Joined, not added: a text that was added up keeps all of its parts in memory.
  return [numbers, texts.fingerprint, texts.facts].join("\n");
}

function legText(leg: LegNumbers, nowMs: number): string {
  const { window, rolling, alertedFrom, alerted } = leg;
  const hasFired = alerted !== alertedFrom;
  const flags =
    (leg.admits ? ADMITS : 0) + (leg.inTheWay ? IN_THE_WAY : 0) + (rolling === null ? 0 : ROLLING);
  const numbers = [
    nowMs - window.startMs,
    window.endMs - nowMs,
    leg.used,
    leg.previousUsed,
    flags,
    leg.granted,
    hasFired ? alertedFrom : 0,
    hasFired ? alerted : 0,
    rolling === null ? 0 : rolling.leavesMs - nowMs,
    rolling === null ? 0 : rolling.fitsMs === null ? NEVER : rolling.fitsMs - nowMs,
  ].map((number) => (number === 0 ? "" : number));
  return numbers.join(",").replace(/,+$/, "");
}

/** Reads what {@link answerText} or apply.lua wrote. Throws on any other text. */
export function readAnswer(text: string): Answer {
  const [numbers = "", fingerprint, facts] = text.split("\n");
  const [head = "", ...legs] = numbers.split(";");
  const [now, ttl, status] = head.split(",");
  const nowMs = Number(now);
  const known = STATUSES[Number(status)];
  if (fingerprint === undefined || facts === undefined || known === undefined) {
    throw new Error("a stored answer to an idempotency key cannot be read");
  }
  return {
    nowMs,
    expiresMs: nowMs + Number(ttl),
    status: known,
    fingerprint,
    facts,
    legs: legs.map((leg) => legNumbers(leg.split(","), nowMs)),
  };
}

function legNumbers(parts: readonly string[], nowMs: number): LegNumbers {
  const at = (i: number): number => Number(parts[i] ?? 0);
  const [flags, fits] = [at(4), parts[9]];
  return {
    window: { startMs: nowMs - at(0), endMs: nowMs + at(1) },
    used: at(2),
    previousUsed: at(3),
    admits: (flags & ADMITS) !== 0,
    inTheWay: (flags & IN_THE_WAY) !== 0,
    granted: at(5),
    alertedFrom: at(6),
    alerted: at(7),
    rolling:
      (flags & ROLLING) === 0
        ? null
        : { leavesMs: nowMs + at(8), fitsMs: fits === NEVER ? null : nowMs + at(9) },
  };
}

/** The legs of a stored answer, as its first decision reported them. */
export function toldLegs({ facts, legs }: Answer, caller: string): Leg | null {
  const parsed: readonly Fact[] = JSON.parse(facts);
  return parsed.reduceRight<Leg | null>((next, [name, period, limit, subject, alerts], i) => {
    const numbers = legs[i];
    if (numbers === undefined) return next;
    const rule = { ...NO_RULE, name, period, alerts: alerts ?? [] };
    return { ...newLeg(rule, subject ?? caller, numbers.window, limit), ...numbers, next };
  }, null);
}

/** A rule that is no longer asked for its counters. */
const NO_RULE = {
  space: "",
  home: "",
  shape: 0,
  shapedMs: 0,
  rollingMs: 0,
  soft: false,
  isByPlan: false,
  defaultLimit: null,
  remembersLast: false,
  isLedger: false,
};
