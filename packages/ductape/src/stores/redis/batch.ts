import type { Action } from "../../decide/action.js";
import { answerKeyOf, STATUSES } from "../../decide/answer.js";
import { apply } from "../../decide/apply.js";
import type { Counter } from "../../decide/counter.js";
import type { Counters } from "../../decide/counters.js";
import type { Hold } from "../../decide/hold.js";
import type { Outcome } from "../../decide/outcome.js";
import {
  allChecks,
  type AnswerKey,
  type Charge,
  type HoldTerms,
  type Plan,
  type RuleCheck,
  type RuleTerms,
  type Step,
} from "../../decide/plan.js";
import { readHold } from "../hold-record.js";
import type { Keyspace } from "./keys.js";
import { formOf, PackedReader, readAnswerText } from "./packed.js";

/** The result of apply.lua: the counters and answers before the batch, and its decisions. */
interface Reply {
  /** Packed: the instant of the decision, then each counter. */
  readonly numbers: Buffer;
  /** One digit for each step. */
  readonly statuses: string;
  readonly answers: readonly (Buffer | null)[];
}

/** When a batch was decided, in epoch milliseconds, and the outcomes of its plans. */
interface Decided {
  readonly nowMs: number;
  readonly outcomes: readonly (Outcome | Error)[];
}

/** A counter of the batch. */
interface Slot {
  /** Its place among the keys, from 1 as Lua counts. */
  readonly place: number;
  counter: Counter | undefined;
}

interface KeptAnswer {
  /** Its place after the counters, from 1. */
  readonly place: number;
  text: string | undefined;
}

interface KeptHold {
  /** Its place after the counters, from 1. */
  readonly place: number;
  hold: Hold | undefined;
}

/** A rule, window and limit: most checks of a batch share a few. */
interface Terms {
  /** Its place in the request, from 1 as Lua counts. */
  readonly place: number;
  readonly startMs: number;
  readonly endMs: number;
  readonly limit: number | null;
}

const ACTIONS: Readonly<Record<Action, number>> = {
  check: 0,
  increment: 1,
  decrement: 2,
  set: 3,
  reset: 4,
  grant: 5,
  reserve: 6,
  commit: 7,
  extend: 8,
  release: 9,
};
const MORE_STEPS = 1;
const SPEAKS_TO_ONE = 2;
const HAS_KEY = 4;
const IS_SPECIAL = 8;
const PER_CHECK = 16;

/**
 * Plans as one request to apply.lua, and the way back: the script returns the counters before the
 * batch and the instant of its decision, from which `apply` decides every plan again, in the same
 * order. So the answer contains nothing that can be computed, and the script's decisions are
 * checked against the specification.
 */
export class Batch implements Counters {
  /**
   * The keys of all counters, then those of all answers, holds and lists of open holds, each once.
   */
  readonly keys: string[] = [];
  readonly counterCount: number;
  readonly plans: readonly Plan[];
  readonly #keyspace: Keyspace;
  readonly #slots = new Map<string, Map<string, Slot>>();
  readonly #inOrder: Slot[] = [];
  readonly #answers = new Map<string, KeptAnswer>();
  readonly #holds = new Map<string, KeptHold>();
  readonly #lists = new Map<string, number>();
  readonly #terms = new Map<RuleTerms, Terms[]>();
  readonly #termNumbers: number[] = [];
  readonly #steps: (number | string)[] = [];
  #lastSpace = "";
  #lastSlots: Map<string, Slot> | undefined;

  constructor(plans: readonly Plan[], keyspace: Keyspace) {
    this.plans = plans;
    this.#keyspace = keyspace;
    const otherKeys: string[] = [];
    for (const plan of plans) {
      for (let i = 0; i < plan.length; i++) {
        const step = plan[i];
        if (step !== undefined) this.#addStep(step, i + 1 < plan.length, otherKeys);
      }
    }
    this.counterCount = this.keys.length;
    this.keys.push(...otherKeys);
  }

  /** True if a counter is copied into a cache, which needs all of it. */
  get isCopied(): boolean {
    return this.plans.some((plan) => plan.some(({ cache }) => cache !== null));
  }

  /** The request as one JSON text, a flat array, which both sides read fastest. */
  get text(): string {
    const terms = this.#termNumbers;
    return JSON.stringify([FIRST_TERMS + terms.length, ...terms, ...this.#steps]);
  }

  /**
   * The outcomes of all plans, in order. An error marks a plan that the script decided differently
   * from the specification.
   */
  decide({ numbers, statuses, answers }: Reply): Decided {
    const reader = new PackedReader(numbers);
    const nowMs = reader.next();
    for (const slot of this.#inOrder) slot.counter = reader.counter();
    for (const kept of this.#answers.values()) {
      const bytes = answers[kept.place - 1] ?? null;
      kept.text = bytes === null ? undefined : readAnswerText(bytes);
    }
    for (const kept of this.#holds.values()) {
      const bytes = answers[kept.place - 1] ?? null;
      kept.hold = bytes === null ? undefined : readHold(bytes.toString("utf8"));
    }
    let at = 0;
    const outcomes = this.plans.map((plan) => {
      const outcome = apply(this, plan, nowMs);
      const from = at;
      let isSame = true;
      for (let i = 0; i < plan.length; i++) {
        if (statuses.charCodeAt(at++) !== digitOf(outcome, i)) isSame = false;
      }
      return isSame ? outcome : unlike(statuses.slice(from, at), outcome);
    });
    return { nowMs, outcomes };
  }

  find(check: RuleCheck): Counter | undefined {
    return this.#slot(check).counter;
  }

  /** Does nothing: the script has written it. */
  changed(): void {}

  put(check: RuleCheck, counter: Counter): void {
    this.#slot(check).counter = counter;
  }

  findAnswer(key: AnswerKey): string | undefined {
    return this.#answers.get(answerKeyOf(key))?.text;
  }

  findHold(key: AnswerKey): Hold | undefined {
    return this.#holds.get(answerKeyOf(key))?.hold;
  }

  putHold(key: AnswerKey, hold: Hold): void {
    const kept = this.#holds.get(answerKeyOf(key));
    if (kept !== undefined) kept.hold = hold;
  }

  putAnswer(key: AnswerKey, text: string): void {
    const kept = this.#answers.get(answerKeyOf(key));
    if (kept !== undefined) kept.text = text;
  }

  #addStep(step: Step, hasMore: boolean, otherKeys: string[]): void {
    const { action, amount, rule, answerKey, atLeast, allowsExcess, hold, charge } = step;
    const isSpecial = atLeast !== null || allowsExcess || hold !== null || charge !== null;
    const steps = this.#steps;
    const checks = allChecks(step);
    let form = PER_CHECK * checks.length;
    if (hasMore) form += MORE_STEPS;
    if (rule !== null) form += SPEAKS_TO_ONE;
    if (answerKey !== null) form += HAS_KEY;
    if (isSpecial) form += IS_SPECIAL;
    steps.push(ACTIONS[action], amount, form);
    for (const check of checks) {
      steps.push(this.#termsPlace(check), this.#slot(check).place);
      if (rule !== null) steps.push(check.rule.name === rule ? 1 : 0);
    }
    if (answerKey !== null) this.#addAnswer(step, answerKey, otherKeys);
    if (!isSpecial) return;
    steps.push(atLeast ?? NO_LEAST, allowsExcess ? 1 : 0, step.checks.length);
    if (hold === null) steps.push(0);
    else this.#addHold(step, hold, otherKeys);
    this.#addCharge(charge);
  }

  #addHold({ checks }: Step, hold: HoldTerms, otherKeys: string[]): void {
    const { space, name, ttlMs, openedMs, isFinal, isWhole, owners, fingerprint, details } = hold;
    const place = { shardKey: checks[0].rule.shardKey, space };
    const key = answerKeyOf(hold);
    let kept = this.#holds.get(key);
    if (kept === undefined) {
      kept = { place: otherKeys.push(this.#keyspace.hold(place, name)), hold: undefined };
      this.#holds.set(key, kept);
    }
    const { opened, ends } = this.#keyspace.openHolds(place);
    const lists = [this.#list(opened, otherKeys), this.#list(ends, otherKeys)];
    const flags = (isFinal ? 1 : 0) + (isWhole ? 2 : 0);
    this.#steps.push(kept.place, ...lists, ttlMs, openedMs, flags);
    this.#steps.push(owners, fingerprint, details, name);
  }

  /** The place of a list of open holds. */
  #list(key: string, otherKeys: string[]): number {
    const place = this.#lists.get(key) ?? otherKeys.push(key);
    this.#lists.set(key, place);
    return place;
  }

  #addCharge(charge: Charge | null): void {
    if (charge === null) {
      this.#steps.push(0);
      return;
    }
    const { atMs, windows, windowVersions } = charge;
    this.#steps.push(windows.length, atMs);
    for (const [i, { startMs, endMs }] of windows.entries()) {
      this.#steps.push(startMs, endMs, windowVersions[i] ?? 0);
    }
  }

  #addAnswer({ checks }: Step, answerKey: AnswerKey, otherKeys: string[]): void {
    const { ttlMs, fingerprint, details } = answerKey;
    const key = answerKeyOf(answerKey);
    let kept = this.#answers.get(key);
    if (kept === undefined) {
      const place = otherKeys.push(this.#keyspace.answer(checks[0].rule, key));
      kept = { place, text: undefined };
      this.#answers.set(key, kept);
    }
    this.#steps.push(kept.place, ttlMs, checks.length, fingerprint, details);
  }

  #slot({ rule, subject }: RuleCheck): Slot {
    let slots = this.#lastSlots;
    if (slots === undefined || rule.space !== this.#lastSpace) {
      slots = this.#slots.get(rule.space);
      if (slots === undefined) this.#slots.set(rule.space, (slots = new Map()));
      this.#lastSpace = rule.space;
      this.#lastSlots = slots;
    }
    let slot = slots.get(subject);
    if (slot === undefined) {
      const place = this.keys.push(this.#keyspace.counter(rule, subject));
      slot = { place, counter: undefined };
      slots.set(subject, slot);
      this.#inOrder.push(slot);
    }
    return slot;
  }

  #termsPlace({ rule, window, limit }: RuleCheck): number {
    let terms = this.#terms.get(rule);
    if (terms === undefined) this.#terms.set(rule, (terms = []));
    const { startMs, endMs } = window;
    for (const each of terms) {
      if (each.limit === limit && each.startMs === startMs && each.endMs === endMs)
        return each.place;
    }
    const place = FIRST_TERMS + this.#termNumbers.length;
    terms.push({ place, startMs, endMs, limit });
    const { versionSinceMs, isSoft, alerts, remembersLast } = rule;
    const rollingMs = rule.isConcurrent ? COUNTS_HOLDS : rule.rollingMs;
    const form = formOf(rule.windowVersion, false, remembersLast, false);
    const picked = pickedLimit(rule, limit);
    this.#termNumbers.push(form, versionSinceMs, rollingMs, isSoft ? 1 : 0, picked);
    this.#termNumbers.push(startMs, endMs, limit ?? NO_LIMIT, alerts.length, ...alerts);
    return place;
  }
}

const NO_LIMIT = -1;
/** A step admits all or nothing. */
const NO_LEAST = -1;
/** In place of the length of a rolling window. */
const COUNTS_HOLDS = -1;
/** The request starts with the place of its first step. */
const FIRST_TERMS = 2;

/** 0: the limit is that of the rule. Picked by a value, 1: it is the default, 2: another. */
function pickedLimit({ picksLimit, defaultLimit }: RuleTerms, limit: number | null): number {
  if (!picksLimit) return 0;
  return limit === defaultLimit ? 1 : 2;
}

/** The character with which the script gives the status of a step. */
function digitOf(outcome: Outcome, i: number): number {
  const status = outcome === "stale" ? undefined : outcome[i]?.status;
  return DIGIT_0 + (status === undefined ? STATUSES.length : STATUSES.indexOf(status));
}

const DIGIT_0 = 48;

function unlike(got: string, outcome: Outcome): Error {
  const wanted = outcome === "stale" ? outcome : outcome.map(({ status }) => status).join();
  return new Error(`the script decided ${got}, but the specification decides ${wanted}`);
}

/** Parses the result of apply.lua from the client library. Throws if it has another form. */
export function replyOf(value: unknown): Reply {
  const [numbers, statuses, ...answers] = Array.isArray(value) ? value : [];
  if (!Buffer.isBuffer(numbers) || !Buffer.isBuffer(statuses) || !answers.every(isText)) {
    throw new Error("the script returned something other than numbers and statuses");
  }
  return { numbers, statuses: statuses.toString("latin1"), answers };
}

function isText(value: unknown): value is Buffer | null {
  return value === null || Buffer.isBuffer(value);
}
