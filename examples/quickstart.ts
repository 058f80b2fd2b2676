// Counts in a durable file and continues at the next run.
import { Ductape, DuctapeError } from "ductape";

const store = process.env["DUCTAPE_STORE"] ?? "sqlite:.ductape/ductape.db";
await using ductape = new Ductape({ store });
const { product, processor } = ductape;

await unlessExists(product.create({ tag: "quickstart", name: "Quickstart" }));
await unlessExists(
  product.environments.create("quickstart", { env_name: "Production", slug: "prd" }),
);
await unlessExists(
  product.quotas.create("quickstart", {
    tag: "api-requests",
    name: "API requests",
    limit: 5,
    period: "day",
  }),
);

for (let call = 1; call <= 3; call++) {
  const result = await processor.quota.run({
    env: "prd",
    product_tag: "quickstart",
    quota_tag: "api-requests",
    action: "increment",
  });
  const { allowed, used, limit, resets_at } = result;
  console.log(
    `${allowed ? "allowed" : "denied "}  ${used} of ${limit} used, resets at ${resets_at}`,
  );
}
console.log(`The count is in ${store.replace("sqlite:", "")}: run this again and it continues.`);

/** Each definition on its own, so that the next run completes an interrupted first one. */
async function unlessExists(creation: Promise<unknown>): Promise<void> {
  try {
    await creation;
  } catch (error) {
    if (!DuctapeError.is(error) || error.code !== "ALREADY_EXISTS") throw error;
  }
}
