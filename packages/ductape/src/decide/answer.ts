import { nonEmpty } from "./non-empty.js";
import type {
  CheckNumbers,
  CheckOutcome,
  ReportedCheck,
  StepOutcome,
  StepStatus,
} from "./outcome.js";
import type { Period } from "./period.js";
import type { AnswerKey } from "./plan.js";

/** The whole key of an answer. */
export const answerKeyOf = ({ space, name }: AnswerKey): string => space + name;

/** The status of a step by its number in stored answers and in answers.lua. */
export const STATUSES: readonly StepStatus[] = [
  "done",
  "denied",
  "withheld",
  "overflow",
  "conflict",
];

/**
 * The first answer to an idempotency key. Engines keep it as one text of three lines, which
 * answers.lua writes too: numbers, the fingerprint, the details. The numbers are `now,ttl,status`,
 * then for each check `;` and, without the zeros at the end: how long before `now` its window
 * began, how long after it ends, used, previously used, flags (1 admits, 2 in the way, 4 rolling),
 * granted, the alert before and after where one fired, and how long after `now` a rolling one has
 * room (oldest amount gone; the amount fits, or `n` for never). Zero is written as nothing.
 */
export interface Answer {
  readonly nowMs: number;
  readonly expiresMs: number;
  readonly status: StepStatus;
  readonly fingerprint: string;
  /** In the form of {@link detailsText}. */
  readonly details: string;
  /** The numbers of each check that a decision reports, in order. */
  readonly checks: readonly CheckNumbers[];
}

/** What a decision reports of a check besides its numbers, so that a replay needs no definition. */
type Detail = readonly [
  rule: string,
  period: Period,
  limit: number | null,
  /** Left out or null if it is the caller. */
  subject?: string | null,
  /** Left out if there are none. */
  alerts?: readonly number[],
];

const [ADMITS, IN_THE_WAY, ROLLING] = [1, 2, 4];
const NEVER = "n";

/** The details of each check as JSON. `caller` is the same for every repeat; null: unknown. */
export function detailsText(checks: readonly ReportedCheck[], caller: string | null): string {
  const details = checks.map(({ rule, limit, subject }): Detail => {
    const whose = subject === caller ? null : subject;
    if (rule.alerts.length > 0) return [rule.name, rule.period, limit, whose, rule.alerts];
    if (whose !== null) return [rule.name, rule.period, limit, whose];
    return [rule.name, rule.period, limit];
  });
  return JSON.stringify(details);
}

/** The outcome of a step as the text that is stored under its key. */
export function outcomeText(outcome: StepOutcome, key: AnswerKey): string {
  const { nowMs, status, checks } = outcome;
  const { ttlMs, fingerprint, details } = key;
  return answerText({ nowMs, expiresMs: nowMs + ttlMs, status, fingerprint, details, checks });
}

/** The text of an answer. */
export function answerText({ nowMs, expiresMs, status, checks, ...texts }: Answer): string {
  const head = [nowMs, expiresMs - nowMs, STATUSES.indexOf(status)].join(",");
  const numbers = [head, ...checks.map((check) => numbersText(check, nowMs))].join(";");
  // Joined, not concatenated: a concatenated text keeps all of its parts in memory.
  return [numbers, texts.fingerprint, texts.details].join("\n");
}

function numbersText(check: CheckNumbers, nowMs: number): string {
  const { window, rolling, alertedFrom, alerted } = check;
  const hasFired = alerted !== alertedFrom;
  const flags =
    (check.admits ? ADMITS : 0) +
    (check.inTheWay ? IN_THE_WAY : 0) +
    (rolling === null ? 0 : ROLLING);
  const numbers = [
    nowMs - window.startMs,
    window.endMs - nowMs,
    check.used,
    check.previousUsed,
    flags,
    check.granted,
    hasFired ? alertedFrom : 0,
    hasFired ? alerted : 0,
    rolling === null ? 0 : rolling.leavesMs - nowMs,
    rolling === null ? 0 : rolling.fitsMs === null ? NEVER : rolling.fitsMs - nowMs,
  ].map((number) => (number === 0 ? "" : number));
  return numbers.join(",").replace(/,+$/, "");
}

/** Reads what {@link answerText} or answers.lua wrote. Throws on any other text. */
export function readAnswer(text: string): Answer {
  const [numbers = "", fingerprint, details] = text.split("\n");
  const [head = "", ...checks] = numbers.split(";");
  const [now, ttl, status] = head.split(",");
  const nowMs = Number(now);
  const known = STATUSES[Number(status)];
  if (fingerprint === undefined || details === undefined || known === undefined) {
    throw new Error("a stored answer to an idempotency key cannot be read");
  }
  return {
    nowMs,
    expiresMs: nowMs + Number(ttl),
    status: known,
    fingerprint,
    details,
    checks: checks.map((each) => readNumbers(each.split(","), nowMs)),
  };
}

/** When an answer expires, epoch milliseconds. Throws as {@link readAnswer} does. */
export function answerExpiresMs(text: string): number {
  return readAnswer(text).expiresMs;
}

function readNumbers(parts: readonly string[], nowMs: number): CheckNumbers {
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

/** The first answer to a key as the outcome of a repeat at `nowMs`; null once it has expired. */
export function replayOf(text: string, key: AnswerKey, nowMs: number): StepOutcome | null {
  const answer = readAnswer(text);
  if (answer.expiresMs <= nowMs) return null;
  return {
    status: answer.fingerprint === key.fingerprint ? answer.status : "conflict",
    nowMs: answer.nowMs,
    isReplayed: true,
    ageMs: null,
    checks: nonEmpty(reportedChecks(answer, key.caller)),
    ledgers: [],
  };
}

function reportedChecks({ details, checks }: Answer, caller: string): CheckOutcome[] {
  const parsed: readonly Detail[] = JSON.parse(details);
  return checks.flatMap((numbers, i) => {
    const detail = parsed[i];
    if (detail === undefined) return [];
    const [name, period, limit, subject, alerts] = detail;
    const rule = { name, period, alerts: alerts ?? [] };
    return { ...numbers, check: { rule, limit, subject: subject ?? caller }, counter: null };
  });
}
