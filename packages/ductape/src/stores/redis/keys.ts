import { spaceParts, splitCounterKey } from "../../base/key.js";
import type { RuleTerms } from "../../decide/plan.js";
import type { RecordPlace } from "../store.js";

/** Slots of a Redis Cluster. */
export const SLOTS = 16_384;

const TAG_CHARS = 4;
const TAGS = 36 ** TAG_CHARS;

/**
 * The keys of one store: `prefix:{tag}`, then the space and the subject. The tag is a short hash
 * of the rule's shard key, so that all counters and answers of a quota are in one slot of a
 * cluster. Shard keys that share a tag share only the slot, because the whole space follows.
 */
export class Keyspace {
  readonly prefix: string;
  readonly #starts = new WeakMap<RuleTerms, string>();

  constructor(prefix: string) {
    this.prefix = prefix;
  }

  /** The key of a counter. */
  counter(rule: RuleTerms, subject: string): string {
    let start = this.#starts.get(rule);
    if (start === undefined) {
      start = this.keyOf(rule.shardKey, rule.space);
      this.#starts.set(rule, start);
    }
    return start + subject;
  }

  /** The key of an answer to an idempotency key, in the slot of its rule's counters. */
  answer(rule: RuleTerms, key: string): string {
    return this.keyOf(rule.shardKey, key);
  }

  /** The key of the record of a hold, in the slot of its rule's counters. */
  hold({ shardKey, space }: RecordPlace, name: string): string {
    return this.keyOf(shardKey, space + HOLD + name);
  }

  /**
   * The keys of two sorted sets of the open holds of a place: their names by when they were
   * reserved, and by when they expire.
   */
  openHolds({ shardKey, space }: RecordPlace): { opened: string; ends: string } {
    const opened = this.keyOf(shardKey, space + HOLD);
    return { opened, ends: opened + HOLD };
  }

  /** The key of something with a shard key: a counter by its space and subject, or an answer. */
  keyOf(shardKey: string, key: string): string {
    return `${this.prefix}:{${tagOf(shardKey)}}${key}`;
  }

  /** The key of something beside the documents. */
  document(name: string): string {
    return `${this.prefix}:{${DOCUMENTS_TAG}}${name}`;
  }

  /** The glob that matches everything in all spaces that start with `space`, and possibly more. */
  pattern(space: string): string {
    return `${globText(this.prefix)}:{${"?".repeat(TAG_CHARS)}}${globText(space)}*`;
  }

  /** The space and the subject of a counter's key; null for any other key. */
  split(key: string): { space: string; subject: string } | null {
    const parts = splitCounterKey(this.#afterTag(key));
    // Answers are in a space without a rule.
    return spaceParts(parts.space).rule === "" ? null : parts;
  }

  /** The key of an answer as in plans; null for any other key. */
  answerKey(key: string): string | null {
    const afterTag = this.#afterTag(key);
    const { space, subject: name } = splitCounterKey(afterTag);
    if (space === "" || spaceParts(space).rule !== "" || name.startsWith(HOLD)) return null;
    return afterTag;
  }

  /** The space and the name of a hold's key; null for any other key. */
  holdKey(key: string): { space: string; name: string } | null {
    const { space, subject } = splitCounterKey(this.#afterTag(key));
    if (space === "" || spaceParts(space).rule !== "" || !subject.startsWith(HOLD)) return null;
    const name = subject.slice(HOLD.length);
    return name === "" || name === HOLD ? null : { space, name };
  }

  /** The part after the tag; "" for any other key. */
  #afterTag(key: string): string {
    const at = this.prefix.length + 1;
    const isOurs = key.startsWith(`${this.prefix}:{`) && key[at + TAG_CHARS + 1] === "}";
    return isOurs ? key.slice(at + TAG_CHARS + 2) : "";
  }
}

/** Between the space and the name of a hold: no name of an answer contains it. */
const HOLD = "\0";

/** Longer than any hash of a shard key, so that no counter can be mistaken for a document. */
const DOCUMENTS_TAG = "documents";

/** The slot of all documents. */
export const DOCUMENTS_SLOT = slotOf(DOCUMENTS_TAG);

/** The slot of a rule's counters. */
export function slotOfRule(rule: RuleTerms): number {
  return slotOfShardKey(rule.shardKey);
}

/** The slot of a shard key. */
export function slotOfShardKey(shardKey: string): number {
  return slotOf(tagOf(shardKey));
}

const tags = new Map<string, string>();
const TAGS_KEPT_MAX = 20_000;

/** FNV-1a over UTF-16 units, as a few letters and digits. */
function tagOf(shardKey: string): string {
  const known = tags.get(shardKey);
  if (known !== undefined) return known;
  let hash = 0x811c9dc5;
  for (let i = 0; i < shardKey.length; i++) {
    hash = Math.imul(hash ^ shardKey.charCodeAt(i), 0x01000193);
  }
  const tag = ((hash >>> 0) % TAGS).toString(36).padStart(TAG_CHARS, "0");
  if (tags.size >= TAGS_KEPT_MAX) tags.clear();
  tags.set(shardKey, tag);
  return tag;
}

/** CRC-16/XMODEM of an ASCII tag, modulo the slots (redis.io, cluster specification). */
function slotOf(tag: string): number {
  let crc = 0;
  for (let i = 0; i < tag.length; i++) {
    crc ^= tag.charCodeAt(i) << 8;
    for (let bit = 0; bit < 8; bit++) {
      crc = (crc & 0x8000) === 0 ? (crc << 1) & 0xffff : ((crc << 1) ^ 0x1021) & 0xffff;
    }
  }
  return crc % SLOTS;
}

/** A glob that matches only this text. */
function globText(text: string): string {
  return text.replaceAll(/[\\*?[\]]/g, String.raw`\$&`);
}
