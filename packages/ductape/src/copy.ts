import { createHash } from "node:crypto";
import { readAnswer } from "./decide/answer.js";
import type { Logger } from "./base/logger.js";
import { keptUntilMs } from "./decide/counter.js";
import { rememberedMs } from "./decide/hold.js";
import { counterText } from "./stores/counter-record.js";
import { ConflictError, show, StoreError, ValidationError } from "./base/errors.js";
import { QUOTA } from "./define/quota.js";
import { shardKeyOf, keyParts, spaceParts } from "./base/key.js";
import { readDefinition } from "./define/kind.js";
import { holdText } from "./stores/hold-record.js";
import type { Store, StoreMaker, StoreChunk } from "./stores/store.js";
import { openStore } from "./stores/url.js";

/** The progress of a copy: rows read from `from`, or compared once all are written. */
export interface CopyProgress {
  readonly phase: "copying" | "comparing";
  readonly counters: number;
  readonly documents: number;
  /** Answers kept for idempotency keys. */
  readonly answers: number;
  /** Records of holds, settled ones among them. */
  readonly holds: number;
}

/** Options of {@link copyStore}. */
export interface CopyOptions {
  /** Called after each part of up to 1,000 rows. */
  readonly onProgress?: ((progress: CopyProgress) => void) | undefined;
  /** Receives warnings of the stores. Default `console`. */
  readonly logger?: Logger | undefined;
}

const TIMEOUT_MS = 60_000;
const ATTEMPTS_MAX = 3;
/** A row that expires sooner than this, in milliseconds, may be gone before it is compared. */
const COMPARED_MS = 3_600_000;

/**
 * Copies everything in a store into an empty one (definitions, counters, sessions, holds and the
 * answers of idempotency keys), then compares the two. Both are URLs, like the option `store` of a
 * client, or functions that return a store. The definitions are written last, so that an
 * unfinished copy serves no call.
 *
 * Stop the clients of `from` first: what they count later is not in `to`. Throws
 * `REVISION_CONFLICT` if `from` kept changing, `ALREADY_EXISTS` if `to` is not empty,
 * `VALIDATION`, and the faults of the stores; `from` is never changed. Returns how much was
 * copied.
 */
export async function copyStore(
  from: string | StoreMaker,
  to: string | StoreMaker,
  { onProgress = () => undefined, logger = console }: CopyOptions = {},
): Promise<CopyProgress> {
  if (from === to) {
    throw new ValidationError([{ path: "to", message: "is the store to copy from" }]);
  }
  const source = made(from, "from", logger);
  const target = made(to, "to", logger);
  try {
    await Promise.all([source.open(), target.open()]);
    await refuseFull(target);
    return await copied(source, target, onProgress);
  } finally {
    await Promise.all([source.close(), target.close()]);
  }
}

/** A store that can be copied. */
type Copyable = Store & Required<Pick<Store, "dump" | "load">>;

function made(given: string | StoreMaker, path: string, logger: Logger): Copyable {
  const context = { clock: undefined, timeoutMs: TIMEOUT_MS, logger };
  const store = typeof given === "string" ? openStore(given, context, path) : given(context);
  if (isCopyable(store)) return store;
  const message = `expects a store with dump and load, got ${show(store.guarantees.name)}`;
  throw new ValidationError([{ path, message }]);
}

function isCopyable(store: Store): store is Copyable {
  return store.dump !== undefined && store.load !== undefined;
}

async function refuseFull(target: Copyable): Promise<void> {
  for await (const { counters, answers, holds, documents } of target.dump()) {
    if (counters.length + answers.length + holds.length + documents.length === 0) continue;
    const message = "to: expects an empty store, but this one has counters or definitions";
    throw new ConflictError("ALREADY_EXISTS", message);
  }
}

async function copied(
  source: Copyable,
  target: Copyable,
  tell: (progress: CopyProgress) => void,
): Promise<CopyProgress> {
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
    const sinceMs = (source.clock ?? Date.now)();
    const homeIn = await homesOf(source);
    const before = new Tally("copying", sinceMs, tell);
    const definitions: StoreChunk[] = [];
    for await (const chunk of source.dump()) {
      before.add(chunk);
      const watched = chunk.documents.filter(({ isUnwatched }) => !isUnwatched);
      const unwatched = chunk.documents.filter(({ isUnwatched }) => isUnwatched);
      definitions.push({ counters: [], answers: [], holds: [], documents: watched });
      await target.load({ ...chunk, documents: unwatched }, homeIn);
    }
    const after = await tallied(source, new Tally("comparing", sinceMs, tell));
    if (after.sum !== before.sum) continue;
    const documents = definitions.flatMap((chunk) => chunk.documents);
    await target.load({ counters: [], answers: [], holds: [], documents }, homeIn);
    const there = await tallied(target, new Tally("comparing", sinceMs, tell));
    if (there.sum === before.sum) return before.progress;
    throw new StoreError("STORE_UNAVAILABLE", "to: does not hold what was written; copy again");
  }
  const message = `from: changed while it was copied, ${ATTEMPTS_MAX} times; stop its clients`;
  throw new ConflictError("REVISION_CONFLICT", message);
}

/** The shard key of a key; that of a co-located quota is its environment's. */
async function homesOf(source: Store): Promise<(key: string) => string> {
  const coLocated = new Map<string, Set<string>>();
  for (const { key, revision, value } of (await source.documents.changes(0)).changes) {
    const { kind, product, id } = keyParts(key);
    if (kind !== "quota" || value === null) continue;
    const { identity } = readDefinition(QUOTA, id, revision, value);
    if (identity?.coLocated !== true) continue;
    coLocated.set(product, (coLocated.get(product) ?? new Set()).add(id));
  }
  return (key) => {
    const { product, quota } = spaceParts(key);
    return shardKeyOf(key, coLocated.get(product)?.has(quota) === true);
  };
}

async function tallied(store: Copyable, tally: Tally): Promise<Tally> {
  for await (const chunk of store.dump()) tally.add(chunk);
  return tally;
}

/** Counts the rows of a store; two stores with the same rows have the same `sum`, in any order. */
class Tally {
  progress: CopyProgress;
  sum = 0;
  readonly #lastingMs: number;
  readonly #tell: (progress: CopyProgress) => void;

  constructor(
    phase: CopyProgress["phase"],
    sinceMs: number,
    tell: (progress: CopyProgress) => void,
  ) {
    this.progress = { phase, counters: 0, documents: 0, answers: 0, holds: 0 };
    this.#lastingMs = sinceMs + COMPARED_MS;
    this.#tell = tell;
  }

  add({ counters, answers, holds, documents }: StoreChunk): void {
    const { progress } = this;
    for (const { space, subject, counter } of counters) {
      this.#sum(keptUntilMs(counter), "counter", space, subject, counterText(counter));
    }
    for (const { key, text } of answers) {
      const { expiresMs, nowMs, status, fingerprint, details, checks } = readAnswer(text);
      const numbers = JSON.stringify(checks);
      this.#sum(expiresMs, "answer", key, fingerprint, details, status, nowMs, expiresMs, numbers);
    }
    for (const { space, name, hold } of holds) {
      this.#sum(rememberedMs(hold), "hold", space, name, holdText(hold));
    }
    for (const { key, revision, value, expiresMs, isUnwatched } of documents) {
      this.#sum(expiresMs ?? Infinity, "document", key, revision, value, expiresMs, isUnwatched);
    }
    this.progress = {
      phase: progress.phase,
      counters: progress.counters + counters.length,
      documents: progress.documents + documents.length,
      answers: progress.answers + answers.length,
      holds: progress.holds + holds.length,
    };
    this.#tell(this.progress);
  }

  #sum(endsMs: number, ...members: readonly unknown[]): void {
    if (endsMs <= this.#lastingMs) return;
    const hash = createHash("sha256").update(JSON.stringify(members)).digest();
    this.sum = (this.sum + hash.readUIntBE(0, SUM_BYTES)) % 256 ** SUM_BYTES;
  }
}

const SUM_BYTES = 6;
