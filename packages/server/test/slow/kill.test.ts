// A server that is killed under the load of a remote client.
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, expect, it } from "vitest";
import { RemoteDuctape } from "ductape";
import { Load } from "../../../ductape/test/load.js";
import { usedOf } from "../../../ductape/test/slow/processes.js";
import { folder, newStore } from "../command.js";
import { ROOT_KEY } from "../support.js";
import { ServerProcess } from "./process.js";
import { draws } from "../../../ductape/test/draws.js";

afterAll(folder.remove);

const silent = { warn: () => undefined };

it("a server killed again and again loses and doubles nothing that it acknowledged", async () => {
  const server = await ServerProcess.start(newStore());
  await using client = new RemoteDuctape({
    url: server.url,
    apiKey: ROOT_KEY,
    retries: 10,
    timeoutMs: 20_000,
    logger: silent,
  });
  await client.product.create({ tag: "shop" });
  await client.product.environments.create("shop", { slug: "prd" });
  await client.product.quotas.create("shop", { tag: "q", limit: null, period: "lifetime" });
  const load = new Load(client, { timeoutMs: 20_000 });
  let kills = 0;
  for (const kill of draws("KILLS", { least: 5, seconds: 12 })) {
    kills++;
    // At another moment of a batch each time.
    await load.admits(50 + kill * 7);
    await delay(kill % 5);
    await server.kill();
    await server.restart();
  }
  await load.admits(50);
  const { acknowledged, unknown, faults } = await load.stop();
  const used = await usedOf(client, "q", "u");
  console.warn(
    `a remote client: ${kills} kills, ${acknowledged} acknowledged, ${unknown} unknown, ` +
      `${used} counted; faults ${JSON.stringify([...faults])}`,
  );
  expect(used).toBeGreaterThanOrEqual(acknowledged);
  expect(used).toBeLessThanOrEqual(acknowledged + unknown);
  await server.kill("SIGTERM");
}, 1_800_000);
