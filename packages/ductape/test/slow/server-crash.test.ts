import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Ductape } from "ductape";
import { Load } from "../load.js";
import { define, type Server } from "./network.js";
import { NETWORKS } from "./networks.js";
import { usedOf } from "./processes.js";
import { draws } from "../draws.js";

const quota = { tag: "q", limit: null, period: "lifetime" } as const;
const silent = { warn: () => undefined };

describe.each(NETWORKS)("$name", (network) => {
  let server: Server;

  beforeAll(async () => {
    server = await network.start();
  });
  afterAll(() => server.remove());

  it("killed again and again under load loses nothing that it acknowledged", async () => {
    const store = network.url(server, server.port);
    await define(store, [quota]);
    await using client = new Ductape({ store, timeoutMs: 1_000, logger: silent });
    const load = new Load(client, { timeoutMs: 1_000 });
    let kills = 0;
    for (const kill of draws("KILLS", { least: 5, seconds: 10 })) {
      kills++;
      // At another moment of a batch each time.
      await load.admits(50 + kill * 7);
      await server.kill();
      await server.restart();
    }
    await load.admits(50);
    const { acknowledged, unknown } = await load.stop();
    const used = await usedOf(client, "q", "u");
    console.warn(
      `${network.name}: ${kills} kills, ${acknowledged} acknowledged, ${unknown} unknown, ` +
        `${used} counted, ${Math.max(0, acknowledged - used)} lost`,
    );
    expect(used).toBeGreaterThanOrEqual(acknowledged);
    expect(used).toBeLessThanOrEqual(acknowledged + unknown);
  }, 3_600_000);
});
