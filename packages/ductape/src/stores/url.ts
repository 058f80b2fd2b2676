import { resolve } from "node:path";
import { show, ValidationError } from "../base/errors.js";
import type { Store, StoreContext } from "./store.js";
import { MEMORY_MB_MAX, MemoryStore } from "./memory/memory.js";
import { openPostgres } from "./postgres/postgres.js";
import { RedisStore } from "./redis/redis.js";
import { isRedisUrl, settingsOfUrl } from "./redis/settings.js";
import { SQLITE_DRIVERS, type SqliteDriver } from "./sqlite/driver.js";
import { SqliteStore } from "./sqlite/sqlite.js";

/**
 * The store of a URL: `memory:` with an optional `?max_mb=512`, `sqlite:path` with an optional
 * `?driver=node:sqlite` or `?driver=@photostructure/sqlite`,
 * `postgres://user:password@host:port/database`, or `redis://` and similar. Opens nothing yet.
 * Throws `VALIDATION`, which names `option`, the option or variable that the URL comes from.
 */
export function openStore(url: string, context: StoreContext, option = "options.store"): Store {
  if (/^postgres(ql)?:/.test(url)) return openPostgres(url, context, option);
  if (isRedisUrl(url)) return new RedisStore(settingsOfUrl(url, option), context);
  const { clock = Date.now, timeoutMs } = context;
  const invalid = (message: string) => new ValidationError([{ path: option, message }]);
  if (url === "memory:") return new MemoryStore(clock);
  if (url.startsWith("memory:?")) {
    const query = url.slice("memory:?".length);
    const maxMb = maxMbOf(query);
    if (maxMb !== null) return new MemoryStore(clock, maxMb);
    throw invalid(
      `expects an integer from 1 to ${MEMORY_MB_MAX} after "memory:?max_mb=", got ${show(query)}`,
    );
  }
  if (!url.startsWith("sqlite:")) {
    throw invalid(
      `expects "memory:", "sqlite:path/to/file.db", "postgres://..." or "redis://...", ` +
        `got ${shownUrl(url)}`,
    );
  }
  const query = url.indexOf("?");
  const path = url.slice("sqlite:".length, query === -1 ? undefined : query);
  if (path === "" || path === ":memory:") {
    throw invalid(`expects a file after "sqlite:", got ${show(url)}; "memory:" keeps no file`);
  }
  if (path.includes("\0")) throw invalid("must not contain the character NUL");
  const driver = query === -1 ? undefined : driverOf(url.slice(query + 1));
  if (driver === null) {
    const wanted = SQLITE_DRIVERS.map((name) => `"driver=${name}"`).join(" or ");
    throw invalid(`expects ${wanted} after "?", got ${show(url.slice(query + 1))}`);
  }
  return new SqliteStore({ path: resolve(path), clock, timeoutMs, driver });
}

/** Null if it has none or an invalid one. */
function maxMbOf(query: string): number | null {
  const maxMb = Number(/^max_mb=(\d+)$/.exec(query)?.[1]);
  return maxMb >= 1 && maxMb <= MEMORY_MB_MAX ? maxMb : null;
}

/** Null if it names none. */
function driverOf(query: string): SqliteDriver | null {
  const value = query.startsWith("driver=") ? query.slice("driver=".length) : null;
  return SQLITE_DRIVERS.find((name) => name === value) ?? null;
}

/** Only the scheme of a text that looks like an address, because it may contain a password. */
function shownUrl(url: string): string {
  const scheme = /^[\w+.-]+:(?=.)/.exec(url)?.[0];
  return scheme === undefined ? show(url) : show(`${scheme}...`);
}
