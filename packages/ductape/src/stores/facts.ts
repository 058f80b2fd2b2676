import type { StoreFact } from "./store.js";

/** How far off a clock may be, in milliseconds, before advice is given. */
const OFFSET_MS_MAX = 1_000;

/** A fact, with `advice` if something is wrong. */
export function fact(name: string, value: string, advice: string | null = null): StoreFact {
  return { name, value, advice };
}

/**
 * How far a server's clock is from this machine's: the server read `serverMs` at some time between
 * the two instants, all in epoch milliseconds.
 */
export function clockFact(
  name: string,
  serverMs: number,
  sentMs: number,
  answeredMs: number,
): StoreFact {
  const offsetMs = Math.round(serverMs - (sentMs + answeredMs) / 2);
  const value = `${offsetMs >= 0 ? "+" : ""}${offsetMs} ms from this machine's`;
  const isFar = Math.abs(offsetMs) > OFFSET_MS_MAX + (answeredMs - sentMs) / 2;
  return fact(
    name,
    value,
    isFar ? "windows follow the server's clock: synchronize both by NTP" : null,
  );
}
