import { nonEmpty } from "./non-empty.js";
import type {
  CheckNumbers,
  CheckOutcome,
  HoldOutcome,
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
  "unknown",
];

/**
 * The first answer to an idempotency key. Engines keep it as one text of three lines, which
 * answers.lua writes too: numbers, the fingerprint, the details. The numbers are `now,ttl,status`,
 * then for each check `;` and, without the zeros at the end: how long before `now` its window
 * began, how long after it ends, used, previously used, flags (1 admits, 2 in the way, 4 rolling),
 * granted, the alert before and after where one fired, how long after `now` a rolling one has room
 * (oldest amount gone; the amount fits, or `n` for never), held, how long after `now` it fits as
 * holds have ended, and how long before `now` and after it the window of a settled hold. Zero is
 * written as nothing. Where the amount is not that of the request, the status is followed by it,
 * and after a step on a hold by `,` and: how long after `now` it expires, held, charged, excess,
 * flags (1 had expired). The last of the details is then the hold's id.
 */
export interface Answer {
  readonly nowMs: number;
  readonly expiresMs: number;
  readonly status: StepStatus;
  readonly fingerprint: string;
  /** In the form of {@link detailsText}. */
  readonly details: string;
  /** Null: that of the request. */
  readonly amount: number | null;
  /** Its id is in the details. */
  readonly hold: Omit<HoldOutcome, "id"> | null;
  /** The numbers of each check that a decision reports, in order. */
  readonly checks: readonly CheckNumbers[];
}

/** An answer as the record of a hold keeps it: in Lua a text. */
export type KeptAnswer = Answer;

/** What a decision reports of a check besides its numbers, so that a replay needs no definition. */
type Detail = readonly [
  rule: string,
  period: Period | null,
  limit: number | null,
  /** Left out or null if it is the caller. */
  subject?: string | null,
  /** Left out if there are none. */
  alerts?: readonly number[],
];

const [ADMITS, IN_THE_WAY, ROLLING, ELSEWHERE] = [1, 2, 4, 8];
const NEVER = "n";

/**
 * The details of each check as JSON. `caller` is the same for every repeat; null: unknown. `id` is
 * that of a hold.
 */
export function detailsText(
  checks: readonly ReportedCheck[],
  caller: string | null,
  id: string | null = null,
): string {
  const details = checks.map(({ rule, limit, subject }): Detail => {
    const whose = subject === caller ? null : subject;
    if (rule.alerts.length > 0) return [rule.name, rule.period, limit, whose, rule.alerts];
    if (whose !== null) return [rule.name, rule.period, limit, whose];
    return [rule.name, rule.period, limit];
  });
  return JSON.stringify(id === null ? details : [...details, id]);
}

/** The outcome of a step as it is kept under its key. */
export function keptAnswer(outcome: StepOutcome, key: AnswerKey): KeptAnswer {
  const { nowMs, status, amount, hold, checks } = outcome;
  const { ttlMs, fingerprint, details } = key;
  return {
    nowMs,
    expiresMs: nowMs + ttlMs,
    status,
    fingerprint,
    details,
    amount,
    hold: hold === null ? null : holdNumbers(hold),
    checks: checks.map(checkNumbers),
  };
}

/** Copied, because a record must not keep the counters and the checks of its decision in memory. */
function checkNumbers(check: CheckNumbers): CheckNumbers {
  const { window, used, held, granted, previousUsed, admits, inTheWay } = check;
  const { rolling, heldFitsMs, countedIn, alertedFrom, alerted } = check;
  return {
    window,
    used,
    held,
    granted,
    previousUsed,
    admits,
    inTheWay,
    rolling,
    heldFitsMs,
    countedIn,
    alertedFrom,
    alerted,
  };
}

function holdNumbers(hold: HoldOutcome): Answer["hold"] {
  const { held, charged, excess, isExpired, expiresMs } = hold;
  return { held, charged, excess, isExpired, expiresMs };
}

/** The text of an answer. */
export function answerText(answer: Answer): string {
  const { nowMs, checks, fingerprint, details } = answer;
  const numbers = [headText(answer), ...checks.map((check) => numbersText(check, nowMs))].join(";");
  // Joined, not concatenated: a concatenated text keeps all of its parts in memory.
  return [numbers, fingerprint, details].join("\n");
}

function headText({ nowMs, expiresMs, status, amount, hold }: Answer): string {
  const head = [nowMs, expiresMs - nowMs, STATUSES.indexOf(status)];
  if (amount !== null) head.push(amount);
  if (hold === null || amount === null) return head.join(",");
  const { held, charged, excess, isExpired } = hold;
  return [...head, hold.expiresMs - nowMs, held, charged, excess, isExpired ? 1 : 0].join(",");
}

function numbersText(check: CheckNumbers, nowMs: number): string {
  const { window, rolling, alertedFrom, alerted, heldFitsMs, countedIn } = check;
  const hasFired = alerted !== alertedFrom;
  const flags =
    (check.admits ? ADMITS : 0) +
    (check.inTheWay ? IN_THE_WAY : 0) +
    (rolling === null ? 0 : ROLLING) +
    (countedIn === null ? 0 : ELSEWHERE);
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
    check.held,
    heldFitsMs === 0 ? 0 : heldFitsMs - nowMs,
    countedIn === null ? 0 : nowMs - countedIn.startMs,
    countedIn === null ? 0 : countedIn.endMs - nowMs,
  ];
  let count = numbers.length;
  while (count > 0 && numbers[count - 1] === 0) count--;
  let text = "";
  for (let i = 0; i < count; i++) {
    const number = numbers[i];
    if (i > 0) text += ",";
    if (number !== 0) text += number;
  }
  return text;
}

/** Reads what {@link answerText} or answers.lua wrote. Throws on any other text. */
export function readAnswer(text: string): Answer {
  const [numbers = "", fingerprint, details] = text.split("\n");
  const [head = "", ...checks] = numbers.split(";");
  const [now, ttl, status, amount, ...hold] = head.split(",");
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
    amount: amount === undefined ? null : Number(amount),
    hold: readHoldNumbers(hold.map(Number), nowMs),
    checks: checks.map((each) => readNumbers(each.split(","), nowMs)),
  };
}

function readHoldNumbers(numbers: readonly number[], nowMs: number): Answer["hold"] {
  const [expires, held = 0, charged = 0, excess = 0, flags = 0] = numbers;
  if (expires === undefined) return null;
  return { held, charged, excess, isExpired: flags === 1, expiresMs: nowMs + expires };
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
    held: at(10),
    heldFitsMs: at(11) === 0 ? 0 : nowMs + at(11),
    countedIn:
      (flags & ELSEWHERE) === 0 ? null : { startMs: nowMs - at(12), endMs: nowMs + at(13) },
  };
}

/** The first answer to a key as the outcome of a repeat at `nowMs`; null once it has expired. */
export function replayOf(text: string, key: AnswerKey, nowMs: number): StepOutcome | null {
  const answer = readAnswer(text);
  if (answer.expiresMs <= nowMs) return null;
  return repeatOf(answer, key);
}

/** An answer as the outcome of a repeat; a conflict if that has another input. */
export function repeatOf(answer: KeptAnswer, key: AnswerKey): StepOutcome {
  return repeatIf(answer.fingerprint === key.fingerprint, answer, key);
}

/** An answer as the outcome of a repeat; a conflict if that is not the same. */
export function repeatIf(isSame: boolean, answer: KeptAnswer, key: AnswerKey): StepOutcome {
  const details: readonly (Detail | string)[] = JSON.parse(answer.details);
  const id = details.at(-1);
  const { hold } = answer;
  return {
    status: isSame ? answer.status : "conflict",
    nowMs: answer.nowMs,
    isReplayed: true,
    ageMs: null,
    amount: answer.amount,
    hold: hold === null ? null : { ...hold, id: typeof id === "string" ? id : "" },
    checks: nonEmpty(reportedChecks(answer, details, key.caller)),
    ledgers: [],
  };
}

function reportedChecks(
  { checks }: Answer,
  details: readonly (Detail | string)[],
  caller: string,
): CheckOutcome[] {
  return checks.flatMap((numbers, i) => {
    const detail = details[i];
    if (detail === undefined || typeof detail === "string") return [];
    const [name, period, limit, subject, alerts] = detail;
    const rule = { name, period, alerts: alerts ?? [] };
    return { ...numbers, check: { rule, limit, subject: subject ?? caller }, counter: null };
  });
}
