import { rememberedMs, type Hold } from "../../decide/hold.js";
import type { AnswerKey } from "../../decide/plan.js";
import { holdText, readHold } from "../hold-record.js";
import { KeptHolds } from "../kept-holds.js";
import type { HoldPage, HoldRow } from "../store.js";
import type { Sqlite, SqliteRow, SqliteStatement } from "./driver.js";

type HoldKey = Pick<AnswerKey, "space" | "name">;

/** Holds in a SQLite file, on top of those kept in memory. The methods throw what SQLite throws. */
export class SqliteHolds {
  readonly #kept = new KeptHolds<Hold>();
  /** What the batch changed, by key. */
  readonly #changed = new Map<string, HoldRow>();
  readonly #select: SqliteStatement;
  readonly #upsert: SqliteStatement;
  readonly #selectOpen: SqliteStatement;
  readonly #selectAll: SqliteStatement;

  constructor(db: Sqlite) {
    this.#select = db.prepare("SELECT record FROM holds WHERE space = ? AND name = ?");
    this.#upsert = db.prepare(
      `INSERT INTO holds (space, name, opened_ms, kept_ms, is_open, record)
       VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT (space, name) DO UPDATE SET opened_ms = excluded.opened_ms,
         kept_ms = excluded.kept_ms, is_open = excluded.is_open, record = excluded.record`,
    );
    this.#selectOpen = db.prepare(
      `SELECT space, name, record FROM holds
       WHERE is_open AND space = ? AND (opened_ms, name) > (?, ?) AND kept_ms > ?
       ORDER BY opened_ms, name LIMIT ?`,
    );
    this.#selectAll = db.prepare(
      `SELECT id, space, name, record FROM holds
       WHERE id > ? AND kept_ms > ? ORDER BY id LIMIT ?`,
    );
  }

  /** The hold of a key after the changes of the batch. */
  find({ space, name }: HoldKey): Hold | undefined {
    const key = space + name;
    const known = this.#changed.get(key)?.hold ?? this.#kept.get(key);
    if (known !== undefined) return known;
    const hold = this.#read(space, name);
    if (hold !== undefined) this.#keep(key, hold);
    return hold;
  }

  /** Changes a hold in the batch. */
  put({ space, name }: HoldKey, hold: Hold): void {
    this.#changed.set(space + name, { space, name, hold });
  }

  /** Writes what the batch changed, each hold once; returns how many were opened at `nowMs`. */
  write(nowMs: number): number {
    let opened = 0;
    for (const [key, row] of this.#changed) {
      this.#write(row);
      this.#keep(key, row.hold);
      if (row.hold.openedMs === nowMs) opened++;
    }
    this.#changed.clear();
    return opened;
  }

  /** Writes holds of another store. */
  load(rows: readonly HoldRow[]): void {
    for (const row of rows) this.#write(row);
    this.forget();
  }

  /** See `Records.hold`. */
  live(space: string, name: string, nowMs: number): Hold | null {
    const hold = this.#read(space, name);
    return hold === undefined || rememberedMs(hold) <= nowMs ? null : hold;
  }

  /** See `Records.openHolds`. */
  open(space: string, { after, limit }: HoldPage, nowMs: number): HoldRow[] {
    const [openedMs, name] = after === null ? [-1, ""] : [after.openedMs, after.name];
    const keptMs = rememberedMs({ settledMs: 0, expiresMs: nowMs });
    return this.#selectOpen.all(space, openedMs, name, keptMs, limit).map(rowOf);
  }

  /** Holds that are still remembered, by id, at most `most`; `key` is the id. */
  after(id: string, nowMs: number, most: number): (HoldRow & { readonly key: string })[] {
    const rows = this.#selectAll.all(Number(id), nowMs, most);
    return rows.map((row) => ({ ...rowOf(row), key: String(row["id"]) }));
  }

  /** Clears the memory, as others may have changed the file. */
  forget(): void {
    this.#kept.clear();
    this.#changed.clear();
  }

  #keep(key: string, hold: Hold): void {
    if (hold.status === "open") this.#kept.keep(key, hold);
    else this.#kept.drop(key);
  }

  #read(space: string, name: string): Hold | undefined {
    const row = this.#select.get(space, name);
    return row === undefined ? undefined : readHold(String(row["record"]));
  }

  #write({ space, name, hold }: HoldRow): void {
    const isOpen = hold.status === "open" ? 1 : 0;
    this.#upsert.run(space, name, hold.openedMs, rememberedMs(hold), isOpen, holdText(hold));
  }
}

function rowOf({ space, name, record }: SqliteRow): HoldRow {
  return { space: String(space), name: String(name), hold: readHold(String(record)) };
}
