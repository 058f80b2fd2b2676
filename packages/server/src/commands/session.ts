import type { Command } from "commander";
import { ValidationError, type SessionData } from "ductape";
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

/** `ductape session start|inspect`, beside those of definitions. */
export function sessionActions(command: Command): Command {
  const part = (name: string, description: string): Command =>
    withPlaceFlags(
      command.command(name).argument("<tag>", "tag of a session").description(description),
    );
  const start = part("start", "start a session for a user and print its tokens");
  start.requiredOption("--data <json>", "the data of the session, matching its sample");
  withClientFlags(start).action((tag: string, flags: StartFlags) => run(tag, flags));
  const look = part("inspect", "print the data of a session, by its token");
  look.requiredOption("--token <token>", "an access token");
  withClientFlags(look).action((tag: string, flags: InspectFlags) => inspect(tag, flags));
  return command;
}

async function run(tag: string, flags: StartFlags): Promise<void> {
  const { product, env, json } = flags;
  const input = { product, env, tag, data: dataOf(flags.data) };
  const started = await withClient(flags, ({ processor }) => processor.sessions.start(input));
  const told = startedWire(started);
  if (json === true) return printLine(JSON.stringify({ ...told, ...started }));
  printTable(["NAME", "VALUE"], Object.entries(told));
}

async function inspect(tag: string, flags: InspectFlags): Promise<void> {
  const { product, env, token, json } = flags;
  const input = { product, env, tag, token };
  const data = await withClient(flags, ({ processor }) => processor.sessions.decrypt(input));
  printLines(json === true ? JSON.stringify(data) : JSON.stringify(data, null, 2));
}

function dataOf(text: string): SessionData {
  try {
    return JSON.parse(text);
  } catch (error) {
    const message = `expects JSON such as '{"userId":"ada"}'`;
    throw new ValidationError([{ path: "--data", message }], { cause: error });
  }
}
