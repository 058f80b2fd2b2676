import { InvalidArgumentError, Option, type Command } from "commander";
import { DuctapeError } from "ductape";
import { rootKeyOf } from "../keys.js";
import type { LogTarget } from "../log.js";
import { printLine, say, sayFault } from "../print.js";
import { PORT_DEFAULT } from "../host.js";
import type { RunningServer, ServerOptions } from "../server.js";
import { storeOption } from "./client.js";
import { demoLines } from "./demo.js";

/** The flags of `ductape serve`. */
interface ServeFlags {
  readonly store?: string;
  readonly host: string;
  readonly port: number;
  readonly auth: boolean;
  readonly outgoing: string;
  readonly accessLog: LogTarget;
  readonly auditLog: LogTarget;
  readonly demo?: boolean;
}

/** `ductape serve`: serves HTTP until it is stopped. */
export function addServe(command: Command): void {
  command
    .description("serve a store over HTTP until SIGTERM or SIGINT")
    .addOption(storeOption())
    .addOption(new Option("--host <host>", "address").env("DUCTAPE_HOST").default("127.0.0.1"))
    .addOption(
      new Option("--port <port>", "port; 0: any free port")
        .env("DUCTAPE_PORT")
        .default(PORT_DEFAULT)
        .argParser(portOf),
    )
    .option("--no-auth", "require no key; only on an address of this machine")
    .addOption(outgoingOption())
    .addOption(logOption("access", "off"))
    .addOption(logOption("audit", "-"))
    .option("--demo", "with a product, a session and a key to try")
    .action((flags: ServeFlags) => serve(flags));
}

function outgoingOption(): Option {
  const values = "public, any, or public and ranges such as 10.1.0.0/16";
  return new Option(
    "--outgoing <networks>",
    `networks that URLs in definitions may lead to: ${values}`,
  )
    .env("DUCTAPE_OUTGOING")
    .default("public");
}

function logOption(name: string, otherwise: LogTarget): Option {
  return new Option(`--${name}-log <where>`, "- for standard output, off, or a file to append to")
    .env(`DUCTAPE_${name.toUpperCase()}_LOG`)
    .default(otherwise)
    .argParser(targetOf);
}

function targetOf(text: string): LogTarget {
  return text === "-" || text === "off" ? text : { file: text };
}

function portOf(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= 65_535) return port;
  throw new InvalidArgumentError("expects an integer from 0 to 65535.");
}

async function serve({ store, host, port, auth, outgoing, demo = false, ...logs }: ServeFlags) {
  const options: ServerOptions = {
    store,
    host,
    port,
    asksForKey: auth,
    outgoing,
    rootKey: rootKeyOf(process.env["DUCTAPE_ROOT_KEY"]),
    ...logs,
  };
  const { startServer } = await import("../server.js");
  const server = await startServer(demo ? forDemo(options) : options).catch(toldOfPort(port));
  stopBySignal(server);
  try {
    if (demo) for (const line of await demoLines(server, store)) printLine(line);
    else await greet(server, auth);
  } catch (error) {
    await server.close();
    throw error;
  }
}

/** A demo creates its own key and prints nothing else. */
function forDemo(options: ServerOptions): ServerOptions {
  const auditLog = options.auditLog === "-" ? "off" : options.auditLog;
  return { ...options, auditLog, makesFirstKey: false };
}

async function greet({ url, firstKey }: RunningServer, auth: boolean): Promise<void> {
  say(`listening on ${url}`);
  if (!auth) say("no key is required: whoever reaches this address may do everything");
  const key = await firstKey;
  if (key !== null) say(`the first key, which may do everything and is shown only once: ${key}`);
}

/** The first signal waits for accepted calls to finish; the second does not wait. */
function stopBySignal(server: RunningServer): void {
  let isStopping = false;
  const stop = (signal: NodeJS.Signals): void => {
    if (isStopping) process.exit(signal === "SIGINT" ? 130 : 143);
    isStopping = true;
    server.close().then(
      () => process.exit(0),
      (error: unknown) => process.exit(sayFault(error)),
    );
  };
  process.on("SIGTERM", stop).on("SIGINT", stop);
}

const toldOfPort =
  (port: number) =>
  (error: unknown): never => {
    const code: unknown = error instanceof Error ? Reflect.get(error, "code") : undefined;
    if (code !== "EADDRINUSE") throw error;
    const message = `--port: ${port} is taken by another program; choose one, or 0 for any`;
    throw new DuctapeError("VALIDATION", message, { cause: error });
  };
