import { Ductape, EmbeddedDuctape, type OutagePolicy } from "ductape";
import { Command, Option } from "commander";

/** The flags that say where a command works. */
export interface ClientFlags {
  readonly store?: string | undefined;
  readonly url?: string | undefined;
  readonly apiKey?: string | undefined;
}

/** The flags that say how a command prints. */
export interface PrintFlags {
  readonly json?: boolean | undefined;
}

/** The flag of the store for a command that works only on a store. */
export function storeOption(): Option {
  return storeFlag().env("DUCTAPE_STORE");
}

function storeFlag(): Option {
  const description = 'memory:, sqlite:path, ... (default "sqlite:.ductape/ductape.db")';
  return new Option("--store <url>", description);
}

/** The flag for data for programs: one line of JSON on standard output, in a stable form. */
export function jsonOption(): Option {
  return new Option("--json", "print JSON");
}

/** Adds the flags that say where a command works; their variables are the library's. */
export function withClientFlags(command: Command): Command {
  return command
    .addOption(storeFlag().conflicts("url"))
    .option("--url <url>", "a server, instead of a store (or DUCTAPE_URL)")
    .option(
      "--api-key <key>",
      "a key of the server (better in DUCTAPE_API_KEY, which process lists do not show)",
    )
    .addOption(jsonOption());
}

/** Adds the flag that names a product. */
export function withProductFlag(command: Command): Command {
  return command.requiredOption("--product <tag>", "tag of a product");
}

/** Adds the flags that name an environment of a product. */
export function withPlaceFlags(command: Command): Command {
  return withProductFlag(command).requiredOption("--env <slug>", "slug of an environment");
}

/** Adds the flag that confirms in advance what cannot be undone. */
export function withYesFlag(command: Command): Command {
  return command.option("--yes", "do not ask; required without a terminal");
}

/** True if flags or variables name a server. */
export function isOnServer({ store, url, apiKey }: ClientFlags): boolean {
  if (url !== undefined || apiKey !== undefined) return true;
  return store === undefined && (process.env["DUCTAPE_URL"] ?? "") !== "";
}

/**
 * Does work with a client and then closes it; `DUCTAPE_ON_STORE_ERROR` may set any policy. Throws
 * what the work throws.
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

/** Like {@link withClient}, for work that needs a store of its own. */
export async function withStore<T>(
  store: string | undefined,
  work: (ductape: EmbeddedDuctape) => Promise<T>,
): Promise<T> {
  await using ductape = new EmbeddedDuctape({ store });
  return await work(ductape);
}
