import { answerExpiresMs } from "../../decide/answer.js";
import type { AnswerKey } from "../../decide/plan.js";
import { splitCounterKey } from "../../base/key.js";
import { ANSWER_TTL_MS } from "../../decide/action.js";
import type { AnswerRow } from "../store.js";
import { textBytes, type MemoryRoom, type Tenant } from "./room.js";

/** Answers of one space that expire at about the same time and are dropped together. */
interface Bucket {
  /** When the last of them expires. */
  endMs: number;
  readonly texts: Map<string, string>;
  bytes: number;
}

interface Space {
  readonly tenant: Tenant;
  readonly buckets: Bucket[];
}

/** Bytes of an answer with its place in a map, without its characters and those of its key. */
const ANSWER_BYTES = 140;

/** How much longer than its time an answer may stay: a quarter of it. */
const BUCKETS_PER_TTL = 4;
/**
 * Spaces visited for each new answer, so that expired answers of unused spaces do not stay long.
 */
const VISITS_PER_ANSWER = 2;

/**
 * Answers to idempotency keys, in buckets by expiry. An expired bucket is dropped as a whole:
 * nothing is swept, and answers need no index.
 */
export class MemoryAnswers {
  readonly #spaces = new Map<string, Space>();
  readonly #room: MemoryRoom;
  #walk = this.#spaces.entries();

  constructor(room: MemoryRoom) {
    this.#room = room;
  }

  /** The text of an answer, which may have expired. */
  get({ space, name }: AnswerKey): string | undefined {
    return this.#find(space, name);
  }

  /** The text of an answer; null if it is missing or has expired. */
  live(space: string, name: string, nowMs: number): string | null {
    const text = this.#find(space, name);
    return text === undefined || answerExpiresMs(text) <= nowMs ? null : text;
  }

  /** Stores an answer until it expires, replacing one with the same key. */
  put(spaceName: string, name: string, text: string, expiresMs: number, nowMs: number): void {
    const space = this.#spaces.get(spaceName) ?? this.#newSpace(spaceName);
    for (const bucket of space.buckets) this.#remove(space, bucket, name);
    const endMs = endOf(expiresMs, nowMs);
    let bucket = space.buckets.find((each) => each.endMs === endMs);
    if (bucket === undefined) {
      bucket = { endMs, texts: new Map(), bytes: 0 };
      space.buckets.push(bucket);
    }
    bucket.texts.set(name, text);
    const bytes = answerBytes(name, text);
    bucket.bytes += bytes;
    this.#room.take(space.tenant, bytes);
    this.dropExpired(nowMs);
  }

  /** Drops what has expired in the next spaces. */
  dropExpired(nowMs: number): void {
    for (let visit = 0; visit < VISITS_PER_ANSWER; visit++) this.#visit(nowMs);
  }

  /** Stores an answer of another store. */
  load({ key, text }: AnswerRow, nowMs: number): void {
    const { space, subject: name } = splitCounterKey(key);
    this.put(space, name, text, answerExpiresMs(text), nowMs);
  }

  /** All that have not expired. */
  *rows(nowMs: number): Generator<AnswerRow> {
    for (const [space, { buckets }] of this.#spaces) {
      for (const { texts } of buckets) {
        for (const [name, text] of texts) {
          if (answerExpiresMs(text) > nowMs) yield { key: space + name, text };
        }
      }
    }
  }

  /** Deletes the answers of all spaces that start with `prefix`. */
  forget(prefix: string): void {
    for (const [name, space] of this.#spaces) {
      if (!name.startsWith(prefix)) continue;
      for (const { bytes } of space.buckets) this.#room.take(space.tenant, -bytes);
      this.#spaces.delete(name);
    }
  }

  #find(space: string, name: string): string | undefined {
    const known = this.#spaces.get(space);
    if (known === undefined) return undefined;
    for (const { texts } of known.buckets) {
      const text = texts.get(name);
      if (text !== undefined) return text;
    }
    return undefined;
  }

  #newSpace(name: string): Space {
    const space = { tenant: this.#room.tenantOf(name), buckets: [] };
    this.#spaces.set(name, space);
    return space;
  }

  #remove({ tenant }: Space, bucket: Bucket, name: string): void {
    const text = bucket.texts.get(name);
    if (text === undefined) return;
    const bytes = answerBytes(name, text);
    bucket.texts.delete(name);
    bucket.bytes -= bytes;
    this.#room.take(tenant, -bytes);
  }

  #visit(nowMs: number): void {
    const next = this.#walk.next();
    if (next.done === true) {
      this.#walk = this.#spaces.entries();
      return;
    }
    const [name, { tenant, buckets }] = next.value;
    // An answer stored under a fast clock must not stay until its expiry then.
    const latestMs = nowMs + ANSWER_TTL_MS;
    for (const bucket of buckets) {
      if (bucket.endMs > endOf(latestMs, nowMs)) bucket.endMs = latestMs;
    }
    const isOver = ({ endMs }: Bucket): boolean => endMs <= nowMs;
    if (!buckets.some(isOver)) return;
    for (const { bytes } of buckets.filter(isOver)) this.#room.take(tenant, -bytes);
    const left = buckets.filter((bucket) => !isOver(bucket));
    if (left.length === 0) this.#spaces.delete(name);
    else buckets.splice(0, buckets.length, ...left);
  }
}

/** The size of an answer in memory, in bytes. */
export function answerBytes(name: string, text: string): number {
  return ANSWER_BYTES + textBytes(name) + textBytes(text);
}

/** The instants of buckets are on a grid, which is coarser the longer answers are kept. */
function endOf(expiresMs: number, nowMs: number): number {
  const gridMs = 2 ** Math.floor(Math.log2(Math.max(1, (expiresMs - nowMs) / BUCKETS_PER_TTL)));
  return Math.ceil(expiresMs / gridMs) * gridMs;
}
