// A process of the tests: forty callers on one file. Writes one byte for each acknowledged answer.
import { writeSync } from "node:fs";
import { Ductape, type QuotaInput } from "ductape";

const [store = "", quota_tag = "", mode = "", last = "0"] = process.argv.slice(2);
const CALLERS = 40;
const ductape = new Ductape({ store, timeoutMs: 60_000 });
const base = { env: "prd", product_tag: "shop", quota_tag, action: "increment" } as const;

const say = (text: string): void => void writeSync(1, text);

/** Runs `ask` with forty callers until it says that there is nothing more to ask. */
async function callers(ask: () => Promise<boolean>): Promise<void> {
  const caller = async (): Promise<void> => {
    while (await ask());
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
}

async function admitted(input: QuotaInput): Promise<boolean> {
  const result = await ductape.processor.quota.run(input);
  if (result.allowed && !(result.degraded === false && result.replayed)) say("a");
  return result.allowed;
}

if (mode === "until-denied") {
  let call = 0;
  await callers(() => admitted({ ...base, subject: `user-${call++ % 3}` }));
} else if (mode === "same-keys") {
  let key = 0;
  await callers(async () => {
    if (key >= Number(last)) return false;
    await admitted({ ...base, subject: "one", idempotency_key: `key-${key++}` });
    return true;
  });
} else if (mode === "for-ever") {
  await callers(() => admitted({ ...base, subject: "one" }));
} else if (mode === "report-faults") {
  for (let call = 0; call < Number(last); call++) {
    try {
      await admitted({ ...base, subject: "one" });
    } catch (error) {
      say(error instanceof Error && "code" in error ? `<${String(error.code)}>` : "<?>");
    }
  }
}
await ductape.close();
