// Ports for the servers that tests start.
import { createServer } from "node:net";
import { randomInt } from "node:crypto";

/**
 * Below the ports that systems give to outgoing connections (32,768 and up on Linux), one of
 * which could take a port between the look and the start. A node of a Redis cluster listens
 * 10,000 above its own port, too.
 */
const FROM = 12_000;
const TO = 22_000;
const CLUSTER_BUS = 10_000;

/** A port that nobody listens on, and whose cluster bus is free as well. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FROM, TO);
    if ((await isFree(port)) && (await isFree(port + CLUSTER_BUS))) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}
