import { randomBytes } from "node:crypto";
import { onlyReads, type Plan } from "../../decide/plan.js";
import type { Clock } from "../../base/call.js";
import type { Answers } from "../batching.js";
import { numberArray, textArray } from "./arrays.js";
import { Batch, bodyValues, keysOf, type Slot } from "./batch.js";
import { localMs, type EngineClock } from "./clock.js";
import { isBusy, isHeld, storeError } from "./errors.js";
import type { PostgresHousekeeping } from "./housekeeping.js";
import { KeptHolds } from "../kept-holds.js";
import { holdValues, type HoldSlot, type KnownHold } from "./holds.js";
import { KnownCounters } from "./known.js";
import type { Connection, Connections, Statement } from "./pool.js";
import {
  begin,
  counterStatements,
  COMMIT,
  GUARD_BEHIND_MS,
  ROLLBACK,
  type CounterStatements,
} from "./statements.js";

/** What a {@link Decider} depends on. */
interface DeciderParts {
  readonly connections: Connections;
  readonly schema: string;
  readonly housekeeping: PostgresHousekeeping;
  /** The clock to use instead of the server's. */
  readonly clock: Clock | undefined;
  readonly engineClock: EngineClock;
  readonly timeoutMs: number;
  /** The store's name in messages. */
  readonly shown: string;
}

/** How long after a lock timeout each batch checks which counters others hold. */
const HELD_MS = 1_000;
/** Attempts under locks before the batch waits for a while. */
const TRIES_MAX = 3;

/**
 * Decides batches on one of three paths. A batch that only reads is decided on one snapshot of the
 * tables. If its counters are in memory and no other process seems to use them, it is decided
 * first and written by one statement, provided nothing has changed meanwhile. Every other batch is
 * decided under locks, in two round trips.
 */
export class Decider {
  readonly #parts: DeciderParts;
  readonly #sql: CounterStatements;
  readonly #known = new KnownCounters();
  readonly #knownHolds = new KeptHolds<KnownHold>();
  readonly #begin: Statement;
  /**
   * Starts at random in 62 bits and counts up, so no two changes of any process share a version.
   */
  #lastVersion = randomBytes(8).readBigUInt64BE() >> 2n;
  /** Until when others are assumed to hold counters, on the clock of {@link localMs}. */
  #heldUntilMs = 0;

  constructor(parts: DeciderParts) {
    this.#parts = parts;
    this.#sql = counterStatements(parts.schema);
    this.#begin = begin(parts.timeoutMs);
  }

  /** A `Flush`. Throws `STORE_UNAVAILABLE`, and `OUTCOME_UNKNOWN` once a change was sent. */
  async decide(plans: readonly Plan[]): Promise<Answers> {
    let connection: Connection;
    try {
      connection = await this.#parts.connections.acquire();
    } catch (error) {
      throw storeError(error, this.#parts.shown);
    }
    try {
      const answers = await this.#decideFree(connection, plans);
      connection.release();
      return answers;
    } catch (error) {
      connection.destroy();
      throw storeError(error, this.#parts.shown);
    }
  }

  /** Sets aside plans whose counters are locked, so that they hold up no others. */
  async #decideFree(connection: Connection, plans: readonly Plan[]): Promise<Answers> {
    if (localMs() > this.#heldUntilMs) return this.#decideOn(connection, plans);
    const keys = plans.map(keysOf);
    const values = [textArray([...new Set(keys.flat())])];
    const { rows } = await connection.query({ text: this.#sql.held, values });
    const held = new Set(rows.map(([key]) => key));
    const isFree = keys.map((each) => !each.some((key) => held.has(key)));
    if (held.size > 0) this.#heldUntilMs = localMs() + HELD_MS;
    const free = plans.filter((_, i) => isFree[i]);
    const answers = free.length === 0 ? [] : await this.#decideOn(connection, free);
    if (answers === null) return null;
    let next = 0;
    return isFree.map((each) => {
      if (!each) return null;
      const answer = answers[next++];
      if (answer === undefined) throw new Error("a plan has no answer");
      return answer;
    });
  }

  async #decideOn(connection: Connection, plans: readonly Plan[]): Promise<Answers> {
    const batch = new Batch(plans, this.#known, this.#knownHolds);
    // It moves if a lock of this batch times out, which is waited for once.
    const heldUntilMs = this.#heldUntilMs;
    if (plans.every(onlyReads)) return this.#read(connection, batch);
    // Rows of deleted spaces and past holds are cleared under locks.
    if (batch.isCalm && !this.#parts.housekeeping.isDue) {
      const answers = await this.#guard(connection, batch);
      if (answers !== null || this.#heldUntilMs !== heldUntilMs) return answers;
    }
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const answers = await this.#lock(connection, batch);
      if (answers !== null || this.#heldUntilMs !== heldUntilMs) return answers;
    }
    return null;
  }

  /** Decides on one snapshot of the tables; null if that would change something. */
  async #read(connection: Connection, batch: Batch): Promise<Answers> {
    const statement = { text: this.#sql.read, values: [textArray(batch.keys)] };
    const sentMs = localMs();
    const { rows } = await connection.query(statement);
    const engineMs = this.#learn(rows[0]?.[0], sentMs);
    batch.load(rows.map((row) => row.slice(1)));
    const outcomes = batch.decide(this.#instant(engineMs, batch));
    if (batch.hasChanged) return null;
    batch.keep(this.#known, "");
    return outcomes;
  }

  /** Decides on the memory; null, with nothing done, if the memory is outdated. */
  async #guard(connection: Connection, batch: Batch): Promise<Answers> {
    const { clock, engineClock } = this.#parts;
    const estimateMs = clock === undefined ? engineClock.estimate() : 0;
    if (estimateMs === null) return null;
    const nowMs = this.#instant(estimateMs, batch);
    const outcomes = batch.decide(nowMs);
    if (!batch.hasChanged) return batch.holds.isEmpty ? this.#read(connection, batch) : null;
    const version = this.#nextVersion();
    const guardMs = clock === undefined ? GUARD_BEHIND_MS : null;
    const statement = this.#guardStatement(batch, nowMs, version, guardMs);
    try {
      const sentMs = localMs();
      const { rows } = await connection.query(statement);
      const [serverMs, isDone = "t"] = rows[0] ?? [];
      if (serverMs !== undefined) this.#learn(serverMs, sentMs);
      if (serverMs === undefined || isDone !== "t") return null;
    } catch (error) {
      if (!isBusy(error)) throw storeError(error, this.#parts.shown, true);
      this.#learnHeld(error);
      return null;
    }
    this.#parts.housekeeping.oweHolds(batch.holds.inserts().length);
    batch.keep(this.#known, version);
    return outcomes;
  }

  #guardStatement(batch: Batch, nowMs: number, version: string, guardMs: number | null): Statement {
    // Only a session bounds the wait of this statement.
    const one = this.#parts.connections.prepares ? batch.single() : null;
    if (one?.counter !== undefined) {
      const values = [one.key, one.version, one.counter.used, nowMs, version, guardMs];
      return { text: this.#sql.countOne, values };
    }
    const { keys, versions, used, body } = batch.guardValues();
    const values = [keys, versions, used, nowMs, version, guardMs];
    if (body === null) return { text: this.#sql.countAll, values };
    if (batch.holds.isEmpty) return { text: this.#sql.guardAll, values: [...values, ...body] };
    const held = batch.holds.guardValues();
    return { text: this.#sql.guardHolds, values: [...values, ...body, ...held] };
  }

  /** Decides under locks; null, with nothing done, if others were using the same rows. */
  async #lock(connection: Connection, batch: Batch): Promise<Answers> {
    const { housekeeping } = this.#parts;
    let chores: Statement[] = [];
    let isCommitting = false;
    try {
      const nowMs = await this.#loadLocked(connection, batch);
      if (nowMs === null) {
        await connection.query(ROLLBACK);
        return null;
      }
      const outcomes = batch.decide(nowMs);
      const version = this.#nextVersion();
      const writes = this.#writes(batch, nowMs, version);
      if (batch.hasChanged)
        chores = housekeeping.statements(batch.insertCount, batch.holds.inserts().length, nowMs);
      const work = [...writes, ...chores];
      // A connection that sends all statements at once has sent the commit with the first of them.
      isCommitting = connection.isPipelined;
      const results = await connection.all(isCommitting ? [...work, COMMIT] : work);
      const end = isCommitting ? results.at(-1) : null;
      isCommitting = true;
      const { command } = end ?? (await connection.query(COMMIT));
      if (command !== "COMMIT") throw new Error(`COMMIT answered ${command}`);
      batch.keep(this.#known, version);
      const gone = housekeeping.learn(chores, results.slice(writes.length));
      for (const key of gone) this.#known.drop(key);
      return outcomes;
    } catch (error) {
      if (!isBusy(error)) throw storeError(error, this.#parts.shown, isCommitting);
      this.#learnHeld(error);
      await connection.query(ROLLBACK);
      return null;
    } finally {
      housekeeping.end(chores);
    }
  }

  /** Locks and reads; returns the instant to decide at, or null if rows were inserted meanwhile. */
  async #loadLocked(connection: Connection, batch: Batch): Promise<number | null> {
    // Sorted, so that all processes lock in the same order.
    const keys = textArray(batch.keys.sort());
    const counted = batch.hasSeveral ? keys : "{}";
    const sentMs = localMs();
    const { holds } = batch;
    const results = await connection.all([
      this.#begin,
      { text: this.#sql.lock, values: [keys] },
      // After the counters, like in every process.
      ...(holds.isEmpty ? [] : [{ text: this.#sql.lockHolds, values: holds.keys() }]),
      { text: this.#sql.tell, values: [textArray(batch.answerKeys), counted] },
    ]);
    const rows = results[1]?.rows ?? [];
    const answers = results.at(-1);
    if (!holds.isEmpty) holds.load(results[2]?.rows ?? []);
    const engineMs = this.#learn(answers?.rows[0]?.[0], sentMs);
    batch.load(rows);
    if (batch.hasSeveral && answers?.rows[0]?.[1] !== String(rows.length)) return null;
    for (const [, , key, answer] of answers?.rows ?? []) {
      if (key != null && answer != null) batch.loadAnswer(key, answer);
    }
    return this.#instant(engineMs, batch);
  }

  #writes(batch: Batch, nowMs: number, version: string): Statement[] {
    const writes: Statement[] = [];
    const counters = (text: string, slots: Slot[]) => {
      if (slots.length === 0) return;
      const keys = textArray(slots.map(({ key }) => key));
      const used = numberArray(slots.map(({ counter }) => counter?.used ?? 0));
      writes.push({ text, values: [keys, used, nowMs, version, ...bodyValues(slots)] });
    };
    counters(this.#sql.update, batch.updates());
    counters(this.#sql.insert, batch.inserts());
    const heldRows = (text: string, slots: HoldSlot[]) => {
      if (slots.length > 0) writes.push({ text, values: [...holdValues(slots), version] });
    };
    heldRows(this.#sql.updateHolds, batch.holds.updates());
    heldRows(this.#sql.insertHolds, batch.holds.inserts());
    const answers = batch.newAnswers();
    if (answers.length === 0) return writes;
    const keys = textArray(answers.map(({ key }) => key));
    const expires = numberArray(answers.map(({ expiresMs }) => expiresMs));
    const texts = textArray(answers.map(({ text }) => text));
    writes.push({ text: this.#sql.dropExpired, values: [keys, nowMs] });
    writes.push({ text: this.#sql.insertAnswers, values: [keys, expires, texts] });
    return writes;
  }

  #learnHeld(error: unknown): void {
    if (isHeld(error)) this.#heldUntilMs = localMs() + HELD_MS;
  }

  #learn(serverMs: string | null | undefined, sentMs: number): number {
    const engineMs = Number(serverMs);
    if (serverMs == null) throw new Error("the server did not return its clock");
    this.#parts.engineClock.learn(engineMs, sentMs, localMs());
    return engineMs;
  }

  /**
   * The instant of a batch. Other processes also estimate the server's clock, so within the error
   * of an estimate no counter is decided earlier than before.
   */
  #instant(engineMs: number, { seenMs }: Batch): number {
    const { clock } = this.#parts;
    if (clock !== undefined) return clock();
    return seenMs > engineMs && seenMs - engineMs < GUARD_BEHIND_MS ? seenMs : engineMs;
  }

  #nextVersion(): string {
    this.#lastVersion++;
    return this.#lastVersion.toString();
  }
}
