import type { ResultWindow } from "ductape";
import { wrong, type Row } from "./rows.js";

/** How many requests, and their bytes. */
export interface Count {
  requests: number;
  bytes: number;
}

/** What was asked, and what of it was refused. */
export interface Asked {
  readonly asked: Count;
  readonly refused: Count;
}

/** Adds up what was asked and refused: in all, for each client, and for each window. */
export class Tally implements Asked {
  readonly asked = noCount();
  readonly refused = noCount();
  readonly clients = new Map<string, Asked>();
  clientsRefused = 0;
  /** Refusals by the start of their window. */
  readonly windows = new Map<string, ResultWindow & Count>();
  first: Row | null = null;
  last: Row | null = null;
  firstRefused: Row | null = null;
  lastRefused: Row | null = null;

  /** `refusedIn` is the window that refused the row, null if it was admitted. */
  add(row: Row, refusedIn: ResultWindow | null): void {
    const client = this.#clientOf(row.client);
    this.first ??= row;
    this.last = row;
    increase(this.asked, row);
    if (!Number.isSafeInteger(this.asked.bytes)) {
      throw wrong(row.line, "bytes", `take their sum past ${Number.MAX_SAFE_INTEGER}`);
    }
    increase(client.asked, row);
    if (refusedIn === null) return;
    if (client.refused.requests === 0) this.clientsRefused++;
    this.firstRefused ??= row;
    this.lastRefused = row;
    increase(this.refused, row);
    increase(client.refused, row);
    increase(this.#windowOf(refusedIn), row);
  }

  #clientOf(name: string): Asked {
    const known = this.clients.get(name);
    if (known !== undefined) return known;
    const client = { asked: noCount(), refused: noCount() };
    this.clients.set(name, client);
    return client;
  }

  #windowOf({ start, end }: ResultWindow): Count {
    const known = this.windows.get(start);
    if (known !== undefined) return known;
    const window = { start, end, ...noCount() };
    this.windows.set(start, window);
    return window;
  }
}

const noCount = (): Count => ({ requests: 0, bytes: 0 });

function increase(count: Count, { bytes }: Row): void {
  count.requests++;
  count.bytes += bytes;
}
