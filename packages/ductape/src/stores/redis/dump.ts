import { answerExpiresMs } from "../../decide/answer.js";
import { keptUntilMs, type Counter } from "../../decide/counter.js";
import { rememberedMs } from "../../decide/hold.js";
import { FOREVER_MS } from "../../decide/period.js";
import { holdText, readHold } from "../hold-record.js";
import type { CounterRow, HoldRow, StoreChunk } from "../store.js";
import { chunksOf } from "../paging.js";
import type { RedisDocuments } from "./documents.js";
import { unavailable } from "./errors.js";
import { slotOfShardKey, type Keyspace } from "./keys.js";
import type { Nodes } from "./nodes.js";
import { packCounter, readAnswerText } from "./packed.js";
import { keysOf, scanCounters } from "./sweep.js";

/** What a dump and a load depend on. */
export interface DumpParts {
  readonly nodes: Nodes;
  readonly keyspace: Keyspace;
  readonly documents: RedisDocuments;
  /** The store's name in messages. */
  readonly name: string;
  /** Epoch milliseconds. */
  readonly nowMs: number;
  /** True if a clock was given, so nothing expires by the server's clock. */
  readonly isGivenClock: boolean;
}

const NOTHING: StoreChunk = { counters: [], answers: [], holds: [], documents: [] };

/** See `Store.dump`. */
export async function* dumpRedis(parts: DumpParts): AsyncGenerator<StoreChunk> {
  const { nodes, keyspace, name } = parts;
  const counted: AsyncIterable<CounterRow> = scanCounters(nodes, keyspace, "", name);
  for await (const counters of chunksOf(counted)) yield { ...NOTHING, counters };
  for await (const answers of chunksOf(scanAnswers(parts))) yield { ...NOTHING, answers };
  for await (const holds of chunksOf(scanHolds(parts))) yield { ...NOTHING, holds };
  for await (const documents of chunksOf(keptDocuments(parts))) yield { ...NOTHING, documents };
}

async function* keptDocuments({ documents, name, nowMs }: DumpParts) {
  try {
    yield* documents.all(nowMs);
  } catch (error) {
    throw unavailable(name, error);
  }
}

async function* scanAnswers(parts: DumpParts) {
  const { keyspace, nowMs } = parts;
  for await (const [key, bytes] of recordsOf(parts, (full) => keyspace.answerKey(full))) {
    const text = readAnswerText(bytes);
    if (answerExpiresMs(text) > nowMs) yield { key, text };
  }
}

async function* scanHolds(parts: DumpParts) {
  const { keyspace, nowMs } = parts;
  for await (const [key, bytes] of recordsOf(parts, (full) => keyspace.holdKey(full))) {
    const hold = readHold(bytes.toString("utf8"));
    if (rememberedMs(hold) > nowMs) yield { ...key, hold };
  }
}

/** All records whose key `keyOf` takes apart, each once. */
async function* recordsOf<K>(
  { nodes, keyspace, name }: DumpParts,
  keyOf: (key: string) => K | null,
): AsyncGenerator<[K, Buffer]> {
  const seen = new Set<string>();
  try {
    for await (const [redis, keys] of keysOf(nodes, keyspace.pattern(""))) {
      const fresh = keys.filter((key) => keyOf(key) !== null && !seen.has(key));
      const texts = await Promise.all(fresh.map((key) => redis.getBuffer(key)));
      for (const [i, full] of fresh.entries()) {
        const [key, bytes] = [keyOf(full), texts[i] ?? null];
        if (key === null || bytes === null || seen.has(full)) continue;
        seen.add(full);
        yield [key, bytes];
      }
    }
  } catch (error) {
    throw unavailable(name, error);
  }
}

/** See `Store.load`. */
export async function loadRedis(
  parts: DumpParts,
  { counters, answers, holds, documents }: StoreChunk,
  shardKeyOf: (key: string) => string,
): Promise<void> {
  const { nodes, keyspace, name, isGivenClock } = parts;
  const put = async (key: string, bytes: Buffer, expiresMs: number) => {
    const shardKey = shardKeyOf(key);
    const redis = nodes.at(slotOfShardKey(shardKey));
    const expires = !isGivenClock && expiresMs < FOREVER_MS;
    await redis.call(
      "SET",
      keyspace.keyOf(shardKey, key),
      bytes,
      ...(expires ? ["PXAT", expiresMs] : []),
    );
  };
  try {
    await Promise.all([
      ...counters.map(({ space, subject, counter }) =>
        put(space + subject, packCounter(counter), expiryOf(counter)),
      ),
      ...answers.map(({ key, text }) => put(key, Buffer.from(text), answerExpiresMs(text))),
      ...holds.map((row) => loadHold(parts, row, shardKeyOf(row.space))),
    ]);
  } catch (error) {
    throw unavailable(name, error);
  }
  if (documents.length > 0) await parts.documents.load(documents);
}

async function loadHold(
  { nodes, keyspace, isGivenClock }: DumpParts,
  { space, name, hold }: HoldRow,
  shardKey: string,
): Promise<void> {
  const place = { shardKey, space };
  const redis = nodes.at(slotOfShardKey(shardKey));
  const expiry = isGivenClock ? [] : ["PXAT", rememberedMs(hold)];
  await redis.call("SET", keyspace.hold(place, name), holdText(hold), ...expiry);
  if (hold.status !== "open") return;
  const { opened, ends } = keyspace.openHolds(place);
  await redis.zadd(opened, hold.openedMs, name);
  await redis.zadd(ends, hold.expiresMs, name);
}

const GRACE_MS_MIN = 60_000;
const GRACE_MS_MAX = 86_400_000;

/** When a counter is dropped, the same as in apply.lua. */
function expiryOf(counter: Counter): number {
  const { startMs, endMs } = counter.window;
  if (counter.last !== null) return keptUntilMs(counter);
  return endMs + Math.min(Math.max(endMs - startMs, GRACE_MS_MIN), GRACE_MS_MAX);
}
