import { DuctapeError } from "ductape";
import type { RunningServer } from "../server.js";
import { DEMO_KEY_ID, demoKey, demoKeyFile } from "./demo-key.js";

/** A product of its own, so that it does not clash with other programs on the same store. */
const PRODUCT = "demo";

/**
 * Creates what the demo needs and does not exist yet, and returns labelled lines to print: the
 * server's address, a key, and a call to paste. Earlier starts use the same key, so the calls they
 * printed keep working.
 */
export async function demoLines(
  { url, ductape, keys }: RunningServer,
  store: string | undefined,
): Promise<string[]> {
  const { product, processor } = ductape;
  await unlessExists(product.create({ tag: PRODUCT, name: "Demo" }));
  await unlessExists(product.environments.create(PRODUCT, { slug: "prd", env_name: "Production" }));
  await unlessExists(
    product.sessions.create(PRODUCT, {
      tag: "user-session",
      schema: { userId: "ada" },
      selector: "$Session{userId}",
      expiry: 1,
      period: "days",
    }),
  );
  await unlessExists(product.caches.create(PRODUCT, { tag: "quota-api-requests", expiry: 1_000 }));
  await unlessExists(
    product.quotas.create(PRODUCT, {
      tag: "api-requests",
      name: "API requests",
      scope: "$Session{userId}",
      limit: 5,
      period: "day",
    }),
  );
  const target = { product: PRODUCT, env: "prd", tag: "user-session" };
  const { token } = await processor.sessions.start({ ...target, data: { userId: "ada" } });
  const file = demoKeyFile(store);
  const key = demoKey(file);
  await keys.replace(DEMO_KEY_ID, "demo", key);
  const input = {
    env: "prd",
    product_tag: PRODUCT,
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
  return [`URL:  ${url}`, `key:  ${key}`, `try:  ${call.join(" ")}`];
}

/** Each definition on its own, so that the next start completes an interrupted one. */
async function unlessExists(creation: Promise<unknown>): Promise<void> {
  try {
    await creation;
  } catch (error) {
    if (!DuctapeError.is(error) || error.code !== "ALREADY_EXISTS") throw error;
  }
}
