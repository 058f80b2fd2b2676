import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Ductape } from "ductape";
import { Load } from "../load.js";
import { define, type Server } from "./network.js";
import { NETWORKS } from "./networks.js";
import { usedOf } from "./processes.js";

/** How often each server is killed under load; `KILLS=200` for the long run. */
const KILLS = Number(process.env["KILLS"] ?? 20);
const quota = { tag: "q", limit: null, period: "lifetime" } as const;
const silent = { warn: () => undefined };

describe.each(NETWORKS)("$name", (network) => {
  let server: Server;

  beforeAll(async () => {
    server = await network.start();
  });
  afterAll(() => server.remove());

  it(`killed ${KILLS} times under load loses nothing that it acknowledged`, async () => {
    const store = network.url(server, server.port);
    await define(store, [quota]);
    await using client = new Ductape({ store, timeoutMs: 1_000, logger: silent });
    const load = new Load(client, { timeoutMs: 1_000 });
    for (let kill = 0; kill < KILLS; kill++) {
      // At another moment of a batch each time.
      await load.admits(50 + kill * 7);
      await server.kill();
      await server.restart();
    }
    await load.admits(50);
    const { acknowledged, unknown } = await load.stop();
    const used = await usedOf(client, "q", "u");
    console.warn(
      `${network.name}: ${KILLS} kills, ${acknowledged} acknowledged, ${unknown} unknown, ` +
        `${used} counted, ${Math.max(0, acknowledged - used)} lost`,
    );
    expect(used).toBeGreaterThanOrEqual(acknowledged);
    expect(used).toBeLessThanOrEqual(acknowledged + unknown);
  }, 3_600_000);
});
