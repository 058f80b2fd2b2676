import { describe, expect, it } from "vitest";
import { EmbeddedDuctape } from "ductape";
import { definitionKey, keyParts } from "../src/base/key.js";
import { openStore } from "../src/stores/url.js";
import { contextOf } from "./support.js";

describe("a name that can no longer be made, and was stored before,", () => {
  it.each([".", "..", "*"])("goes on, is changed and applied, and is deleted: %s", async (name) => {
    const store = openStore("memory:", contextOf(Date.now));
    await using ductape = new EmbeddedDuctape({ store });
    const { product, processor } = ductape;
    await product.create({ tag: "a" });
    await product.environments.create("a", { slug: "a" });
    await product.quotas.create("a", { tag: "a", limit: 5, period: "lifetime" });
    const { changes } = await store.documents.changes(0);
    const renamed = changes.map(({ key, value }) => {
      const { tag: _tag, slug: _slug, ...rest } = parsed(value);
      const { kind } = keyParts(key);
      const id = kind === "environment" ? { slug: name } : { tag: name };
      const text = JSON.stringify({ ...rest, ...id });
      return { key: definitionKey(kind, name, name), ifRevision: 0, value: text };
    });
    expect(renamed).toHaveLength(3);
    expect(await store.documents.write(renamed, [])).toBe(null);

    const call = { product_tag: name, env: name, quota_tag: name, action: "increment" } as const;
    expect(await processor.quota.run(call)).toMatchObject({ allowed: true, used: 1 });
    expect(await product.quotas.update(name, name, { limit: 7 })).toMatchObject({
      rules: [{ limit: 7 }],
    });
    const quotas = [{ tag: name, limit: 9, period: "lifetime" } as const];
    expect(await product.apply({ products: [{ tag: name, quotas }] })).toMatchObject({
      applied: true,
    });
    expect(await processor.quota.run(call)).toMatchObject({ limit: 9, used: 2 });
    await product.quotas.delete(name, name);
    await product.environments.delete(name, name, { force: true });
    await product.delete(name);
    expect((await product.fetchAll()).map(({ tag }) => tag)).toEqual(["a"]);
  });
});

function parsed(value: string | null): Record<string, unknown> {
  const stored: Record<string, unknown> = JSON.parse(value ?? "{}");
  return stored;
}
