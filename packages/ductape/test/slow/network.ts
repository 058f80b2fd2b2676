import type { QuotaDefinition } from "ductape";
import { clientWith } from "../support.js";

/** A server that tests disturb. */
export interface Server {
  readonly port: number;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** Starts it again on its old data. Resolves when it answers. */
  restart(): Promise<void>;
  /** SIGSTOP for all its processes, and SIGCONT. */
  pause(): void;
  resume(): void;
  remove(): Promise<void>;
}

/** A store on servers. */
export interface Network {
  readonly name: string;
  start(): Promise<Server>;
  /** The URL of the store of a server, through `port`. */
  url(server: Server, port: number): string;
}

/** Makes product, environment and quotas on the store, and closes the client that did. */
export async function define(store: string, quotas: readonly QuotaDefinition[]): Promise<void> {
  const client = await clientWith(quotas, { store });
  await client.close();
}
