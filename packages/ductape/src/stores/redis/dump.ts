import { readAnswer } from "../../decide/answer.js";
import { keptUntilMs, type Cell } from "../../decide/cell.js";
import { FOREVER_MS } from "../../decide/period.js";
import type { CellRow, StorePiece } from "../store.js";
import { piecesOf } from "../paging.js";
import type { RedisDocuments } from "./documents.js";
import { unavailable } from "./errors.js";
import { slotOfHome, type Keyspace } from "./keys.js";
import type { Nodes } from "./nodes.js";
import { packCounter, readAnswerText } from "./packed.js";
import { keysOf, scanCounters } from "./sweep.js";

/** What a move works with. */
export interface MovingParts {
  readonly nodes: Nodes;
  readonly keyspace: Keyspace;
  readonly documents: RedisDocuments;
  /** The store as messages name it. */
  readonly name: string;
  /** Epoch milliseconds. */
  readonly nowMs: number;
  /** The clock was given: nothing expires by that of the server. */
  readonly isGivenClock: boolean;
}

const NOTHING: StorePiece = { counters: [], answers: [], documents: [] };

/** As `Store.dump`. */
export async function* dumpRedis(parts: MovingParts): AsyncGenerator<StorePiece> {
  const { nodes, keyspace, name } = parts;
  const counted: AsyncIterable<CellRow> = scanCounters(nodes, keyspace, "", name);
  for await (const counters of piecesOf(counted)) yield { ...NOTHING, counters };
  for await (const answers of piecesOf(scanAnswers(parts))) yield { ...NOTHING, answers };
  for await (const documents of piecesOf(keptDocuments(parts))) yield { ...NOTHING, documents };
}

async function* keptDocuments({ documents, name, nowMs }: MovingParts) {
  try {
    yield* documents.all(nowMs);
  } catch (error) {
    throw unavailable(name, error);
  }
}

async function* scanAnswers({ nodes, keyspace, name, nowMs }: MovingParts) {
  const told = new Set<string>();
  try {
    for await (const [redis, keys] of keysOf(nodes, keyspace.pattern(""))) {
      const fresh = keys.filter((key) => keyspace.answerKey(key) !== null && !told.has(key));
      const texts = await Promise.all(fresh.map((key) => redis.getBuffer(key)));
      for (const [i, full] of fresh.entries()) {
        const [key, bytes] = [keyspace.answerKey(full), texts[i] ?? null];
        if (key === null || bytes === null || told.has(full)) continue;
        const text = readAnswerText(bytes);
        if (readAnswer(text).expiresMs <= nowMs) continue;
        told.add(full);
        yield { key, text };
      }
    }
  } catch (error) {
    throw unavailable(name, error);
  }
}

/** As `Store.load`. */
export async function loadRedis(
  parts: MovingParts,
  { counters, answers, documents }: StorePiece,
  homeOf: (key: string) => string,
): Promise<void> {
  const { nodes, keyspace, name, isGivenClock } = parts;
  const put = async (key: string, bytes: Buffer, expiresMs: number) => {
    const home = homeOf(key);
    const redis = nodes.at(slotOfHome(home));
    const expires = !isGivenClock && expiresMs < FOREVER_MS;
    await redis.call(
      "SET",
      keyspace.keyOf(home, key),
      bytes,
      ...(expires ? ["PXAT", expiresMs] : []),
    );
  };
  try {
    await Promise.all([
      ...counters.map(({ space, subject, cell }) =>
        put(space + subject, packCounter(cell), expiryOf(cell)),
      ),
      ...answers.map(({ key, text }) => put(key, Buffer.from(text), readAnswer(text).expiresMs)),
    ]);
  } catch (error) {
    throw unavailable(name, error);
  }
  if (documents.length > 0) await parts.documents.load(documents);
}

const GRACE_MS_MIN = 60_000;
const GRACE_MS_MAX = 86_400_000;

/** When a counter is dropped: as apply.lua has it. */
function expiryOf(cell: Cell): number {
  const { startMs, endMs } = cell.window;
  if (cell.last !== null) return keptUntilMs(cell);
  return endMs + Math.min(Math.max(endMs - startMs, GRACE_MS_MIN), GRACE_MS_MAX);
}
