// A user's, a team's and an organisation's limit, decided as one: a denial by any charges none.
import { Ductape } from "ductape";

await using ductape = new Ductape({ store: "memory:" });
const { product, processor } = ductape;

await product.create({ tag: "shop", name: "Shop" });
await product.environments.create("shop", { env_name: "Production", slug: "prd" });
await product.quotas.create("shop", {
  tag: "tokens",
  name: "Tokens",
  rules: [
    { name: "user", scope: "$Session{userId}", limit: 60, period: "day" },
    { name: "team", scope: "$Session{teamId}", limit: 100, period: "day" },
    { name: "organisation", scope: "$Session{orgId}", limit: 1_000, period: "month" },
  ],
});

await spend("ada", 60);
await spend("bob", 30);
await spend("bob", 20); // bob has 30 left, but his team only 10
await spend("bob", 10);

async function spend(userId: string, amount: number): Promise<void> {
  const result = await processor.quota.run({
    env: "prd",
    product_tag: "shop",
    quota_tag: "tokens",
    action: "increment",
    amount,
    subject: { userId, teamId: "red", orgId: "acme" },
  });
  const verdict = result.allowed ? "allowed" : `denied by the ${result.rule}'s limit`;
  console.log(`${userId} asks for ${amount}: ${verdict}`);
  for (const { rule, subject, used, limit, admits } of result.rules ?? []) {
    const who = `${rule} ${subject}`.padEnd(17);
    console.log(`  ${who}  ${used} of ${limit} used${admits ? "" : ", in the way"}`);
  }
}
