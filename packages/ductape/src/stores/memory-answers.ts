import { readAnswer, type AnswerKey } from "../answer.js";
import { splitCellKey } from "../key.js";
import { ANSWER_TTL_MS } from "../request.js";
import type { AnswerRow } from "../store.js";

/** Answers of one space that expire at about the same time: they go together. */
interface Bucket {
  /** When the last of them has expired. */
  endMs: number;
  readonly texts: Map<string, string>;
}

type Space = Bucket[];

/** An answer may stay this much longer than it is kept: a quarter of its time. */
const BUCKETS_PER_TTL = 4;
/** Spaces looked at for each answer kept, so that none waits long for a key of its own. */
const VISITS_PER_ANSWER = 2;

/**
 * Answers to idempotency keys. They lie in buckets by expiry, and an expired bucket is dropped as a
 * whole: nothing is swept, and nothing is kept with an answer to find it by.
 */
export class MemoryAnswers {
  readonly #spaces = new Map<string, Space>();
  #walk = this.#spaces.entries();

  /** The text of an answer, which may have expired. */
  get({ space, name }: AnswerKey): string | undefined {
    const buckets = this.#spaces.get(space);
    if (buckets === undefined) return undefined;
    for (const { texts } of buckets) {
      const text = texts.get(name);
      if (text !== undefined) return text;
    }
    return undefined;
  }

  /** Keeps an answer until it expires, in place of one of the same key. */
  put(space: string, name: string, text: string, expiresMs: number, nowMs: number): void {
    let buckets = this.#spaces.get(space);
    if (buckets === undefined) this.#spaces.set(space, (buckets = []));
    for (const { texts } of buckets) texts.delete(name);
    const endMs = endOf(expiresMs, nowMs);
    let bucket = buckets.find((each) => each.endMs === endMs);
    if (bucket === undefined) {
      bucket = { endMs, texts: new Map() };
      buckets.push(bucket);
    }
    bucket.texts.set(name, text);
    for (let visit = 0; visit < VISITS_PER_ANSWER; visit++) this.#visit(nowMs);
  }

  /** Keeps an answer of another store. */
  load({ key, text }: AnswerRow, nowMs: number): void {
    const { space, subject: name } = splitCellKey(key);
    this.put(space, name, text, readAnswer(text).expiresMs, nowMs);
  }

  /** All that have not expired. */
  *rows(nowMs: number): Generator<AnswerRow> {
    for (const [space, buckets] of this.#spaces) {
      for (const { texts } of buckets) {
        for (const [name, text] of texts) {
          if (readAnswer(text).expiresMs > nowMs) yield { key: space + name, text };
        }
      }
    }
  }

  /** Forgets the answers of all spaces that start with `prefix`. */
  forget(prefix: string): void {
    for (const space of this.#spaces.keys()) {
      if (space.startsWith(prefix)) this.#spaces.delete(space);
    }
  }

  /** Drops what has expired of the next space. */
  #visit(nowMs: number): void {
    const next = this.#walk.next();
    if (next.done === true) {
      this.#walk = this.#spaces.entries();
      return;
    }
    const [space, buckets] = next.value;
    // What was kept by a clock that was ahead must not stay until then.
    const latestMs = nowMs + ANSWER_TTL_MS;
    for (const bucket of buckets) {
      if (bucket.endMs > endOf(latestMs, nowMs)) bucket.endMs = latestMs;
    }
    if (!buckets.some(({ endMs }) => endMs <= nowMs)) return;
    const left = buckets.filter(({ endMs }) => endMs > nowMs);
    if (left.length === 0) this.#spaces.delete(space);
    else buckets.splice(0, buckets.length, ...left);
  }
}

/** Instants of buckets stand on a grid that is the coarser the longer an answer is kept. */
function endOf(expiresMs: number, nowMs: number): number {
  const gridMs = 2 ** Math.floor(Math.log2(Math.max(1, (expiresMs - nowMs) / BUCKETS_PER_TTL)));
  return Math.ceil(expiresMs / gridMs) * gridMs;
}
