// One quota for all plans; an upgrade that applies at once; a metered quota that bills the overage.
import { Ductape } from "ductape";

await using ductape = new Ductape({ store: "memory:" });
const { product, processor } = ductape;

await product.create({ tag: "shop", name: "Shop" });
await product.environments.create("shop", { env_name: "Production", slug: "prd" });
await product.quotas.create("shop", {
  tag: "exports",
  name: "Exports",
  scope: "$Session{userId}",
  period: "month",
  limit: { by: "$Session{plan}", values: { free: 2, pro: 5, team: null }, default: 2 },
});
await product.quotas.create("shop", {
  tag: "emails",
  name: "Emails, 100 are included and more are billed",
  scope: "$Session{userId}",
  period: "month",
  limit: 100,
  on_exceed: "allow",
  alerts: [0.8, 1],
});

console.log("exports");
for (const plan of ["free", "free", "free", "pro", "team"]) {
  const { allowed, used, limit } = await count("exports", { userId: "ada", plan }, 1);
  const verdict = allowed ? "allowed" : "denied ";
  console.log(`  ada on ${plan.padEnd(4)}  ${verdict}  ${used} of ${limit ?? "any number"} used`);
}

console.log("emails");
ductape.onAlert(({ alert, decision }) => {
  console.log(`  alert: ${decision.subject} has reached ${alert.fraction * 100} % of the emails`);
});
for (const sent of [70, 15, 25]) {
  const { used, limit, overage } = await count("emails", { userId: "ada" }, sent);
  console.log(`  ${sent} more sent: ${used} in all, ${limit} included, ${overage} to bill`);
}

async function count(
  quota_tag: string,
  subject: { userId: string; plan?: string },
  amount: number,
) {
  const result = await processor.quota.run({
    env: "prd",
    product_tag: "shop",
    quota_tag,
    action: "increment",
    amount,
    subject,
  });
  return result;
}
