// A PostgreSQL server of the tests' own, in a temporary folder and on a free port.
import { once } from "node:events";
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { chownSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { Client, type QueryResult } from "pg";
import type { StorePlace } from "ductape/testing";
import { freePort } from "./ports.js";
import { temporaryFolder } from "./support.js";

/** The folder of the newest server programs; null: there are none. */
export const POSTGRES_BIN = findBin();
if (POSTGRES_BIN === null) {
  const message = "SKIPPED: all tests of PostgreSQL, as there is no server program";
  if (process.env["REQUIRE_STORES"] === "all") throw new Error(message);
  console.warn(message);
}

function findBin(): string | null {
  const root = process.env["POSTGRES_ROOT"] ?? "/usr/lib/postgresql";
  const versions = existsSync(root) ? readdirSync(root).map(Number) : [];
  const newest = versions.filter((version) => version >= 13).sort((a, b) => b - a)[0];
  return newest === undefined ? null : `${root}/${newest}/bin`;
}

/** PostgreSQL refuses to run as root. */
function owner(): { uid: number; gid: number } | Record<string, never> {
  if (process.getuid?.() !== 0) return {};
  const id = (flag: string) => Number(execFileSync("id", [flag, "postgres"], { encoding: "utf8" }));
  return { uid: id("-u"), gid: id("-g") };
}

const START_MS_MAX = 30_000;

/** A server in a folder of its own. Call `stop` at the end, whatever happens. */
export class TestServer {
  readonly port: number;
  readonly #data: string;
  readonly #removeFolder: () => void;
  #child: ChildProcess | null = null;
  #schemas = 0;

  /** Makes the files, with lines of `postgresql.conf`; starts nothing. */
  constructor(port: number, settings: readonly string[]) {
    const { path, remove } = temporaryFolder();
    const who = owner();
    if ("uid" in who) chownSync(path, who.uid, who.gid);
    this.port = port;
    this.#data = `${path}/data`;
    this.#removeFolder = remove;
    const options = ["-U", "tester", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"];
    const asOwner = { ...who, cwd: path, stdio: "pipe" } as const;
    execFileSync(`${POSTGRES_BIN}/initdb`, ["-D", this.#data, ...options], asOwner);
    const lines = [
      `port = ${port}`,
      "listen_addresses = '127.0.0.1'",
      "unix_socket_directories = ''",
      "max_connections = 60",
      ...settings,
    ];
    writeFileSync(`${this.#data}/postgresql.auto.conf`, `${lines.join("\n")}\n`);
  }

  /** The URL of a database that exists; `user` may hold a password. */
  url(user = "tester", database = "postgres", port = this.port): string {
    return `postgres://${user}@127.0.0.1:${port}/${database}`;
  }

  /** As `url`, with a schema that no other call names, and options such as `&pool=2`. */
  freshUrl(options = ""): string {
    return `${this.url()}?schema=test_${process.pid}_${++this.#schemas}${options}`;
  }

  /** Runs statements as the superuser, on a connection of their own. */
  run(sql: string, values?: unknown[]): Promise<QueryResult> {
    return this.runIn("postgres", sql, values);
  }

  /** As `run`, in another database. */
  async runIn(database: string, sql: string, values?: unknown[]): Promise<QueryResult> {
    const connectionString = this.url("tester", database);
    const client = new Client({ connectionString, connectionTimeoutMillis: 2_000 });
    client.on("error", () => undefined);
    await client.connect();
    try {
      return await client.query(sql, values);
    } finally {
      await client.end();
    }
  }

  /** Puts a line before the others of pg_hba.conf. */
  async allowFirst(line: string): Promise<void> {
    const path = `${this.#data}/pg_hba.conf`;
    writeFileSync(path, `${line}\n${readFileSync(path, "utf8")}`);
    await this.run("SELECT pg_reload_conf()");
  }

  /** Starts it, also again after `kill`. */
  async start(): Promise<void> {
    const deadlineMs = performance.now() + START_MS_MAX;
    let log = "";
    for (;;) {
      if (!this.#isAlive()) {
        const child = spawn(`${POSTGRES_BIN}/postgres`, ["-D", this.#data], {
          ...owner(),
          stdio: "pipe",
        });
        child.stderr.on("data", (text: Buffer) => (log = log.slice(-2_000) + text.toString()));
        this.#child = child;
      }
      try {
        await this.run("SELECT 1");
        return;
      } catch (error) {
        if (performance.now() > deadlineMs) {
          throw new Error(`PostgreSQL does not start: ${log}`, { cause: error });
        }
        // Right after a crash, what is left of the old server may still be there for a moment.
        await delay(20);
      }
    }
  }

  #isAlive(): boolean {
    const child = this.#child;
    return child !== null && child.exitCode === null && child.signalCode === null;
  }

  /** Kills every process of the server as a crash would. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    this.signal("SIGKILL");
    if (this.#isAlive()) await once(child, "exit");
    this.#child = null;
  }

  /** Stops all of it for a while (SIGSTOP), and lets it go on (SIGCONT). */
  signal(signal: NodeJS.Signals): void {
    if (this.#isAlive()) for (const pid of processesOf(this.#child?.pid)) send(pid, signal);
  }

  /** Ends it and removes its files. */
  async stop(): Promise<void> {
    await this.kill();
    this.#removeFolder();
  }
}

/** Starts a server with lines of `postgresql.conf`. */
export async function startPostgres(settings: readonly string[] = []): Promise<TestServer> {
  const server = new TestServer(await freePort(), settings);
  try {
    await server.start();
    return server;
  } catch (error) {
    await server.stop();
    throw error;
  }
}

/** The server and its children, each of which is the leader of a session. */
function processesOf(parent: number | undefined): number[] {
  if (parent === undefined) return [];
  const told = execFileSync(
    "ps",
    ["-o", "pid=", "--ppid", String(parent), "--pid", String(parent)],
    {
      encoding: "utf8",
    },
  );
  return told
    .split("\n")
    .map(Number)
    .filter((pid) => pid > 0);
}

/** A place for the store suite: a schema of its own. */
export function postgresPlace(server: TestServer): StorePlace {
  const url = server.freshUrl();
  return { connect: () => url, remove: () => undefined };
}

/** A process may have ended meanwhile. */
function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}
