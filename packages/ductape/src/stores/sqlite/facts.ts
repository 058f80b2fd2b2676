import type { StoreFact } from "../store.js";
import { fact } from "../facts.js";
import { FILE_SCHEMA, type Sqlite } from "./driver.js";
import { schemaVersion } from "./schema.js";

const SYNCHRONOUS = ["OFF", "NORMAL", "FULL", "EXTRA"];

/** The facts about an open file. */
export function sqliteFacts(db: Sqlite, path: string): StoreFact[] {
  const one = (sql: string): unknown => Object.values(db.prepare(sql).get() ?? {})[0];
  const synchronous = SYNCHRONOUS[Number(one(`PRAGMA ${FILE_SCHEMA}.synchronous`))] ?? "?";
  return [
    fact("file", path),
    fact("sqlite", String(one("SELECT sqlite_version()"))),
    fact("schema", `version ${schemaVersion(db, path)}`),
    fact("journal_mode", String(one(`PRAGMA ${FILE_SCHEMA}.journal_mode`))),
    fact("synchronous", `${synchronous}: acknowledged changes survive a power loss`),
  ];
}
