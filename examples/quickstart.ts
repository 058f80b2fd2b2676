// Counts on a durable file (.ductape/ductape.db) and goes on counting at the next run.
import { Ductape, DuctapeError } from "ductape";

await using ductape = new Ductape();

try {
  await ductape.product.create({ tag: "my-product", name: "My product" });
  await ductape.product.environments.create("my-product", { env_name: "Production", slug: "prd" });
  await ductape.product.quotas.create("my-product", {
    tag: "api-requests",
    name: "API requests",
    limit: 5,
    period: "day",
  });
} catch (error) {
  if (!DuctapeError.is(error) || error.code !== "ALREADY_EXISTS") throw error;
}

for (let call = 1; call <= 3; call++) {
  const result = await ductape.processor.quota.run({
    env: "prd",
    product_tag: "my-product",
    quota_tag: "api-requests",
    action: "increment",
  });
  if (result.degraded) throw new Error("the store did not answer");
  const { allowed, used, limit, resets_at } = result;
  console.log(
    `${allowed ? "allowed" : "denied "}  ${used} of ${limit} used, resets at ${resets_at}`,
  );
}
