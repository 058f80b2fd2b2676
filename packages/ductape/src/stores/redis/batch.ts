import { apply, type Verdict } from "../../decide/apply.js";
import { answerKeyOf, STATUSES, toldOf, type AnswerKey } from "../../decide/answer.js";
import type { Cell, Cells } from "../../decide/cell.js";
import type { Leg, LegRule } from "../../decide/leg.js";
import type { Step } from "../../decide/step.js";
import type { Action } from "../../decide/action.js";
import type { Keyspace } from "./keys.js";
import { PackedReader, readAnswerText, REMEMBERS } from "./packed.js";

/** What apply.lua returns: the counters and answers as they were, and what it decided. */
export interface Reply {
  /** Packed: the instant it decided at, then each counter. */
  readonly numbers: Buffer;
  /** One digit for each step. */
  readonly statuses: string;
  readonly answers: readonly (Buffer | null)[];
}

/** When a batch was decided, epoch milliseconds, and what became of each plan. */
export interface Told {
  readonly nowMs: number;
  readonly verdicts: readonly (Verdict | Error)[];
}

interface Counter {
  /** Its place among the keys, from 1 as Lua counts. */
  readonly place: number;
  cell: Cell | undefined;
}

interface KeptAnswer {
  /** Its place after the counters, from 1. */
  readonly place: number;
  text: string | undefined;
}

/** A leg's rule, window and limit: most plans of a batch share a few. */
interface Kind {
  /** Where it stands in the request, from 1 as Lua counts. */
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
};
const MORE_STEPS = 1;
const SPEAKS_TO_ONE = 2;
const HAS_KEY = 4;
const PER_LEG = 8;

/**
 * Plans as one request to apply.lua, and the way back: the script tells the counters as they were
 * and when it decided, and `apply` tells every plan from that again, in the same order. So an
 * answer carries nothing that can be worked out, and what the script decided is checked against the
 * specification.
 */
export class Batch implements Cells {
  /** The keys of all counters, then those of all answers, each once. */
  readonly keys: string[] = [];
  readonly counterCount: number;
  readonly plans: readonly Step[];
  readonly #keyspace: Keyspace;
  readonly #counters = new Map<string, Map<string, Counter>>();
  readonly #inOrder: Counter[] = [];
  readonly #answers = new Map<string, KeptAnswer>();
  readonly #kinds = new Map<LegRule, Kind[]>();
  readonly #kindNumbers: number[] = [];
  readonly #steps: (number | string)[] = [];
  #lastSpace = "";
  #lastCounters: Map<string, Counter> | undefined;

  constructor(plans: readonly Step[], keyspace: Keyspace) {
    this.plans = plans;
    this.#keyspace = keyspace;
    const answerKeys: string[] = [];
    for (const plan of plans) {
      for (let step: Step | null = plan; step !== null; step = step.next) {
        this.#addStep(step, answerKeys);
      }
    }
    this.counterCount = this.keys.length;
    this.keys.push(...answerKeys);
  }

  /** The request as one JSON text: a flat array is what both sides read fastest. */
  get text(): string {
    const kinds = this.#kindNumbers;
    return JSON.stringify([FIRST_KIND + kinds.length, ...kinds, ...this.#steps]);
  }

  /**
   * Fills in all plans, in order. An error stands for a plan that the script decided otherwise than
   * the specification does.
   */
  tell({ numbers, statuses, answers }: Reply): Told {
    const reader = new PackedReader(numbers);
    const nowMs = reader.next();
    for (const counter of this.#inOrder) counter.cell = reader.counter();
    for (const kept of this.#answers.values()) {
      const bytes = answers[kept.place - 1] ?? null;
      kept.text = bytes === null ? undefined : readAnswerText(bytes);
    }
    let at = 0;
    const verdicts = this.plans.map((plan) => {
      let verdict: Verdict | Error = apply(this, plan, nowMs);
      const isStale = verdict === "stale";
      for (let step: Step | null = plan; step !== null; step = step.next) {
        const wanted = isStale ? STATUSES.length : STATUSES.indexOf(step.status);
        const told = statuses[at++];
        if (told !== String(wanted)) verdict = unlike(told, wanted);
      }
      return verdict;
    });
    return { nowMs, verdicts };
  }

  get(leg: Leg): Cell | undefined {
    return this.#counter(leg).cell;
  }

  put(leg: Leg, cell: Cell): void {
    this.#counter(leg).cell = cell;
  }

  getAnswer(key: AnswerKey): string | undefined {
    return this.#answers.get(answerKeyOf(key))?.text;
  }

  putAnswer(key: AnswerKey, text: string): void {
    const kept = this.#answers.get(answerKeyOf(key));
    if (kept !== undefined) kept.text = text;
  }

  #addStep(step: Step, answerKeys: string[]): void {
    const { action, amount, rule, answer } = step;
    const steps = this.#steps;
    let form = 0;
    if (step.next !== null) form += MORE_STEPS;
    if (rule !== null) form += SPEAKS_TO_ONE;
    if (answer !== null) form += HAS_KEY;
    for (let leg: Leg | null = step.legs; leg !== null; leg = leg.next) form += PER_LEG;
    steps.push(ACTIONS[action], amount, form);
    for (let leg: Leg | null = step.legs; leg !== null; leg = leg.next) {
      steps.push(this.#kindPlace(leg), this.#counter(leg).place);
      if (rule !== null) steps.push(leg.rule.name === rule ? 1 : 0);
    }
    if (answer !== null) this.#addAnswer(step.legs, answer, answerKeys);
  }

  #addAnswer(legs: Leg, answer: AnswerKey, answerKeys: string[]): void {
    const { ttlMs, fingerprint, facts } = answer;
    const key = answerKeyOf(answer);
    let kept = this.#answers.get(key);
    if (kept === undefined) {
      const place = answerKeys.push(this.#keyspace.answer(legs.rule, key));
      kept = { place, text: undefined };
      this.#answers.set(key, kept);
    }
    this.#steps.push(kept.place, ttlMs, toldOf(legs).length, fingerprint, facts);
  }

  #counter({ rule, subject }: Leg): Counter {
    let counters = this.#lastCounters;
    if (counters === undefined || rule.space !== this.#lastSpace) {
      counters = this.#counters.get(rule.space);
      if (counters === undefined) this.#counters.set(rule.space, (counters = new Map()));
      this.#lastSpace = rule.space;
      this.#lastCounters = counters;
    }
    let counter = counters.get(subject);
    if (counter === undefined) {
      const place = this.keys.push(this.#keyspace.counter(rule, subject));
      counter = { place, cell: undefined };
      counters.set(subject, counter);
      this.#inOrder.push(counter);
    }
    return counter;
  }

  #kindPlace({ rule, planned, limit }: Leg): number {
    let kinds = this.#kinds.get(rule);
    if (kinds === undefined) this.#kinds.set(rule, (kinds = []));
    const { startMs, endMs } = planned;
    for (const kind of kinds) {
      if (kind.limit === limit && kind.startMs === startMs && kind.endMs === endMs)
        return kind.place;
    }
    const place = FIRST_KIND + this.#kindNumbers.length;
    kinds.push({ place, startMs, endMs, limit });
    const { shapedMs, rollingMs, soft, alerts } = rule;
    this.#kindNumbers.push(formOf(rule), shapedMs, rollingMs, soft ? 1 : 0, byPlan(rule, limit));
    this.#kindNumbers.push(startMs, endMs, limit ?? NO_LIMIT, alerts.length, ...alerts);
    return place;
  }
}

const NO_LIMIT = -1;
/** The request starts with the place of its first step. */
const FIRST_KIND = 2;

/** The form in which the rule's counters are kept: a half more where they remember a window. */
function formOf({ shape, remembersLast }: LegRule): number {
  return remembersLast ? shape + REMEMBERS : shape;
}

/** 0: the limit is that of the rule. By plan, 1: it is the default, 2: another. */
function byPlan({ isByPlan, defaultLimit }: LegRule, limit: number | null): number {
  if (!isByPlan) return 0;
  return limit === defaultLimit ? 1 : 2;
}

function unlike(told: string | undefined, wanted: number): Error {
  return new Error(`the script decided ${told} where the specification decides ${wanted}`);
}

/** What apply.lua returned, as the client library gives it. Throws where it is none. */
export function replyOf(value: unknown): Reply {
  const [numbers, statuses, ...answers] = Array.isArray(value) ? value : [];
  if (!Buffer.isBuffer(numbers) || !Buffer.isBuffer(statuses) || !answers.every(isText)) {
    throw new Error("the script returned something else than numbers and statuses");
  }
  return { numbers, statuses: statuses.toString("latin1"), answers };
}

function isText(value: unknown): value is Buffer | null {
  return value === null || Buffer.isBuffer(value);
}
