import type { ListeningClient } from "./listener.js";
import { connectAlone, makePool, type OwnPool, type PostgresPool } from "./pool.js";
import { DEFAULT_CONNECTIONS, type PostgresUrl } from "./url.js";

/** How a store reaches its server. */
export interface PostgresServer {
  /** Names it in messages, without a password. */
  readonly shown: string;
  readonly canListen: boolean;
  /** A connection stays with its session of the server, so plans can be kept there. */
  readonly prepares: boolean;
  /** The pool; makes it where it is ours. */
  open(): Promise<PostgresPool>;
  /** A connection that only listens. */
  connectListener(): Promise<ListeningClient>;
  /** Ends what is ours. */
  close(): Promise<void>;
}

/** A server by its URL, with a pool of its own. */
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
      // Whatever happens before or after it is used must not end the process.
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

/** The pool of a program, which ends it itself. */
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
      // Thrown away, as it would go on listening for whoever gets it next.
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
