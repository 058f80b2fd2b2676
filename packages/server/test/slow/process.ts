// A server as a process of its own, which can be killed and started again at the same address.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { PROGRAM } from "../../../ductape/test/built.js";
import { environment, ROOT } from "../command.js";
import { ROOT_KEY } from "../support.js";

/** A server that is killed as a machine kills it. */
export class ServerProcess {
  readonly port: number;
  readonly url: string;
  readonly #args: readonly string[];
  #child: ChildProcess | null = null;

  private constructor(port: number, store: string, node: readonly string[]) {
    this.port = port;
    this.url = `http://127.0.0.1:${port}`;
    const serve = [PROGRAM, "serve", "--store", store, "--port", String(port)];
    this.#args = [...node, ...serve];
  }

  /** Starts one on a free port, with options of Node; `ROOT_KEY` may do all. */
  static async start(store: string, node: readonly string[] = []): Promise<ServerProcess> {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const address = taken.address();
    if (address === null || typeof address === "string") throw new Error("there is no port");
    taken.close();
    await once(taken, "close");
    const server = new ServerProcess(address.port, store, node);
    await server.restart();
    return server;
  }

  /** Resolves when it listens; throws if it ends before. */
  async restart(): Promise<void> {
    const env = environment({ DUCTAPE_ROOT_KEY: ROOT_KEY, DUCTAPE_AUDIT_LOG: "off" });
    const child = spawn(process.execPath, this.#args, {
      cwd: ROOT,
      env,
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#child = child;
    let said = "";
    await new Promise<void>((resolve, reject) => {
      child.stderr?.on("data", (data: Buffer) => {
        said += data.toString();
        if (said.includes("listening on")) resolve();
      });
      child.once("exit", () => reject(new Error(`the server ended: ${said}`)));
    });
  }

  /** What it takes in memory now, and at most until now. */
  async memory(): Promise<{ heapMb: number; rssMb: number; peakRssMb: number }> {
    const metrics = await (await fetch(`${this.url}/metrics`)).text();
    const heapBytes = /^nodejs_heap_size_used_bytes (\S+)$/m.exec(metrics)?.[1];
    const status = readFileSync(`/proc/${this.#child?.pid}/status`, "utf8");
    const kbOf = (name: string) =>
      Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]);
    return {
      heapMb: Math.round(Number(heapBytes) / 1e6),
      rssMb: Math.round(kbOf("VmRSS") / 1024),
      peakRssMb: Math.round(kbOf("VmHWM") / 1024),
    };
  }

  /** Resolves when it is gone. */
  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.#child;
    if (child === null || child.exitCode !== null) return;
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  }
}
