import type { ListeningClient } from "./listener.js";
import { connectAlone, makePool, type OwnPool, type PostgresPool } from "./pool.js";
import { DEFAULT_CONNECTIONS, type PostgresUrl } from "./url.js";

/** How a store reaches its server. */
export interface PostgresServer {
  /** Its name in messages, without a password. */
  readonly shown: string;
  readonly canListen: boolean;
  /** True if a connection keeps its session on the server, so statements can be prepared. */
  readonly prepares: boolean;
  /** The pool; creates it if it is our own. */
  open(): Promise<PostgresPool>;
  /** A connection only for listening. */
  connectListener(): Promise<ListeningClient>;
  /** Ends what the store has created. */
  close(): Promise<void>;
}

/** A server by its URL, with our own pool. */
export function ownServer(url: PostgresUrl, timeoutMs: number): PostgresServer {
  const { connectionString, connectionsMax, shown, listens: prepares } = url;
  const settings = { connectionString, connectionsMax, timeoutMs, prepares };
  let pool: OwnPool | null = null;
  return {
    shown,
    canListen: true,
    prepares,
    open: async () => (pool ??= await makePool(settings)),
    async connectListener() {
      const client = await connectAlone(connectionString, timeoutMs);
      // An error before or after it is used must not crash the process.
      client.on("error", () => undefined);
      await client.connect();
      return { client, end: () => void client.end().catch(() => undefined) };
    },
    async close() {
      const ended = pool;
      pool = null;
      await ended?.end();
    },
  };
}

/** The pool of a program, which the program ends itself. */
export function sharedServer(pool: PostgresPool): PostgresServer {
  const connectionsMax = pool.options?.max ?? DEFAULT_CONNECTIONS;
  return {
    shown: "postgres (the pool given)",
    canListen: connectionsMax > 1,
    // There may be a pooler behind it.
    prepares: false,
    open: () => Promise.resolve(pool),
    async connectListener() {
      const client = await pool.connect();
      client.on("error", () => undefined);
      // Discarded, because it would keep listening for its next user.
      let isEnded = false;
      const end = (): void => {
        if (!isEnded) client.release(true);
        isEnded = true;
      };
      return { client, end };
    },
    close: () => Promise.resolve(),
  };
}
