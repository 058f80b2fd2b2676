// A process of the tests: answers each line, the name of an action, with a line of JSON.
import { createInterface } from "node:readline";
import { Ductape, DuctapeError, type Action } from "ductape";

const [store = ""] = process.argv.slice(2);
const ACTIONS: readonly Action[] = ["check", "increment"];
const base = { env: "prd", product_tag: "shop", quota_tag: "q", subject: "one" } as const;
await using ductape = new Ductape({ store, logger: { warn: () => undefined } });

async function answer(line: string): Promise<object> {
  try {
    const action = ACTIONS.find((each) => each === line) ?? "check";
    const result = await ductape.processor.quota.run({ ...base, action });
    return { allowed: result.allowed, used: result.used };
  } catch (error) {
    if (!DuctapeError.is(error)) return { code: "a defect", message: String(error) };
    const { code, message, retryable } = error;
    return { code, message, retryable };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await answer(line)));
}
