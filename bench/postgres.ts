import { startPostgres } from "../packages/ductape/test/postgres.js";
import { compareOn, hotCounter } from "./network.js";

const WIDTHS = [
  { inFlight: 1, ours: 3_000, theirs: 3_000 },
  { inFlight: 10, ours: 4_000, theirs: 4_000 },
  { inFlight: 50, ours: 15_000, theirs: 3_000 },
  { inFlight: 1000, ours: 40_000, theirs: 4_000 },
];

/** `postgres:` beside its peer on a server with its default settings, and one hot counter. */
export async function benchPostgres(): Promise<string[]> {
  const server = await startPostgres(["max_connections = 200"]);
  try {
    const peer = server.url();
    const lines = await compareOn("postgres:", server.freshUrl(), peer, WIDTHS);
    return [...lines, await hotCounter("postgres: one hot counter,", server.freshUrl(), peer)];
  } finally {
    await server.stop();
  }
}
