import { afterAll, describe, expect, it } from "vitest";
import { EmbeddedDuctape } from "ductape";
import { clockFact } from "../src/stores/facts.js";
import { POSTGRES_BIN, startPostgres } from "./postgres.js";
import { hasRedis, startRedis } from "./redis.js";
import { testedStores } from "./tested.js";

const { stores, stop } = await testedStores();
afterAll(stop);

/** The facts of each store, by name. */
const NAMES: Readonly<Record<string, readonly string[]>> = {
  memory: ["kept", "windows"],
  sqlite: ["file", "sqlite", "schema", "journal_mode", "synchronous", "windows"],
  postgres: [
    "server_version",
    "synchronous_commit",
    "fsync",
    "full_page_writes",
    "schema",
    "clock",
    "windows",
  ],
  redis: ["version", "durability", "appendonly", "maxmemory-policy", "clock", "windows"],
};

const silent = { warn: () => undefined };

async function factsOf(store: string) {
  await using ductape = new EmbeddedDuctape({ store, logger: silent });
  return ductape.facts();
}

describe.each(stores)("the facts of $name", ({ name, url }) => {
  it("describe the engine, by server if there are several", async () => {
    const names = (await factsOf(url("facts"))).map((each) => each.name);
    const known = NAMES[name];
    if (known !== undefined) return expect(names).toEqual(known);
    const [last, ...others] = names.toReversed();
    expect(last).toBe("windows");
    expect(others).toHaveLength(3 * ((NAMES["redis"]?.length ?? 0) - 1));
    for (const each of others) expect(each).toMatch(/^127\.0\.0\.1:\d+ [\w-]+$/);
  });
});

it.runIf(POSTGRES_BIN !== null)("what PostgreSQL may lose is reported with advice", async () => {
  const server = await startPostgres(["fsync = off", "synchronous_commit = off"]);
  const facts = await factsOf(`${server.url()}?schema=facts`);
  await server.stop();
  const advised = facts.filter(({ advice }) => advice !== null).map(({ name }) => name);
  expect(advised).toEqual(["synchronous_commit", "fsync"]);
});

it.runIf(hasRedis("what Redis may lose"))(
  "what Redis may lose is reported with advice",
  async () => {
    const server = await startRedis({ appendonly: "yes", "maxmemory-policy": "allkeys-lru" });
    const facts = await factsOf(`redis://127.0.0.1:${server.port}?durability=durable`);
    await server.remove();
    const advised = facts.filter(({ advice }) => advice !== null);
    expect(advised.map(({ name, value }) => [name, value])).toEqual([
      ["appendfsync", "everysec"],
      ["maxmemory-policy", "allkeys-lru"],
    ]);
  },
);

it.each([
  [5_000, "+4900 ms from this machine's", true],
  [-1_500, "-1600 ms from this machine's", true],
  [600, "+500 ms from this machine's", false],
  // What the call took says nothing of the clock.
  [1_150, "+1050 ms from this machine's", false],
])("a clock that tells %d is told as %s", (serverMs, value, isFar) => {
  const { advice, ...rest } = clockFact("clock", serverMs, 0, 200);
  expect(rest).toEqual({ name: "clock", value });
  expect(advice !== null).toBe(isFar);
});
