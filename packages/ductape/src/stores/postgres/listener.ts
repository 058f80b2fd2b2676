import type { PostgresClient } from "./pool.js";

/** A listening connection and how to close it. */
export interface ListeningClient {
  readonly client: Pick<PostgresClient, "query" | "on">;
  /** Closes it. Never throws. */
  end(): void;
}

const RETRY_MS_MIN = 100;
const RETRY_MS_MAX = 5_000;

/** What a {@link Listener} depends on. */
interface ListenerParts {
  readonly channel: string;
  /** Opens a new connection, or throws. */
  connect(): Promise<ListeningClient>;
  /** Called for the first fault of an outage. */
  lost(error: unknown): void;
}

/**
 * Listens on a channel with its own connection, and reconnects when that is lost. It may miss
 * notifications in between, so its users must also poll from time to time.
 */
export class Listener {
  readonly #parts: ListenerParts;
  readonly #followers = new Set<() => void>();
  #current: ListeningClient | null = null;
  #timer: NodeJS.Timeout | undefined;
  #retryMs = RETRY_MS_MIN;
  #isStopped = true;

  constructor(parts: ListenerParts) {
    this.#parts = parts;
  }

  /**
   * Calls `changed` at each notification and after each connection. Returns a function that stops
   * this.
   */
  watch(changed: () => void): () => void {
    // A new function for each, because the same one may be given twice.
    const follower = (): void => changed();
    this.#followers.add(follower);
    if (this.#isStopped) {
      this.#isStopped = false;
      void this.#connect();
    }
    return () => {
      this.#followers.delete(follower);
      if (this.#followers.size === 0) this.stop();
    };
  }

  /** Closes the connection, until the next `watch`. */
  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#current?.end();
    this.#current = null;
  }

  async #connect(): Promise<void> {
    let opened: ListeningClient | null = null;
    try {
      opened = await this.#parts.connect();
      await this.#listen(opened);
    } catch (error) {
      opened?.end();
      this.#lose(opened, error);
    }
  }

  async #listen(opened: ListeningClient): Promise<void> {
    if (this.#isStopped || this.#current !== null) return opened.end();
    this.#current = opened;
    const { client } = opened;
    client.on("error", (error) => this.#lose(opened, error));
    client.on("notification", () => this.#tell());
    await client.query({
      text: `LISTEN ${this.#parts.channel}`,
      rowMode: "array",
      types: { getTypeParser: () => (value) => value },
      query_timeout: RETRY_MS_MAX,
    });
    this.#retryMs = RETRY_MS_MIN;
    this.#tell();
  }

  #lose(lost: ListeningClient | null, error: unknown): void {
    if (lost !== this.#current) return;
    this.#current?.end();
    this.#current = null;
    if (this.#isStopped) return;
    if (this.#retryMs === RETRY_MS_MIN) this.#parts.lost(error);
    this.#timer = setTimeout(() => void this.#connect(), this.#retryMs).unref();
    this.#retryMs = Math.min(RETRY_MS_MAX, this.#retryMs * 2);
  }

  #tell(): void {
    for (const follower of this.#followers) follower();
  }
}
