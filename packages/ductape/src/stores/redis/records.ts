import type { Redis } from "ioredis";
import { answerExpiresMs } from "../../decide/answer.js";
import { rememberedMs } from "../../decide/hold.js";
import { readHold } from "../hold-record.js";
import type { HoldPage, HoldRow, RecordPlace, Records } from "../store.js";
import { unavailable } from "./errors.js";
import { slotOfShardKey, type Keyspace } from "./keys.js";
import type { Nodes } from "./nodes.js";
import { readAnswerText } from "./packed.js";

/** What reading depends on. */
interface RecordParts {
  readonly keyspace: Keyspace;
  /** The store's name in messages. */
  readonly name: string;
  /** The servers; throws if the store is not open. */
  readonly nodes: () => Nodes;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

/** Reads answers and holds. */
export function redisRecords({ keyspace, name: store, nodes, now }: RecordParts): Records {
  const on = async <T>({ shardKey }: RecordPlace, read: (redis: Redis) => Promise<T>) => {
    const servers = nodes();
    try {
      return await read(servers.at(slotOfShardKey(shardKey)));
    } catch (error) {
      throw unavailable(store, error);
    }
  };
  return {
    answer: (place, name) =>
      on(place, async (redis) => {
        const bytes = await redis.getBuffer(keyspace.keyOf(place.shardKey, place.space + name));
        const text = bytes === null ? null : readAnswerText(bytes);
        return text === null || answerExpiresMs(text) <= now() ? null : text;
      }),
    hold: (place, name) =>
      on(place, async (redis) => {
        const text = await redis.get(keyspace.hold(place, name));
        const hold = text === null ? null : readHold(text);
        return hold === null || rememberedMs(hold) <= now() ? null : hold;
      }),
    openHolds: (place, page) =>
      on(place, (redis) => openHolds(redis, keyspace, place, page, now())),
  };
}

/** Holds read from the sorted set at once. */
const PIECE = 500;

/** A hold in the sorted set. */
type Place = NonNullable<HoldPage["after"]>;

/**
 * Reads the sorted set until enough of what it names is open. Each piece begins after the last hold
 * of the one before and not at a rank, which changes when others are settled meanwhile.
 */
async function openHolds(
  redis: Redis,
  keyspace: Keyspace,
  place: RecordPlace,
  { after, limit }: HoldPage,
  nowMs: number,
): Promise<HoldRow[]> {
  const { opened } = keyspace.openHolds(place);
  const rows: HoldRow[] = [];
  let [last, count] = [after, PIECE];
  while (rows.length < limit) {
    const from = last?.openedMs ?? "-inf";
    const texts = await redis.zrangebyscore(opened, from, "+inf", "WITHSCORES", "LIMIT", 0, count);
    const read = placesOf(texts);
    const next = read.filter((each) => isAfter(each, last));
    rows.push(...(await liveAmong(redis, keyspace, place, next, nowMs)));
    if (read.length < count) break;
    // So many of one instant that none was new.
    if (next.length === 0) count *= 2;
    last = next.at(-1) ?? last;
  }
  return rows.slice(0, limit);
}

/** Names and scores in turn. */
function placesOf(texts: readonly string[]): Place[] {
  const places: Place[] = [];
  for (let i = 0; i < texts.length; i += 2) {
    places.push({ name: texts[i] ?? "", openedMs: Number(texts[i + 1]) });
  }
  return places;
}

/** By instant, and then by the bytes of the name. */
function isAfter({ openedMs, name }: Place, last: Place | null): boolean {
  if (last === null || openedMs !== last.openedMs) return true;
  return Buffer.compare(Buffer.from(name), Buffer.from(last.name)) > 0;
}

async function liveAmong(
  redis: Redis,
  keyspace: Keyspace,
  place: RecordPlace,
  places: readonly Place[],
  nowMs: number,
): Promise<HoldRow[]> {
  if (places.length === 0) return [];
  const texts = await redis.mget(places.map(({ name }) => keyspace.hold(place, name)));
  return places.flatMap(({ name }, i) => {
    const text = texts[i];
    if (text == null) return [];
    const hold = readHold(text);
    const isLive = hold.status === "open" && hold.expiresMs > nowMs;
    return isLive ? { space: place.space, name, hold } : [];
  });
}
