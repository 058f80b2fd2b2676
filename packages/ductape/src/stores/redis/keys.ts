import { spaceParts, splitCellKey } from "../../base/key.js";
import type { LegRule } from "../../decide/leg.js";

/** Slots of a Redis Cluster. */
export const SLOTS = 16_384;

const TAG_CHARS = 4;
const TAGS = 36 ** TAG_CHARS;

/**
 * The keys of one store: `prefix:{tag}`, then the space and the subject. The tag is a short hash of
 * the rule's home, so that all counters and answers of a quota lie in one slot of a cluster. Homes
 * that share a tag share a slot and nothing else, as the whole space follows.
 */
export class Keyspace {
  readonly prefix: string;
  readonly #starts = new WeakMap<LegRule, string>();

  constructor(prefix: string) {
    this.prefix = prefix;
  }

  /** The key of a counter. */
  counter(rule: LegRule, subject: string): string {
    let start = this.#starts.get(rule);
    if (start === undefined) {
      start = this.keyOf(rule.home, rule.space);
      this.#starts.set(rule, start);
    }
    return start + subject;
  }

  /** The key of an answer to an idempotency key, beside the counters of its rule. */
  answer(rule: LegRule, key: string): string {
    return this.keyOf(rule.home, key);
  }

  /** The key of what lies in a home: a counter by its space and subject, or an answer. */
  keyOf(home: string, key: string): string {
    return `${this.prefix}:{${tagOf(home)}}${key}`;
  }

  /** The key of something beside the documents. */
  document(name: string): string {
    return `${this.prefix}:{${DOCUMENTS_TAG}}${name}`;
  }

  /** The glob that matches what lies in all spaces that start with `space`, and maybe more. */
  pattern(space: string): string {
    return `${globText(this.prefix)}:{${"?".repeat(TAG_CHARS)}}${globText(space)}*`;
  }

  /** The space and the subject of a counter's key; null for any other key. */
  split(key: string): { space: string; subject: string } | null {
    const parts = splitCellKey(this.#inHome(key));
    // Answers lie in a space without a rule.
    return spaceParts(parts.space).rule === "" ? null : parts;
  }

  /** The key of an answer as plans name it; null for any other key. */
  answerKey(key: string): string | null {
    const inHome = this.#inHome(key);
    const { space } = splitCellKey(inHome);
    return space === "" || spaceParts(space).rule !== "" ? null : inHome;
  }

  /** What follows the tag of a home; "" for any other key. */
  #inHome(key: string): string {
    const at = this.prefix.length + 1;
    const isOurs = key.startsWith(`${this.prefix}:{`) && key[at + TAG_CHARS + 1] === "}";
    return isOurs ? key.slice(at + TAG_CHARS + 2) : "";
  }
}

/** Longer than any hash of a home, so that no counter is taken for a document. */
const DOCUMENTS_TAG = "documents";

/** The slot of all documents. */
export const DOCUMENTS_SLOT = slotOf(DOCUMENTS_TAG);

/** The slot in which a rule's counters lie. */
export function slotOfRule(rule: LegRule): number {
  return slotOfHome(rule.home);
}

/** The slot in which all of a home lies. */
export function slotOfHome(home: string): number {
  return slotOf(tagOf(home));
}

const tags = new Map<string, string>();
const TAGS_KEPT_MAX = 20_000;

/** FNV-1a over UTF-16 units, as a few letters and digits. */
function tagOf(home: string): string {
  const known = tags.get(home);
  if (known !== undefined) return known;
  let hash = 0x811c9dc5;
  for (let i = 0; i < home.length; i++) {
    hash = Math.imul(hash ^ home.charCodeAt(i), 0x01000193);
  }
  const tag = ((hash >>> 0) % TAGS).toString(36).padStart(TAG_CHARS, "0");
  if (tags.size >= TAGS_KEPT_MAX) tags.clear();
  tags.set(home, tag);
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

/** Text as a glob that matches it alone. */
function globText(text: string): string {
  return text.replaceAll(/[\\*?[\]]/g, String.raw`\$&`);
}
