import { setTimeout as delay } from "node:timers/promises";
import { expect, it } from "vitest";
import { Ductape, type Store } from "ductape";
import { MemoryStore } from "../src/stores/memory/memory.js";
import { clientWith, inputOf, storeOver } from "./support.js";

/** A store in this process whose answers about definitions come when `held` lets them. */
function storeWith(held: () => Promise<void>): Store {
  const store = new MemoryStore(Date.now);
  const changes = async (sequence: number) => {
    const answer = await store.documents.changes(sequence);
    await held();
    return answer;
  };
  return storeOver(store, { documents: { changes } });
}

it("a change of a definition is not undone by an older answer that comes late", async () => {
  let release = (): void => undefined;
  let holdsNext = false;
  const store = storeWith(() => {
    if (!holdsNext) return Promise.resolve();
    holdsNext = false;
    return new Promise((resolve) => (release = resolve));
  });
  await using writer = await clientWith([{ tag: "q", limit: 1, period: "day" }], { store });
  await using reader = new Ductape({ store });
  await reader.product.fetchAll();
  await writer.product.quotas.update("shop", "q", { limit: 2 });
  holdsNext = true;
  const late = reader.product.quotas.fetch("shop", "q");
  await delay(0);
  await writer.product.quotas.update("shop", "q", { limit: 3 });
  expect(await reader.product.quotas.fetch("shop", "q")).toMatchObject({ revision: 3 });
  release();
  await late;
  const check = await reader.processor.quota.run(inputOf({ action: "check" }));
  expect(check).toMatchObject({ limit: 3 });
});
