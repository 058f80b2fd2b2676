import type { StoreFact } from "./store.js";

/** A clock may be this far off before it is worth a word, in milliseconds. */
const OFFSET_MS_MAX = 1_000;

/** A fact about which there is nothing to say, or something where `advice` is given. */
export function fact(name: string, value: string, advice: string | null = null): StoreFact {
  return { name, value, advice };
}

/**
 * How far a server's clock is from this machine's; it told `serverMs` at some time between the two
 * instants, all in epoch milliseconds.
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
  return fact(name, value, isFar ? "windows go by the server's clock: set both by NTP" : null);
}
