/**
 * A UUID of version 7 (RFC 9562), which sorts by the instant it was made, so that a store writes
 * ids made together into the same pages. Takes a random UUID of version 4 and epoch milliseconds.
 */
export function timedUuid(random: string, atMs: number): string {
  const time = Math.max(0, atMs).toString(16).padStart(TIME_DIGITS, "0").slice(-TIME_DIGITS);
  return `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(15)}`;
}

const TIME_DIGITS = 12;
