import { resolve } from "node:path";
import { show, ValidationError } from "../errors.js";
import type { Clock, Store } from "../store.js";
import { MemoryStore } from "./memory.js";
import type { SqliteDriver } from "./sqlite-driver.js";
import { SqliteStore } from "./sqlite.js";

/** What a store made from a URL shares with the rest. */
export interface StoreContext {
  readonly clock: Clock;
  readonly timeoutMs: number;
}

/**
 * The store of a URL: `memory:`, or `sqlite:path` with an optional `?driver=node:sqlite` or
 * `?driver=better-sqlite3`. Nothing is opened yet. Throws `VALIDATION`.
 */
export function openStore(url: string, { clock, timeoutMs }: StoreContext): Store {
  if (url === "memory:") return new MemoryStore(clock);
  if (!url.startsWith("sqlite:")) {
    throw invalid(`wants "memory:" or "sqlite:path/to/file.db", got ${show(url)}`);
  }
  const [path = "", query = ""] = url.slice("sqlite:".length).split("?");
  if (path === "" || path === ":memory:") {
    throw invalid(`wants a file after "sqlite:", got ${show(url)}; "memory:" keeps no file`);
  }
  return new SqliteStore({ path: resolve(path), clock, timeoutMs, driver: driverOf(query) });
}

function driverOf(query: string): SqliteDriver | undefined {
  if (query === "") return undefined;
  const value = query.startsWith("driver=") ? query.slice("driver=".length) : null;
  if (value === "node:sqlite" || value === "better-sqlite3") return value;
  throw invalid(
    `wants "driver=node:sqlite" or "driver=better-sqlite3" after "?", got ${show(query)}`,
  );
}

function invalid(message: string): ValidationError {
  return new ValidationError([{ path: "options.store", message }]);
}
