import { Ductape, type Client, type QuotaInput } from "ductape";

const LIMIT = 1_000_000_000;

/** One call of its first quota. */
export const INCREMENT: QuotaInput = {
  env: "prd",
  product_tag: "shop",
  quota_tag: "q0",
  action: "increment",
};

/** Defines the product that is measured, with quotas by user. */
export async function define({ product }: Client, quotas = 1): Promise<void> {
  await product.create({ tag: "shop" });
  await product.environments.create("shop", { slug: "prd" });
  for (let i = 0; i < quotas; i++) {
    await product.quotas.create("shop", {
      tag: `q${i}`,
      limit: LIMIT,
      period: "month",
      scope: "$Session{userId}",
    });
  }
}

/** A client on a store that has nothing yet, with its product. */
export async function clientOf(store: string, quotas = 1, clock?: () => number): Promise<Ductape> {
  const ductape = new Ductape({ store, clock });
  await define(ductape, quotas);
  return ductape;
}
