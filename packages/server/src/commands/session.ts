import type { Command } from "commander";
import { ValidationError, type SessionData, type SessionInput } from "ductape";
import { startedWire } from "../session-names.js";
import { printLine, printLines, printTable } from "../print.js";
import {
  withClient,
  withClientFlags,
  withPlaceFlags,
  type ClientFlags,
  type PrintFlags,
} from "./client.js";

interface SessionFlags extends ClientFlags, PrintFlags {
  readonly product: string;
  readonly env: string;
}

interface StartFlags extends SessionFlags {
  readonly data: string;
}

interface InspectFlags extends SessionFlags {
  readonly token: string;
}

/** `ductape session start`: starts a session. */
export function addStart(command: Command): void {
  withSession(command, "start a session for a user and print its tokens").requiredOption(
    "--data <json>",
    "the data of the session, matching its sample",
  );
  withClientFlags(command).action((tag: string, flags: StartFlags) => start(tag, flags));
}

/** `ductape session inspect`: shows the data of a session. */
export function addInspect(command: Command): void {
  withSession(command, "print the data of a session, by its token").requiredOption(
    "--token <token>",
    "an access token",
  );
  withClientFlags(command).action((tag: string, flags: InspectFlags) => inspect(tag, flags));
}

function withSession(command: Command, description: string): Command {
  return withPlaceFlags(command.argument("<tag>", "tag of a session").description(description));
}

async function start(tag: string, flags: StartFlags): Promise<void> {
  const { product, env, json } = flags;
  const input = { product, env, tag, data: dataOf(flags.data) };
  const started = await withClient(flags, ({ processor }) => processor.sessions.start(input));
  const wire = startedWire(started);
  if (json === true) return printLine(JSON.stringify({ ...wire, ...started }));
  printTable(["NAME", "VALUE"], Object.entries(wire));
}

async function inspect(tag: string, flags: InspectFlags): Promise<void> {
  const { product, env, token, json } = flags;
  const input = { product, env, tag, token };
  const data = await withClient(flags, ({ processor }) => processor.sessions.decrypt(input));
  printLines(json === true ? JSON.stringify(data) : JSON.stringify(data, null, 2));
}

/** The session of `--session` and `--token`; undefined without both. Throws `VALIDATION`. */
export function sessionOf({
  session: tag,
  token,
}: {
  readonly session?: string | undefined;
  readonly token?: string | undefined;
}): SessionInput | undefined {
  if (tag !== undefined && token !== undefined) return { tag, token };
  if (tag === undefined && token === undefined) return undefined;
  const [given, wanted] = tag === undefined ? ["--token", "--session"] : ["--session", "--token"];
  throw new ValidationError([{ path: given, message: `needs ${wanted} as well` }]);
}

function dataOf(text: string): SessionData {
  try {
    return JSON.parse(text);
  } catch (error) {
    const message = `expects JSON such as '{"userId":"ada"}'`;
    throw new ValidationError([{ path: "--data", message }], { cause: error });
  }
}
