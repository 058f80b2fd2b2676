// A process of the tests: a client on a file that does what its parent asks, one line of JSON each.
import { createInterface } from "node:readline";
import { Ductape, DuctapeError } from "ductape";

const ductape = new Ductape({ store: process.argv[2] ?? "", timeoutMs: 30_000 });

/** Finds a method such as `product.quotas.update` and calls it. */
async function call(path: string, args: readonly unknown[]): Promise<unknown> {
  let owner: object = ductape;
  const names = path.split(".");
  for (const name of names.slice(0, -1)) owner = Object(Reflect.get(owner, name));
  const method: unknown = Reflect.get(owner, names.at(-1) ?? "");
  if (typeof method !== "function") throw new Error(`there is no method ${path}`);
  return Reflect.apply(method, owner, args);
}

const CALLERS = 10;
const faults: string[] = [];
let admitted = 0;
const stopped = new AbortController();
let callers: Promise<void>[] = [];

/** Increments a quota until it is stopped. */
async function count(input: unknown): Promise<void> {
  while (!stopped.signal.aborted) {
    try {
      const result = Object(await call("processor.quota.run", [input]));
      if (result.allowed === true) admitted++;
    } catch (error) {
      faults.push(DuctapeError.is(error) ? error.code : String(error));
    }
  }
}

async function answer(path: string, args: readonly unknown[]): Promise<unknown> {
  if (path === "count") {
    callers = Array.from({ length: CALLERS }, () => count(args[0]));
    return null;
  }
  if (path === "stop") {
    stopped.abort();
    await Promise.all(callers);
    return { admitted, faults };
  }
  return call(path, args);
}

for await (const line of createInterface({ input: process.stdin })) {
  const { id, path, args }: { id: number; path: string; args: unknown[] } = JSON.parse(line);
  // Not awaited: a parent may ask for several things at once.
  void answer(path, args).then(
    (value) => console.log(JSON.stringify({ id, value: value ?? null })),
    (error: unknown) => {
      const code = DuctapeError.is(error) ? error.code : String(error);
      console.log(JSON.stringify({ id, code }));
    },
  );
}
await ductape.close();
