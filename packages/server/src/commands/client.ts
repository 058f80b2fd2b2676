import { EmbeddedDuctape } from "ductape";
import { Command, Option } from "commander";

/** Where a command works. */
export interface ClientFlags {
  readonly store?: string | undefined;
}

/** How a command prints. */
export interface PrintFlags {
  readonly json?: boolean | undefined;
}

/** Which store a command works on. */
export function storeOption(): Option {
  return new Option(
    "--store <url>",
    'memory:, sqlite:path, ... (default "sqlite:.ductape/ductape.db")',
  ).env("DUCTAPE_STORE");
}

/** Data for programs: one line of JSON on standard output, whose form is stable. */
export function jsonOption(): Option {
  return new Option("--json", "print JSON");
}

/** Adds the flags that tell a command where it works. */
export function withClientFlags(command: Command): Command {
  return command.addOption(storeOption());
}

/** Does work with a client that is closed after it. Throws what the work throws. */
export async function withClient<T>(
  { store }: ClientFlags,
  work: (ductape: EmbeddedDuctape) => Promise<T>,
): Promise<T> {
  const ductape = new EmbeddedDuctape({ store });
  try {
    return await work(ductape);
  } finally {
    await ductape.close();
  }
}
