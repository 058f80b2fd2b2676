import type {
  DocumentChange,
  DocumentPage,
  Documents,
  DocumentWrite,
  KeptDocument,
  StoredDocument,
} from "../store.js";
import { CHUNK_ROWS } from "../paging.js";
import { backoffMs, type Nodes } from "./nodes.js";
import { DOCUMENTS_SLOT, type Keyspace } from "./keys.js";
import { PackedReader } from "./packed.js";
import { scriptOf, type Runner } from "./runner.js";
import { scriptText } from "./scripts.js";

/** What documents depend on in their store. */
interface DocumentsParts {
  readonly keyspace: Keyspace;
  /** Returns the parts of an open store. Throws `STORE_UNAVAILABLE`. */
  opened(): { readonly runner: Runner; readonly nodes: Nodes };
  /** The instant passed to scripts: epoch milliseconds, or 0 for the server's clock. */
  now(): number;
  /** Receives the clock read by a script, between two instants of `performance.now`. */
  learn(nowMs: number, sentMs: number): void;
  /**
   * Called when earlier reads are no longer valid, because the server lost data or is another one.
   */
  lost(): void;
  /** Called when there are spaces to delete. */
  forgotten(): void;
}

type Text = string | number;
const HEAD_BYTES = 32;

/** Documents on a Redis server, all in one slot. Every method is one script, so it is atomic. */
export class RedisDocuments implements Documents {
  readonly #parts: DocumentsParts;
  readonly #keys: readonly string[];
  readonly #channel: string;
  readonly #script = scriptOf(scriptText("documents"));
  /** The lineage of the server that was read. */
  #lineage: string | null = null;

  constructor(parts: DocumentsParts) {
    const { keyspace } = parts;
    this.#parts = parts;
    this.#keys = ["texts", "changes", "unwatched", "expiries", "sequence", "forgotten"].map(
      (name) => keyspace.document(name),
    );
    this.#channel = keyspace.document("changed");
  }

  async changes(after: number): Promise<{ sequence: number; changes: DocumentChange[] }> {
    const [lineage, sequenceText, ...texts] = await this.#run("changes", true, [after]);
    const sequence = Number(sequenceText);
    if (after === 0) this.#lineage = String(lineage);
    else if (sequence < after || this.#lineage !== String(lineage)) this.#parts.lost();
    return { sequence, changes: changesOf(texts) };
  }

  async get(key: string): Promise<StoredDocument | null> {
    const [text] = await this.#run("get", true, [key]);
    return text instanceof Buffer ? documentOf(key, text) : null;
  }

  async list(folder: string, { after, limit }: DocumentPage): Promise<StoredDocument[]> {
    const texts = await this.#run("list", true, [folder, after, limit]);
    return pairsOf(texts).map(([key, text]) => documentOf(key, text));
  }

  async write(writes: readonly DocumentWrite[], forget: readonly string[]): Promise<string | null> {
    const args = writes.flatMap(argsOf);
    const [stale] = await this.#run("write", false, [
      this.#channel,
      writes.length,
      ...args,
      ...forget,
    ]);
    if (stale instanceof Buffer) return stale.toString();
    if (forget.length > 0) this.#parts.forgotten();
    return null;
  }

  /** All documents neither expired at `nowMs` nor deleted, read in parts. */
  async *all(nowMs: number): AsyncGenerator<KeptDocument> {
    const redis = this.#parts.opened().nodes.at(DOCUMENTS_SLOT);
    const seen = new Set<string>();
    let cursor = "0";
    do {
      const [next, texts] = await redis.hscanBuffer(
        this.#keys[0] ?? "",
        cursor,
        "COUNT",
        CHUNK_ROWS,
      );
      cursor = next.toString();
      for (const [key, text] of pairsOf(texts)) {
        const { sequence, expiresMs, isDeleted } = headOf(text);
        const isGone = isDeleted || (expiresMs >= 0 && expiresMs <= nowMs);
        if (isGone || seen.has(key)) continue;
        seen.add(key);
        const expiry = expiresMs < 0 ? null : expiresMs;
        yield { ...documentOf(key, text), expiresMs: expiry, isUnwatched: sequence === 0 };
      }
    } while (cursor !== "0");
  }

  /** Writes documents unchanged, replacing others. */
  async load(documents: readonly KeptDocument[]): Promise<void> {
    const args = documents.flatMap(({ key, revision, value, expiresMs, isUnwatched }) => {
      return [key, revision, value, expiresMs ?? "", isUnwatched ? 0 : 1];
    });
    await this.#run("load", false, [documents.length, ...args]);
  }

  watch(changed: () => void): () => void {
    let isStopped = false;
    let attempt = 0;
    let stopOne = (): void => undefined;
    const listen = (): void => {
      if (isStopped) return;
      try {
        stopOne = this.#listen(changed, again);
      } catch {
        again();
      }
    };
    // On a new connection each time, because the documents may have moved to another server.
    const again = (): void => {
      stopOne();
      if (!isStopped) setTimeout(listen, backoffMs(attempt++)).unref();
    };
    listen();
    return () => {
      isStopped = true;
      stopOne();
    };
  }

  #listen(changed: () => void, ended: () => void): () => void {
    const redis = this.#parts.opened().nodes.listener(DOCUMENTS_SLOT);
    redis.on("message", changed);
    redis.once("close", ended);
    redis
      .connect()
      .then(() => redis.subscribe(this.#channel))
      // Finds changes announced before it listened.
      .then(changed)
      .catch(() => undefined);
    return () => {
      redis.off("close", ended);
      redis.disconnect();
    };
  }

  async #run(operation: string, onlyReads: boolean, args: readonly Text[]): Promise<unknown[]> {
    const { now, learn, opened } = this.#parts;
    const sentMs = performance.now();
    const reply = await opened().runner.run({
      script: this.#script,
      slot: DOCUMENTS_SLOT,
      keys: this.#keys,
      args: [now(), operation, ...args],
      onlyReads,
    });
    if (!Array.isArray(reply)) throw new Error("the script of documents returned no array");
    const [nowMs, ...rest]: unknown[] = reply;
    learn(Number(nowMs), sentMs);
    return rest;
  }
}

function argsOf({ key, ifRevision, value, expiresMs, unwatched = false }: DocumentWrite): Text[] {
  const what = value === undefined ? "check" : value === null ? "delete" : "set";
  return [key, ifRevision, what, value ?? "", expiresMs ?? "", unwatched ? 0 : 1];
}

function pairsOf(texts: readonly unknown[]): (readonly [key: string, text: Buffer])[] {
  const pairs: (readonly [string, Buffer])[] = [];
  for (let i = 1; i < texts.length; i += 2) {
    const [key, text] = [texts[i - 1], texts[i]];
    if (key instanceof Buffer && text instanceof Buffer) pairs.push([key.toString(), text]);
  }
  return pairs;
}

function changesOf(texts: readonly unknown[]): DocumentChange[] {
  return pairsOf(texts).map(([key, text]) => {
    const { revision, isDeleted } = headOf(text);
    return { key, revision, value: isDeleted ? null : text.toString("utf8", HEAD_BYTES) };
  });
}

function documentOf(key: string, text: Buffer): StoredDocument {
  return { key, revision: headOf(text).revision, value: text.toString("utf8", HEAD_BYTES) };
}

function headOf(text: Buffer) {
  const reader = new PackedReader(text);
  const [revision, sequence, expiresMs] = [reader.next(), reader.next(), reader.next()];
  return { revision, sequence, expiresMs, isDeleted: reader.next() === 1 };
}
