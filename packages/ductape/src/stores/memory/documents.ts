import { documentHome } from "../../base/key.js";
import type { Clock } from "../../base/call.js";
import type {
  DocumentChange,
  DocumentPage,
  Documents,
  DocumentWrite,
  KeptDocument,
  StoredDocument,
} from "../store.js";
import { textBytes, type MemoryRoom, type Tenant } from "./room.js";

/**
 * A document in memory. A deleted one stays, so that its revisions continue and every process sees
 * the deletion.
 */
interface MemoryDocument {
  readonly revision: number;
  readonly value: string | null;
  readonly expiresMs: number;
  /** Of its last change; 0: unwatched. */
  readonly sequence: number;
}

type Folder = Map<string, MemoryDocument>;

/** Bytes of a document with its place in two maps, without the characters of its key and value. */
const DOCUMENT_BYTES = 400;
/** Documents visited by each write while there is little room. */
const VISITS_WHEN_TIGHT = 40;

/** A change of a watched document: the newest of its key as long as the document is this one. */
interface Change {
  readonly key: string;
  readonly document: MemoryDocument;
}

/** Changes are compacted when there are this many more than twice the number of keys. */
const SPARE_CHANGES = 64;

/** Documents visited for each written one; more than one keeps ahead of the growth. */
const VISITS_PER_WRITE = 2;

/**
 * Documents in this process, by folder. The cost of reading changes depends only on the number of
 * new ones.
 */
export class MemoryDocuments implements Documents {
  readonly #folders = new Map<string, Folder>();
  readonly #clock: Clock;
  readonly #forget: (prefix: string) => void;
  readonly #room: MemoryRoom;
  #sequence = 0;
  /** In the order of their sequence; some are superseded by a newer one of the same key. */
  #changes: Change[] = [];
  #changesMax = SPARE_CHANGES;
  #walk = this.#walkExpired();

  constructor(clock: Clock, forget: (prefix: string) => void, room: MemoryRoom) {
    this.#clock = clock;
    this.#forget = forget;
    this.#room = room;
  }

  changes(after: number): Promise<{ sequence: number; changes: DocumentChange[] }> {
    const changes: DocumentChange[] = [];
    const nowMs = this.#clock();
    for (let i = this.#firstAfter(after); i < this.#changes.length; i++) {
      const change = this.#changes[i];
      if (change === undefined || !this.#isNewest(change)) continue;
      const { key, document } = change;
      const { revision, value, expiresMs } = document;
      if (expiresMs > nowMs) changes.push({ key, revision, value });
    }
    return Promise.resolve({ sequence: this.#sequence, changes });
  }

  get(key: string): Promise<StoredDocument | null> {
    return Promise.resolve(this.#live(key, this.#find(key)));
  }

  list(folder: string, { after, limit }: DocumentPage): Promise<StoredDocument[]> {
    const keys = [...(this.#folders.get(folder)?.keys() ?? [])];
    const listed: StoredDocument[] = [];
    for (const key of keys.filter((each) => inOrder(after, each) < 0).toSorted(inOrder)) {
      const found = this.#find(key);
      const document = found?.sequence === 0 ? this.#live(key, found) : null;
      if (document !== null) listed.push(document);
      if (listed.length >= limit) break;
    }
    return Promise.resolve(listed);
  }

  async write(writes: readonly DocumentWrite[], forget: readonly string[]): Promise<string | null> {
    const stale = writes.find(
      ({ key, ifRevision }) => (this.#live(key, this.#find(key))?.revision ?? 0) !== ifRevision,
    );
    if (stale !== undefined) return stale.key;
    if (this.#room.isTight) this.#checkRoom(writes);
    if (writes.some((write) => write.unwatched !== true)) this.#sequence++;
    for (const write of writes) this.#put(write);
    for (const prefix of forget) this.#forget(prefix);
    this.#dropExpired(writes.length * VISITS_PER_WRITE);
    return null;
  }

  /**
   * Throws `OVERLOADED` if there is no room for new unwatched documents, such as records of
   * sessions. Documents of operators, and revocations, are always accepted.
   */
  #checkRoom(writes: readonly DocumentWrite[]): void {
    this.#dropExpired(VISITS_WHEN_TIGHT);
    let bytes = 0;
    for (const { key, value, unwatched, ifRevision } of writes) {
      if (unwatched !== true || ifRevision !== 0 || typeof value !== "string") continue;
      bytes += bytesOf(key, value);
      this.#room.check(this.#tenantOf(key), bytes);
    }
  }

  /** The environment that a document belongs to. */
  #tenantOf(key: string): Tenant {
    const { product, env } = documentHome(key);
    return this.#room.tenant(product, env);
  }

  #take(key: string, { value }: MemoryDocument, sign: 1 | -1): void {
    this.#room.take(this.#tenantOf(key), sign * bytesOf(key, value ?? ""));
  }

  /** All documents that are neither expired nor deleted. */
  all(): KeptDocument[] {
    return [...this.#folders.values()].flatMap((folder) =>
      [...folder].flatMap(([key, document]) => {
        const live = this.#live(key, document);
        const { expiresMs, sequence } = document;
        const expiry = expiresMs === Infinity ? null : expiresMs;
        return live === null ? [] : [{ ...live, expiresMs: expiry, isUnwatched: sequence === 0 }];
      }),
    );
  }

  /** Writes documents unchanged, replacing others. */
  load(documents: readonly KeptDocument[]): void {
    this.#sequence++;
    for (const { key, revision, value, expiresMs, isUnwatched: unwatched } of documents) {
      this.#put({ key, value, expiresMs: expiresMs ?? Infinity, unwatched }, revision);
    }
  }

  /** The index of the first change later than `after`. */
  #firstAfter(after: number): number {
    let low = 0;
    let high = this.#changes.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#changes[middle]?.document.sequence ?? 0) > after) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #isNewest({ key, document }: Change): boolean {
    return this.#find(key) === document;
  }

  #note(change: Change): void {
    this.#changes.push(change);
    if (this.#changes.length < this.#changesMax) return;
    this.#changes = this.#changes.filter((each) => this.#isNewest(each));
    this.#changesMax = this.#changes.length * 2 + SPARE_CHANGES;
  }

  #find(key: string): MemoryDocument | undefined {
    return this.#folders.get(folderOf(key))?.get(key);
  }

  #live(key: string, document: MemoryDocument | undefined): StoredDocument | null {
    if (document === undefined || document.value === null) return null;
    const { revision, value, expiresMs } = document;
    return expiresMs > this.#clock() ? { key, revision, value } : null;
  }

  #put(
    { key, value, expiresMs = Infinity, unwatched = false }: Omit<DocumentWrite, "ifRevision">,
    revisionGiven?: number,
  ): void {
    if (value === undefined) return;
    const name = folderOf(key);
    const folder: Folder = this.#folders.get(name) ?? new Map();
    this.#folders.set(name, folder);
    const before = folder.get(key);
    if (before !== undefined) this.#take(key, before, -1);
    const revision = revisionGiven ?? (before?.revision ?? 0) + 1;
    if (unwatched && value === null) folder.delete(key);
    else {
      const document = { revision, value, expiresMs, sequence: unwatched ? 0 : this.#sequence };
      folder.set(key, document);
      this.#take(key, document, 1);
      if (!unwatched) this.#note({ key, document });
    }
    if (folder.size === 0) this.#folders.delete(name);
  }

  #dropExpired(visits: number): void {
    for (let i = 0; i < visits; i++) {
      if (this.#walk.next().done) this.#walk = this.#walkExpired();
    }
  }

  *#walkExpired(): Generator<undefined> {
    for (const [name, folder] of this.#folders) {
      for (const [key, document] of folder) {
        if (document.expiresMs <= this.#clock()) {
          folder.delete(key);
          this.#take(key, document, -1);
        }
        yield;
      }
      if (folder.size === 0) this.#folders.delete(name);
    }
  }
}

function bytesOf(key: string, value: string): number {
  return DOCUMENT_BYTES + textBytes(key) + textBytes(value);
}

/** A key without its last part. */
function folderOf(key: string): string {
  return key.slice(0, key.lastIndexOf("/", key.length - 2) + 1);
}

/** By code point, like SQLite's order of UTF-8; the order of UTF-16 units differs past U+FFFF. */
export function inOrder(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    if (a.charCodeAt(i) === b.charCodeAt(i)) continue;
    return rankOf(a, i) - rankOf(b, i);
  }
  return a.length - b.length;
}

function rankOf(text: string, at: number): number {
  const unit = text.charCodeAt(at);
  const isSurrogate = unit >= 0xd800 && unit <= 0xdfff;
  return isSurrogate ? unit + 0x10000 : unit;
}
