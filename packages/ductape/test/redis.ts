// Redis servers for tests, each in a folder of its own, on a free port.
import { execFile, spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { promisify } from "node:util";
import { Redis } from "ioredis";
import { freePort } from "./ports.js";
import { temporaryFolder, until } from "./support.js";

/** A server that a test starts, stops and kills. */
export interface RedisServer {
  readonly port: number;
  readonly url: string;
  /** The process, to pause it. */
  readonly pid: () => number;
  /** A plain connection, closed with the server's removal. */
  admin(): Redis;
  /** SIGKILL, as where the machine dies; the folder stays. */
  kill(): Promise<void>;
  /** Starts it again on the same folder and port. */
  restart(): Promise<void>;
  /** Ends it and deletes its folder. */
  remove(): Promise<void>;
}

/** Whether there is a redis-server here; where not, says loudly what is left out. */
export function hasRedis(what: string): boolean {
  if (spawnSync("redis-server", ["--version"]).status === 0) return true;
  if (process.env["REQUIRE_STORES"] === "all") throw new Error("redis-server is not on the PATH");
  console.warn(`SKIPPED: ${what}, as redis-server is not on the PATH`);
  return false;
}

/** Options such as `{ appendonly: "yes" }`. */
export type RedisConfig = Readonly<Record<string, string>>;

/** Starts a server; `given` may depend on its port. */
export async function startRedis(
  given: RedisConfig | ((port: number) => Promise<RedisConfig>) = {},
): Promise<RedisServer> {
  const folder = temporaryFolder();
  const port = await freePort();
  const config = typeof given === "function" ? await given(port) : given;
  const admins: Redis[] = [];
  let child = await launch(port, folder.path, config);
  const server: RedisServer = {
    port,
    url: `redis://127.0.0.1:${port}`,
    pid: () => child.pid ?? 0,
    admin: () => {
      const admin = new Redis(port, { lazyConnect: true });
      admin.on("error", () => undefined);
      admins.push(admin);
      return admin;
    },
    kill: () => end(child),
    restart: async () => {
      child = await launch(port, folder.path, config);
    },
    remove: async () => {
      for (const admin of admins) admin.disconnect();
      await end(child);
      folder.remove();
    },
  };
  return server;
}

/** A cluster of three masters, each with `replicas` replicas. */
export async function startCluster(
  config: RedisConfig | ((port: number) => Promise<RedisConfig>) = {},
  replicas = 0,
): Promise<{ servers: RedisServer[]; url: string; remove: () => Promise<void> }> {
  const servers: RedisServer[] = [];
  const remove = async () => void (await Promise.all(servers.map((each) => each.remove())));
  try {
    for (let i = 0; i < 3 * (1 + replicas); i++) {
      const configOf = async (port: number) => ({
        "cluster-enabled": "yes",
        "cluster-node-timeout": "1000",
        ...(typeof config === "function" ? await config(port) : config),
      });
      servers.push(await startRedis(configOf));
    }
    const hosts = servers.map(({ port }) => `127.0.0.1:${port}`);
    const args = ["--cluster", "create", ...hosts, "--cluster-replicas", `${replicas}`];
    // Not spawnSync: servers may be behind proxies of this process.
    await promisify(execFile)("redis-cli", [...args, "--cluster-yes"]);
    await Promise.all(servers.map((server) => clusterReady(server)));
    return { servers, url: `redis://${hosts.join(",")}`, remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

async function clusterReady(server: RedisServer): Promise<void> {
  const admin = server.admin();
  await until(async () => String(await admin.cluster("INFO")).includes("cluster_state:ok"));
}

async function launch(port: number, folder: string, config: RedisConfig) {
  const options = {
    port: String(port),
    bind: "127.0.0.1",
    dir: folder,
    save: "3600 1",
    "repl-diskless-sync-delay": "0",
    "cluster-config-file": `${folder}/nodes.conf`,
    ...config,
  };
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
  const child = spawn("redis-server", args, { stdio: "ignore" });
  // A test run that is killed must leave no server behind.
  const endWithUs = () => child.kill("SIGKILL");
  process.once("exit", endWithUs);
  child.once("exit", () => process.off("exit", endWithUs));
  await until(() => child.exitCode !== null || answers(port, config["requirepass"]));
  if (child.exitCode !== null) throw new Error(`redis-server ended at once: ${args.join(" ")}`);
  return child;
}

async function answers(port: number, password = ""): Promise<boolean> {
  const probe = new Redis(port, { lazyConnect: true, retryStrategy: () => null, password });
  probe.on("error", () => undefined);
  try {
    await probe.connect();
    return (await probe.ping()) === "PONG";
  } catch {
    return false;
  } finally {
    probe.disconnect();
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGCONT");
  child.kill("SIGKILL");
  await exited;
}
