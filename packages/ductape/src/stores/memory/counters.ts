import { copyOf, keptUntilMs, type Counter } from "../../decide/counter.js";
import type { Counters } from "../../decide/counters.js";
import type { Hold } from "../../decide/hold.js";
import {
  allChecks,
  type AnswerKey,
  type Plan,
  type RuleCheck,
  type RuleTerms,
  type Step,
} from "../../decide/plan.js";
import { answerBytes, MemoryAnswers } from "./answers.js";
import { MemoryHolds, openBytes } from "./holds.js";
import { textBytes, type MemoryRoom, type Tenant } from "./room.js";

/** How long a counter outlives its window, in milliseconds: a clock may be set back a little. */
export const PAST_GRACE_MS = 60_000;
/** Counters visited for each new counter or answer; more than one keeps ahead of the growth. */
export const VISITS_PER_INSERT = 2;
/** Counters visited by each call while there is little room, so that past ones make room. */
const VISITS_WHEN_TIGHT = 20;

/** Bytes of a counter with a remembered window and its place in a map, without its subject. */
const COUNTER_BYTES = 300;
/** The numbers of one check in an answer, at most. */
const NUMBERS_BYTES = 150;
/** The most additional bytes of a rolling counter's amounts. */
const ROLLING_BYTES = 2_000;

/** The counters of one rule. */
interface Space {
  readonly counters: Map<string, Counter>;
  readonly tenant: Tenant;
  /**
   * Bytes of each counter, without its subject. Never lowered, because counters keep their form.
   */
  counterBytes: number;
}

/** Counters and answers in this process, within a bound. */
export class MemoryCounters implements Counters {
  nowMs = 0;
  readonly answers: MemoryAnswers;
  readonly holds: MemoryHolds;
  readonly #spaces = new Map<string, Space>();
  readonly #room: MemoryRoom;
  /** Counters created since the last {@link dropPast}. */
  #newCount = 0;
  #walk = this.#walkCounters();
  #lastRule: RuleTerms | null = null;
  #lastSpace: Space | undefined;

  constructor(room: MemoryRoom) {
    this.#room = room;
    this.answers = new MemoryAnswers(room);
    this.holds = new MemoryHolds(room);
  }

  find(check: RuleCheck): Counter | undefined {
    return this.#spaceOf(check.rule)?.counters.get(check.subject);
  }

  /** It is the stored one. */
  changed(): void {}

  put({ rule, subject }: RuleCheck, counter: Counter): void {
    this.#insert(rule.space, subject, counter);
  }

  findAnswer(key: AnswerKey): string | undefined {
    return this.answers.get(key);
  }

  putAnswer({ space, name }: AnswerKey, text: string, expiresMs: number): void {
    this.answers.put(space, name, text, expiresMs, this.nowMs);
  }

  findHold(key: AnswerKey): Hold | undefined {
    return this.holds.get(key);
  }

  putHold(key: AnswerKey, hold: Hold): void {
    this.holds.put(key.space, key.name, hold, this.nowMs);
  }

  /** Throws `OVERLOADED` if there is no room for what a plan may add. */
  checkRoom(plan: Plan): void {
    for (let visit = 0; visit < VISITS_WHEN_TIGHT; visit++) this.#visit();
    this.answers.dropExpired(this.nowMs);
    this.holds.dropPast(this.nowMs);
    let bytes = 0;
    for (const step of plan) {
      const before = bytes;
      bytes += this.#bytesOf(step);
      const { space } = step.checks[0].rule;
      if (bytes > before) this.#room.check(this.#room.tenantOf(space), bytes);
    }
  }

  load(space: string, subject: string, counter: Counter): void {
    this.#insert(space, subject, copyOf(counter));
  }

  forget(prefix: string): void {
    this.#lastRule = null;
    for (const [name, space] of this.#spaces) {
      if (!name.startsWith(prefix)) continue;
      for (const subject of space.counters.keys()) this.#free(space, subject);
      this.#spaces.delete(name);
    }
    this.answers.forget(prefix);
    this.holds.forget(prefix);
  }

  /** A few visits for each new counter. Never during a decision. */
  dropPast(): void {
    for (; this.#newCount > 0; this.#newCount -= 1 / VISITS_PER_INSERT) this.#visit();
  }

  /** The counters of all spaces that start with `prefix`, by space. */
  *under(
    prefix: string,
  ): Generator<readonly [space: string, counters: ReadonlyMap<string, Counter>]> {
    for (const [name, { counters }] of this.#spaces)
      if (name.startsWith(prefix)) yield [name, counters];
  }

  /** The most bytes that a step may add. */
  #bytesOf(step: Step): number {
    let bytes = 0;
    if (step.action !== "check") {
      for (const check of allChecks(step)) {
        if (this.find(check) !== undefined) continue;
        bytes += counterBytesOf(check.rule.rollingMs !== 0) + textBytes(check.subject);
      }
    }
    const { answerKey, checks, hold } = step;
    if (hold !== null && step.action === "reserve") {
      bytes += openBytes(hold.name, hold.owners, checks.length);
    }
    if (answerKey === null || this.answers.get(answerKey) !== undefined) return bytes;
    const { name, fingerprint, details } = answerKey;
    return bytes + answerBytes(name, fingerprint + details) + checks.length * NUMBERS_BYTES;
  }

  /** Consecutive calls often use the same rule. */
  #spaceOf(rule: RuleTerms): Space | undefined {
    if (rule === this.#lastRule) return this.#lastSpace;
    this.#lastRule = rule;
    this.#lastSpace = this.#spaces.get(rule.space);
    return this.#lastSpace;
  }

  #insert(name: string, subject: string, counter: Counter): void {
    const space = this.#spaces.get(name) ?? this.#newSpace(name);
    const { counters } = space;
    const before = counters.size;
    counters.set(subject, counter);
    if (counters.size === before) return;
    this.#newCount++;
    const more = counterBytesOf(counter.entries !== null) - space.counterBytes;
    if (more > 0) {
      space.counterBytes += more;
      this.#room.take(space.tenant, before * more);
    }
    this.#room.take(space.tenant, space.counterBytes + textBytes(subject));
  }

  #newSpace(name: string): Space {
    const space = { counters: new Map(), tenant: this.#room.tenantOf(name), counterBytes: 0 };
    this.#spaces.set(name, space);
    this.#lastRule = null;
    return space;
  }

  #free({ tenant, counterBytes }: Space, subject: string): void {
    this.#room.take(tenant, -(counterBytes + textBytes(subject)));
  }

  #visit(): void {
    if (this.#walk.next().done) this.#walk = this.#walkCounters();
  }

  *#walkCounters(): Generator<undefined> {
    for (const [name, space] of this.#spaces) {
      for (const [subject, counter] of space.counters) {
        if (keptUntilMs(counter) <= this.nowMs - PAST_GRACE_MS) {
          space.counters.delete(subject);
          this.#free(space, subject);
        }
        yield;
      }
      if (space.counters.size > 0) continue;
      this.#spaces.delete(name);
      this.#lastRule = null;
    }
  }
}

function counterBytesOf(isRolling: boolean): number {
  return isRolling ? COUNTER_BYTES + ROLLING_BYTES : COUNTER_BYTES;
}
