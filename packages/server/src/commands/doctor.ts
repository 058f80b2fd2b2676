import type { Command } from "commander";
import { DuctapeError, EmbeddedDuctape, RemoteDuctape, type StoreFact } from "ductape";
import { printLine, printTable, say, sayFault } from "../print.js";
import { VERSION } from "../version.js";
import { adviceOf } from "./advice.js";
import { isOnServer, withClientFlags, type ClientFlags, type PrintFlags } from "./client.js";

const NODE_MIN = [20, 19] as const;

type DoctorFlags = ClientFlags & PrintFlags;

/** `ductape doctor`: what it checks, and what to do. Exits with 1 if there is advice. */
export function addDoctor(command: Command): void {
  command.description(
    "check Node, the store, its schema, its clock and what survives a crash, and say what to do",
  );
  withClientFlags(command).action((flags: DoctorFlags) => examine(flags));
}

async function examine(flags: DoctorFlags): Promise<void> {
  const facts: StoreFact[] = [
    { name: "ductape", value: VERSION, advice: null },
    nodeFact(process.versions.node),
  ];
  let fault: DuctapeError | null = null;
  try {
    facts.push(...(isOnServer(flags) ? await serverFacts(flags) : await storeFacts(flags)));
  } catch (error) {
    if (!DuctapeError.is(error)) throw error;
    fault = error;
    const name = isOnServer(flags) ? "server" : "store";
    facts.push({ name, value: error.code, advice: adviceOf(error) });
  }
  if (flags.json === true) {
    const shown = fault === null ? null : { code: fault.code, message: fault.message };
    printLine(JSON.stringify({ facts, fault: shown }));
  } else {
    printTable(
      ["CHECK", "FOUND", "DO"],
      facts.map(({ name, value, advice }) => [name, value, advice ?? "ok"]),
    );
  }
  const isAdvised = facts.some(({ advice }) => advice !== null);
  if (fault !== null) process.exitCode = sayFault(fault);
  else if (isAdvised) process.exitCode = 1;
  else if (flags.json !== true) say("all is well");
}

/** The fact about the running Node, with a version such as `20.19.0`. */
export function nodeFact(version: string): StoreFact {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const isOld = major < NODE_MIN[0] || (major === NODE_MIN[0] && minor < NODE_MIN[1]);
  const advice = isOld ? `update Node to ${NODE_MIN.join(".")} or newer` : null;
  return { name: "node", value: version, advice };
}

async function storeFacts({ store }: ClientFlags): Promise<StoreFact[]> {
  // The facts include what the store would warn about.
  await using ductape = new EmbeddedDuctape({ store, logger: { warn: () => undefined } });
  await ductape.probe();
  const { name, durable, shared } = ductape.guarantees;
  // The store's facts say whether counts survive a crash of the store itself.
  const kept = durable ? "counts outlive a process" : "counts end with their process";
  return [
    { name: "store", value: `${name}, just read and written`, advice: null },
    { name: "guarantees", value: `${kept}; shared by one ${shared}`, advice: null },
    ...(await ductape.facts()),
  ];
}

async function serverFacts({ url, apiKey }: ClientFlags): Promise<StoreFact[]> {
  await using ductape = new RemoteDuctape({ url, apiKey });
  await ductape.probe();
  const where = url ?? process.env["DUCTAPE_URL"] ?? "";
  return [{ name: "server", value: `${where}, ready: its store was just read`, advice: null }];
}
