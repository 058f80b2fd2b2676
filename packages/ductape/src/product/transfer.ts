import type { Verdict } from "../decide/apply.js";
import { usedAt } from "../decide/cell.js";
import type { CompiledQuota, CompiledRule } from "../define/quota.js";
import { StoreError } from "../base/errors.js";
import { planNothing } from "../quota/plan.js";
import type { Clock } from "../base/call.js";
import type { Store } from "../stores/store.js";

/** Counters under way at once. */
const AT_ONCE = 1_000;

/**
 * Writes the counters of a quota down in the windows that its rules have now, where they still
 * stand in those of an earlier form. Whoever asks first would do so; but of whom nobody asks, the
 * counter may be dropped when its old window is long past, though a longer one has its count.
 * Calls go on meanwhile. Throws `STORE_UNAVAILABLE` where it did not come to its end.
 */
export async function carryCounters(
  store: Store,
  { rules }: CompiledQuota,
  clock: Clock,
): Promise<void> {
  try {
    for (const rule of rules) if (rule.leg.shape > 1) await carryOf(store, rule, clock);
  } catch (error) {
    const message = "the quota is changed, but not all of its counters are in its new windows yet";
    throw new StoreError("STORE_UNAVAILABLE", `${message}; change it so again`, { cause: error });
  }
}

async function carryOf(store: Store, rule: CompiledRule, clock: Clock): Promise<void> {
  const { leg } = rule;
  let underWay: (Verdict | Promise<Verdict>)[] = [];
  for await (const { space, subject, cell } of store.scan(leg.space)) {
    const isOld = space === leg.space && cell.shape < leg.shape;
    if (!isOld || usedAt(cell, leg.shapedMs) === 0) continue;
    // No plan is known here. One that is stale needs nothing: it is in a newer form, or over.
    const step = planNothing("decrement", rule, subject, leg.defaultLimit, clock());
    underWay.push(store.apply(step));
    if (underWay.length < AT_ONCE) continue;
    await Promise.all(underWay);
    underWay = [];
  }
  await Promise.all(underWay);
}
