// The store suite through the remote client, on every store behind a server.
import { afterAll, describe, expect, it } from "vitest";
import { RemoteDuctape } from "ductape";
import { storeSuite, type StorePlace } from "ductape/testing";
import { testedStores, type TestedStore } from "../../ductape/test/tested.js";
import { ROOT_KEY, start } from "./support.js";

const tested = await testedStores();

afterAll(() => tested.stop());

let count = 0;

/** A server on a store of its own, which reads the clock of the case. */
async function serverOn(store: TestedStore): Promise<StorePlace> {
  let clock = Date.now;
  const server = await start({ store: store.url(`suite${++count}`), clock: () => clock() });
  return {
    connect(driven) {
      clock = driven;
      return new RemoteDuctape({ url: server.url, apiKey: ROOT_KEY });
    },
    remove: () => server.close(),
  };
}

describe.each(tested.stores.map((store) => [store.name, store] as const))(
  "a client of a server on %s",
  (_, store) => {
    const cases = storeSuite(() => serverOn(store));

    it.each(cases.map(({ name, run }) => [name, run] as const))("%s", (_name, run) => run());

    it("is tried by every promise of the suite", () => {
      expect(cases.length).toBeGreaterThan(20);
    });
  },
);
