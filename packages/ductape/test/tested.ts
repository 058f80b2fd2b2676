// The stores that one test runs on, each with places of its own.
import { join } from "node:path";
import { openSqlite } from "../src/stores/sqlite/driver.js";
import { POSTGRES_BIN, startPostgres } from "./postgres.js";
import { hasRedis, startCluster, startRedis } from "./redis.js";
import { temporaryFolder } from "./support.js";

/** A store to test. */
export interface TestedStore {
  readonly name: string;
  /** Shared by several processes, and kept when they end. */
  readonly isShared: boolean;
  /** Decides by the clock of a server, not by that of each process. */
  readonly hasClock: boolean;
  /** The URL of a place that is empty at the first call with this name, an identifier. */
  url(name: string): string;
  /** Rows of a table of that place; NaN if there are no tables. */
  rows(name: string, table: string): Promise<number>;
}

/** What is tested, and how to end what was started for it. */
export interface TestedStores {
  readonly stores: readonly TestedStore[];
  stop(): Promise<void>;
}

const served = { isShared: true, hasClock: true } as const;

/** Starts what the stores need. What cannot run here is printed as `SKIPPED`. */
export async function testedStores({ redis = true } = {}): Promise<TestedStores> {
  const folder = temporaryFolder();
  const stores: TestedStore[] = [
    {
      name: "memory",
      isShared: false,
      hasClock: false,
      url: () => "memory:",
      rows: () => Promise.resolve(Number.NaN),
    },
    {
      name: "sqlite",
      isShared: true,
      hasClock: false,
      url: (name) => `sqlite:${join(folder.path, name)}.db`,
      rows: (name, table) => sqliteRows(`${join(folder.path, name)}.db`, table),
    },
  ];
  const ends = [() => Promise.resolve(folder.remove())];
  if (POSTGRES_BIN !== null) {
    const server = await startPostgres(["fsync = off"]);
    ends.push(() => server.stop());
    const url = (name: string) => `${server.url()}?schema=${name}`;
    const rows = async (name: string, table: string): Promise<number> => {
      const { rows: counts } = await server.run(`SELECT count(*) AS n FROM ${name}.${table}`);
      return Number(counts[0]?.["n"]);
    };
    stores.push({ name: "postgres", ...served, url, rows });
  }
  if (redis && hasRedis("what is tested on every store")) {
    const server = await startRedis();
    ends.push(() => server.remove());
    const cluster = await startCluster();
    ends.push(() => cluster.remove());
    const rows = () => Promise.resolve(Number.NaN);
    const urlOn = (base: string) => (prefix: string) => `${base}?prefix=${prefix}`;
    stores.push({ name: "redis", ...served, url: urlOn(server.url), rows });
    stores.push({ name: "a redis cluster", ...served, url: urlOn(cluster.url), rows });
  }
  return {
    stores,
    async stop() {
      await Promise.all(ends.map((end) => end()));
    },
  };
}

async function sqliteRows(path: string, table: string): Promise<number> {
  const db = await openSqlite(path);
  try {
    return Number(db.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.["n"]);
  } finally {
    db.close();
  }
}
