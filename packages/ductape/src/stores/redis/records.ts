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

/** Reads names from the sorted set until enough of them are open. */
async function openHolds(
  redis: Redis,
  keyspace: Keyspace,
  place: RecordPlace,
  { after, limit }: HoldPage,
  nowMs: number,
): Promise<HoldRow[]> {
  const { opened } = keyspace.openHolds(place);
  const from = after?.openedMs ?? "-inf";
  const rows: HoldRow[] = [];
  for (let offset = 0; rows.length < limit; offset += PIECE) {
    const names = await redis.zrangebyscore(opened, from, "+inf", "LIMIT", offset, PIECE);
    if (names.length === 0) break;
    const texts = await redis.mget(names.map((name) => keyspace.hold(place, name)));
    for (const [i, name] of names.entries()) {
      const text = texts[i];
      if (text == null || rows.length >= limit) continue;
      const hold = readHold(text);
      if (hold.status === "open" && hold.expiresMs > nowMs && isAfter({ name, hold }, after)) {
        rows.push({ space: place.space, name, hold });
      }
    }
    if (names.length < PIECE) break;
  }
  return rows;
}

/** Names read from the sorted set at once. */
const PIECE = 500;

/** A hold and those of its instant before it by name may be read again. */
function isAfter({ name, hold }: Pick<HoldRow, "name" | "hold">, after: HoldPage["after"]) {
  if (after === null || hold.openedMs > after.openedMs) return true;
  return Buffer.compare(Buffer.from(name), Buffer.from(after.name)) > 0;
}
