// A server as a process of its own, which can be killed and started again at the same address.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { join } from "node:path";
import { environment, ROOT } from "../command.js";
import { ROOT_KEY } from "../support.js";

const MAIN = join(ROOT, "packages/server/src/main.ts");

/** A server that is killed as a machine kills it. */
export class ServerProcess {
  readonly port: number;
  readonly url: string;
  readonly #args: readonly string[];
  #child: ChildProcess | null = null;

  private constructor(port: number, store: string) {
    this.port = port;
    this.url = `http://127.0.0.1:${port}`;
    this.#args = ["--import", "tsx", MAIN, "serve", "--store", store, "--port", String(port)];
  }

  /** Starts one on a free port; `ROOT_KEY` may do all. */
  static async start(store: string): Promise<ServerProcess> {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const address = taken.address();
    if (address === null || typeof address === "string") throw new Error("there is no port");
    taken.close();
    await once(taken, "close");
    const server = new ServerProcess(address.port, store);
    await server.restart();
    return server;
  }

  /** Resolves when it listens; throws where it ends before. */
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

  /** Resolves when it is gone. */
  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.#child;
    if (child === null || child.exitCode !== null) return;
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  }
}
