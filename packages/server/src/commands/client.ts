import { Ductape, EmbeddedDuctape, type OutagePolicy } from "ductape";
import { Command, Option } from "commander";

/** Where a command works. */
export interface ClientFlags {
  readonly store?: string | undefined;
  readonly url?: string | undefined;
  readonly apiKey?: string | undefined;
}

/** How a command prints. */
export interface PrintFlags {
  readonly json?: boolean | undefined;
}

/** Which store a command works on, that works on a store alone. */
export function storeOption(): Option {
  return storeFlag().env("DUCTAPE_STORE");
}

function storeFlag(): Option {
  const description = 'memory:, sqlite:path, ... (default "sqlite:.ductape/ductape.db")';
  return new Option("--store <url>", description);
}

/** Data for programs: one line of JSON on standard output, whose form is stable. */
export function jsonOption(): Option {
  return new Option("--json", "print JSON");
}

/** Adds the flags that tell a command where it works; their variables are the library's own. */
export function withClientFlags(command: Command): Command {
  return command
    .addOption(storeFlag().conflicts("url"))
    .option("--url <url>", "a server, in place of a store (or DUCTAPE_URL)")
    .option("--api-key <key>", "a key of the server (better DUCTAPE_API_KEY, which no list shows)")
    .addOption(jsonOption());
}

/** Adds the flag that tells a product. */
export function withProductFlag(command: Command): Command {
  return command.requiredOption("--product <tag>", "tag of a product");
}

/** Adds the flags that tell the environment of a product. */
export function withPlaceFlags(command: Command): Command {
  return withProductFlag(command).requiredOption("--env <slug>", "slug of an environment");
}

/** Adds the flag that answers the question before what cannot be undone. */
export function withYesFlag(command: Command): Command {
  return command.option("--yes", "do not ask; required where there is no terminal");
}

/** True where flags or variables name a server. */
export function isOnServer({ store, url, apiKey }: ClientFlags): boolean {
  if (url !== undefined || apiKey !== undefined) return true;
  return store === undefined && (process.env["DUCTAPE_URL"] ?? "") !== "";
}

/**
 * Does work with a client that is closed after it; `DUCTAPE_ON_STORE_ERROR` may give it any policy.
 * Throws what the work throws.
 */
export async function withClient<T>(
  { store, url, apiKey }: ClientFlags,
  work: (ductape: Ductape<OutagePolicy>) => Promise<T>,
): Promise<T> {
  await using ductape = new Ductape<OutagePolicy>(
    isOnServer({ store, url, apiKey }) ? { url, apiKey } : { store },
  );
  return await work(ductape);
}

/** As {@link withClient}, for work that is done on a store alone. */
export async function withStore<T>(
  store: string | undefined,
  work: (ductape: EmbeddedDuctape) => Promise<T>,
): Promise<T> {
  await using ductape = new EmbeddedDuctape({ store });
  return await work(ductape);
}
