import { DuctapeError } from "ductape";
import type { RunningServer } from "../server.js";

const KEY_ID = "demo";

/**
 * Makes what the demo needs, as far as it is not there, and tells it: the server's address, a key
 * for this start, and a call to paste.
 */
export async function demoLines({ url, ductape, keys }: RunningServer): Promise<string[]> {
  const { product, processor } = ductape;
  await unlessExists(product.create({ tag: "my-product", name: "My product" }));
  await unlessExists(
    product.environments.create("my-product", { slug: "prd", env_name: "Production" }),
  );
  await unlessExists(
    product.sessions.create("my-product", {
      tag: "user-session",
      schema: { userId: "ada" },
      selector: "$Session{userId}",
      expiry: 1,
      period: "days",
    }),
  );
  await unlessExists(
    product.caches.create("my-product", { tag: "quota-api-requests", expiry: 1_000 }),
  );
  await unlessExists(
    product.quotas.create("my-product", {
      tag: "api-requests",
      name: "API requests",
      scope: "$Session{userId}",
      limit: 5,
      period: "day",
    }),
  );
  const target = { product: "my-product", env: "prd", tag: "user-session" };
  const { token } = await processor.sessions.start({ ...target, data: { userId: "ada" } });
  const key = await keys.replace(KEY_ID, "demo");
  const input = {
    env: "prd",
    product_tag: "my-product",
    quota_tag: "api-requests",
    action: "increment",
    amount: 1,
    session: { tag: "user-session", token },
    cache: "quota-api-requests",
  };
  const call = [
    `curl ${url}/v1/quota/run`,
    `-H 'Authorization: Bearer ${key}'`,
    "-H 'Content-Type: application/json'",
    `-d '${JSON.stringify(input)}'`,
  ];
  return [url, key, call.join(" ")];
}

/** Each on its own, so that what an earlier start left is completed. */
async function unlessExists(creation: Promise<unknown>): Promise<void> {
  try {
    await creation;
  } catch (error) {
    if (!DuctapeError.is(error) || error.code !== "ALREADY_EXISTS") throw error;
  }
}
