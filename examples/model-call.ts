// One call of a language model counts in three quotas: requests, tokens and dollars. They are set
// aside as one decision before the call, and settled with what it really cost, also when the reader
// goes away in the middle.
import { Ductape } from "ductape";

await using ductape = new Ductape({ store: "memory:" });
const { product, processor } = ductape;

await product.create({ tag: "chat" });
await product.environments.create("chat", { slug: "prd" });
const scope = "$Session{userId}";
await product.quotas.create("chat", { tag: "requests", scope, limit: 60, period: "minute" });
await product.quotas.create("chat", { tag: "tokens", scope, limit: 10_000, period: "day" });
await product.quotas.create("chat", {
  tag: "dollars",
  scope,
  limit: 0.1,
  period: "month",
  decimals: 6,
  rounding: "up",
});

const DOLLARS_PER_TOKEN = 0.000_012;
let calls = 0;

await ask("ada", 3_000);
await ask("ada", 4_000, 500); // the reader leaves after 500 tokens
await ask("ada", 9_000); // too much for what is left of today
await show("ada");

/** Answers a prompt by at most `maxTokens`; `leavesAfter` so many, the reader goes away. */
async function ask(userId: string, maxTokens: number, leavesAfter = Infinity): Promise<void> {
  const reservation = `call-${calls++}`;
  const holds = await processor.quota.runAll(
    amountsOf(1, maxTokens).map(([quota_tag, amount]) => {
      return { ...placeOf(userId, quota_tag), action: "reserve", reservation, amount } as const;
    }),
    { atomic: true },
  );
  const denied = holds.find(({ code }) => code === "QUOTA_EXCEEDED");
  if (denied !== undefined) {
    console.log(`${userId} asks for ${maxTokens} tokens: denied by ${denied.quota_tag}`);
    return;
  }
  let tokens = 0;
  for (const chunk of streamOf(maxTokens)) {
    tokens += chunk;
    if (tokens >= leavesAfter) break;
  }
  await processor.quota.runAll(
    amountsOf(1, tokens).map(([quota_tag, amount]) => {
      return { ...placeOf(userId, quota_tag), action: "commit", reservation, amount } as const;
    }),
    { atomic: true },
  );
  console.log(`${userId} asks for ${maxTokens} tokens: uses ${tokens}`);
}

/** What each quota counts of a number of requests and tokens. */
function amountsOf(requests: number, tokens: number) {
  return [
    ["requests", requests],
    ["tokens", tokens],
    ["dollars", tokens * DOLLARS_PER_TOKEN],
  ] as const;
}

function placeOf(subject: string, quota_tag: string) {
  return { product_tag: "chat", env: "prd", quota_tag, subject };
}

/** A model that says less than it may, in chunks of 100 tokens. */
function* streamOf(maxTokens: number): Generator<number> {
  for (let said = 0; said < maxTokens * 0.8; said += 100) yield 100;
}

async function show(userId: string): Promise<void> {
  for (const [tag] of amountsOf(0, 0)) {
    const result = await processor.quota.run({ ...placeOf(userId, tag), action: "check" });
    console.log(`  ${tag.padEnd(8)}  ${result.used} used, ${result.held} held`);
  }
}
