// That the remote client makes every call as the table of calls says.
import { createServer } from "node:http";
import { afterAll, beforeAll, expect, it } from "vitest";
import { RemoteDuctape } from "ductape";
import { ALL_CALLS } from "../src/remote/calls.js";

/** An answer that every call takes. */
const ANSWER = JSON.stringify({
  allowed: true,
  results: [{ allowed: true }],
  next: null,
  ...Object.fromEntries(
    ["products", "environments", "quotas", "sessions", "caches", "features", "values"].map(
      (name) => [name, []],
    ),
  ),
});
/** The arguments of calls that take others than an input. A count without a key is sent once. */
const COUNT = { action: "increment", idempotency_ttl_ms: 1_000 };
const ARGUMENTS: Readonly<Record<string, readonly unknown[]>> = {
  "quota.run": [COUNT],
  "quota.runAll": [[COUNT], { atomic: true }],
  ...Object.fromEntries(
    ["run", "reserve", "commit", "extend", "release"].map((name) => [
      `feature.${name}`,
      [{ feature_tag: "p1", reservation: "r" }],
    ]),
  ),
  "features.isEnabled": [{ feature_tag: "p1" }],
  "product.sessions.rotate": ["p1", { env: "prd" }],
  "product.caches.values": ["p1", { cache_tag: "p2" }],
};

const asked: string[] = [];
/** Loses the first answer to each call. */
const server = createServer((request, response) => {
  asked.push(`${request.method} ${request.url?.split("?")[0]}`);
  if (asked.length === 1) request.socket.destroy();
  else response.writeHead(200, { "content-type": "application/json" }).end(ANSWER);
});
beforeAll(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve)));
afterAll(() => new Promise((resolve) => server.close(resolve)));

/** The method of a client that a name such as `product.quotas.create` means. */
function methodOf(client: RemoteDuctape, name: string): (...args: readonly unknown[]) => unknown {
  const { processor, product, usage, features } = client;
  let found: unknown = { ...processor, product, usage, features, probe: () => client.probe() };
  for (const part of name.split(".")) {
    const owner: unknown = found;
    if (typeof owner !== "object" || owner === null) throw new Error(`there is no ${name}`);
    const member: unknown = Reflect.get(owner, part);
    found = typeof member === "function" ? member.bind(owner) : member;
  }
  if (typeof found !== "function") throw new Error(`${name} is not a method`);
  const method = found;
  return (...args) => Reflect.apply(method, undefined, args);
}

it.each([...ALL_CALLS])(
  "%s is sent to its place, and again after a lost answer if it may be",
  async (name, row) => {
    const address = server.address();
    const port = typeof address === "object" ? address?.port : 0;
    const client = new RemoteDuctape({ url: `http://127.0.0.1:${port}`, retries: 1 });
    const parts = [...row.path.matchAll(/:\w+/g)].map((_, i) => `p${i + 1}`);
    asked.length = 0;
    const call = Promise.resolve(methodOf(client, name)(...(ARGUMENTS[name] ?? [...parts, {}])));
    const outcome = await call.then(
      () => "done",
      (error: unknown) => (error instanceof Error && "code" in error ? error.code : error),
    );
    await client.close();
    const path = row.path.replaceAll(/:\w+/g, () => parts.shift() ?? "");
    const once = [`${row.method} ${path}`];
    expect(asked).toEqual(row.repeat === "once" ? once : [...once, ...once]);
    expect(outcome).toBe(row.repeat === "once" ? "OUTCOME_UNKNOWN" : "done");
  },
);
