import type { Catalogue, Follower } from "./catalogue.js";
import { recordKey, recordParts } from "../base/key.js";
import type { Clock } from "../base/call.js";
import type { DocumentChange, DocumentWrite } from "../stores/store.js";
import type { Gate } from "../base/gate.js";

/** A record after its last change. */
export interface KeptRecord {
  readonly id: string;
  /** Increases with every change, from 1. */
  readonly revision: number;
  /** JSON text. */
  readonly value: string;
}

/** One write of an all-or-nothing change of records. */
export interface RecordWrite {
  readonly id: string;
  /** New JSON text; null deletes it. */
  readonly value: string | null;
}

/** What records depend on. */
interface RecordsParts {
  readonly catalogue: Catalogue;
  readonly gate: Gate;
}

type OfKind = ReadonlyMap<string, KeptRecord>;

const NONE: OfKind = new Map();
const PROBE_TTL_MS = 60_000;

/**
 * Small JSON texts that a program keeps in the store beside the definitions: `ductape.records`.
 * They are few, and every process has them in memory: changes by this process are seen at once,
 * those by others within a second. Kinds and ids are any well-formed Unicode without NUL.
 */
export interface Records {
  /** A record as known here; undefined until the store is first opened. */
  get(kind: string, id: string): KeptRecord | undefined;
  /** All stored records of a kind by id. Throws `STORE_UNAVAILABLE`. */
  all(kind: string): Promise<ReadonlyMap<string, KeptRecord>>;
  /**
   * Writes, all or none, what `prepare` returns for the current records of a kind; it is called
   * again if another process was quicker. If it throws, its error is thrown and nothing is
   * changed. Throws `STORE_UNAVAILABLE`, `TIMEOUT`, `OUTCOME_UNKNOWN`.
   */
  change(
    kind: string,
    prepare: (records: ReadonlyMap<string, KeptRecord>) => readonly RecordWrite[],
  ): Promise<void>;
}

/** {@link Records} in memory, kept up to date through the catalogue. */
export class StoredRecords implements Records, Follower {
  readonly #parts: RecordsParts;
  #kinds = new Map<string, Map<string, KeptRecord>>();

  constructor(parts: RecordsParts) {
    this.#parts = parts;
    parts.catalogue.follow("record", this);
  }

  get(kind: string, id: string): KeptRecord | undefined {
    return this.#kinds.get(kind)?.get(id);
  }

  all(kind: string): Promise<ReadonlyMap<string, KeptRecord>> {
    const { gate, catalogue } = this.#parts;
    return gate.pass(async () => {
      await catalogue.refresh();
      return this.#kinds.get(kind) ?? NONE;
    });
  }

  change(kind: string, prepare: (records: OfKind) => readonly RecordWrite[]): Promise<void> {
    const { gate, catalogue } = this.#parts;
    return gate.pass(() => catalogue.change(() => ({ writes: this.#writes(kind, prepare) })));
  }

  take({ key, revision, value }: DocumentChange): void {
    const { kind, id } = recordParts(key);
    const records = this.#kinds.get(kind) ?? new Map<string, KeptRecord>();
    this.#kinds.set(kind, records);
    if (value === null) records.delete(id);
    else records.set(id, { id, revision, value });
  }

  clear(): void {
    this.#kinds = new Map();
  }

  #writes(kind: string, prepare: (records: OfKind) => readonly RecordWrite[]): DocumentWrite[] {
    const records = this.#kinds.get(kind) ?? NONE;
    return prepare(records).map(({ id, value }) => {
      return { key: recordKey(kind, id), ifRevision: records.get(id)?.revision ?? 0, value };
    });
  }
}

/**
 * Reads and writes the store once; what it writes is gone after a minute. Throws the faults of the
 * store.
 */
export async function probeStore({
  catalogue,
  clock,
}: {
  readonly catalogue: Catalogue;
  readonly clock: Clock;
}): Promise<void> {
  const key = recordKey("probe", crypto.randomUUID());
  const expiresMs = clock() + PROBE_TTL_MS;
  const write: DocumentWrite = { key, ifRevision: 0, value: "0", unwatched: true, expiresMs };
  await catalogue.change(() => ({ writes: [write] }));
}
