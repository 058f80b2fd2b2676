import { packAnswer, type AnswerKey } from "../../decide/answer.js";
import { copyOf, keptUntilMs, type Cell, type Cells } from "../../decide/cell.js";
import type { Leg, LegRule } from "../../decide/leg.js";
import type { Step } from "../../decide/step.js";
import { answerBytes, MemoryAnswers } from "./answers.js";
import { textBytes, type MemoryRoom, type Tenant } from "./room.js";

/** How long a counter outlives its window, in milliseconds: a clock may be set back a little. */
export const PAST_GRACE_MS = 60_000;
/** Counters looked at for each new one, and answers: more than one keeps ahead of the growth. */
export const VISITS_PER_INSERT = 2;
/** Counters looked at by each call while there is little room, so that what is past makes some. */
const VISITS_WHEN_TIGHT = 20;

/** A counter with a window it remembers and its place in a map, without its subject; in bytes. */
const CELL_BYTES = 300;
/** What the amounts of a rolling counter may take besides. */
const ROLLING_BYTES = 2_000;

/** The counters of one rule. */
interface Space {
  readonly cells: Map<string, Cell>;
  readonly tenant: Tenant;
  /** Of each counter, but for its subject. Never lowered, as counters keep the form they had. */
  cellBytes: number;
}

/** Counters and answers in this process, in a bounded room. */
export class MemoryCells implements Cells {
  nowMs = 0;
  readonly answers: MemoryAnswers;
  readonly #spaces = new Map<string, Space>();
  readonly #room: MemoryRoom;
  /** Counters made since the last {@link dropPast}. */
  #newCount = 0;
  #walk = this.#walkCells();
  #lastRule: LegRule | null = null;
  #lastSpace: Space | undefined;

  constructor(room: MemoryRoom) {
    this.#room = room;
    this.answers = new MemoryAnswers(room);
  }

  get(leg: Leg): Cell | undefined {
    return this.#spaceOf(leg.rule)?.cells.get(leg.subject);
  }

  put(leg: Leg, cell: Cell): void {
    if (leg.cell !== cell) this.#insert(leg.rule.space, leg.subject, cell);
  }

  getAnswer(key: AnswerKey): string | undefined {
    return this.answers.get(key);
  }

  putAnswer({ space, name }: AnswerKey, text: string, expiresMs: number): void {
    this.answers.put(space, name, text, expiresMs, this.nowMs);
  }

  /** Throws `OVERLOADED` where there is no room for what a plan may add. */
  checkRoom(plan: Step): void {
    for (let visit = 0; visit < VISITS_WHEN_TIGHT; visit++) this.#visit();
    this.answers.dropExpired(this.nowMs);
    let bytes = 0;
    for (let step: Step | null = plan; step !== null; step = step.next) {
      const before = bytes;
      bytes += this.#bytesOf(step);
      if (bytes > before) this.#room.check(this.#room.tenantOf(step.legs.rule.space), bytes);
    }
  }

  load(space: string, subject: string, cell: Cell): void {
    this.#insert(space, subject, copyOf(cell));
  }

  forget(prefix: string): void {
    this.#lastRule = null;
    for (const [name, space] of this.#spaces) {
      if (!name.startsWith(prefix)) continue;
      for (const subject of space.cells.keys()) this.#free(space, subject);
      this.#spaces.delete(name);
    }
    this.answers.forget(prefix);
  }

  /** A few visits for each new counter. Never during a decision. */
  dropPast(): void {
    for (; this.#newCount > 0; this.#newCount -= 1 / VISITS_PER_INSERT) this.#visit();
  }

  /** The counters of all spaces that start with `prefix`, by space. */
  *under(prefix: string): Generator<readonly [space: string, cells: ReadonlyMap<string, Cell>]> {
    for (const [name, { cells }] of this.#spaces) if (name.startsWith(prefix)) yield [name, cells];
  }

  /** What a step may add at most. */
  #bytesOf(step: Step): number {
    let bytes = 0;
    if (step.action !== "check") {
      for (let leg: Leg | null = step.legs; leg !== null; leg = leg.next) {
        if (this.get(leg) !== undefined) continue;
        bytes += cellBytesOf(leg.rule.rollingMs !== 0) + textBytes(leg.subject);
      }
    }
    const { answer } = step;
    if (answer === null || this.answers.get(answer) !== undefined) return bytes;
    return bytes + answerBytes(answer.name, packAnswer(step, answer));
  }

  /** Calls in a row often ask for the same rule. */
  #spaceOf(rule: LegRule): Space | undefined {
    if (rule === this.#lastRule) return this.#lastSpace;
    this.#lastRule = rule;
    this.#lastSpace = this.#spaces.get(rule.space);
    return this.#lastSpace;
  }

  #insert(name: string, subject: string, cell: Cell): void {
    const space = this.#spaces.get(name) ?? this.#newSpace(name);
    const { cells } = space;
    const before = cells.size;
    cells.set(subject, cell);
    if (cells.size === before) return;
    this.#newCount++;
    const more = cellBytesOf(cell.entries !== null) - space.cellBytes;
    if (more > 0) {
      space.cellBytes += more;
      this.#room.take(space.tenant, before * more);
    }
    this.#room.take(space.tenant, space.cellBytes + textBytes(subject));
  }

  #newSpace(name: string): Space {
    const space = { cells: new Map(), tenant: this.#room.tenantOf(name), cellBytes: 0 };
    this.#spaces.set(name, space);
    this.#lastRule = null;
    return space;
  }

  #free({ tenant, cellBytes }: Space, subject: string): void {
    this.#room.take(tenant, -(cellBytes + textBytes(subject)));
  }

  #visit(): void {
    if (this.#walk.next().done) this.#walk = this.#walkCells();
  }

  *#walkCells(): Generator<undefined> {
    for (const [name, space] of this.#spaces) {
      for (const [subject, cell] of space.cells) {
        if (keptUntilMs(cell) <= this.nowMs - PAST_GRACE_MS) {
          space.cells.delete(subject);
          this.#free(space, subject);
        }
        yield;
      }
      if (space.cells.size > 0) continue;
      this.#spaces.delete(name);
      this.#lastRule = null;
    }
  }
}

function cellBytesOf(isRolling: boolean): number {
  return isRolling ? CELL_BYTES + ROLLING_BYTES : CELL_BYTES;
}
