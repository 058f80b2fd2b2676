import type { Clock } from "../base/call.js";
import { StoreError } from "../base/errors.js";
import { usedAt } from "../decide/counter.js";
import type { CompiledQuota, CompiledRule } from "../define/quota.js";
import { planNothing } from "../quota/plan.js";
import type { Store } from "../stores/store.js";

/** Counters transferred at once. */
const AT_ONCE = 1_000;

/**
 * Transfers the counters of a quota that are still in windows of an earlier version into the
 * current windows of its rules. Normally the next call transfers a counter; an idle one could be
 * dropped first, when its old window is long past, although its count belongs in a longer one.
 * Calls go on meanwhile. Throws `STORE_UNAVAILABLE` if it cannot finish.
 */
export async function transferCounters(
  store: Store,
  { rules }: CompiledQuota,
  clock: Clock,
): Promise<void> {
  try {
    for (const rule of rules) {
      if (rule.terms.windowVersion > 1) await transferOf(store, rule, clock);
    }
  } catch (error) {
    const message = "the quota is changed, but not all of its counters are in its new windows yet";
    throw new StoreError("STORE_UNAVAILABLE", `${message}; repeat the change`, { cause: error });
  }
}

async function transferOf(store: Store, rule: CompiledRule, clock: Clock): Promise<void> {
  const { terms } = rule;
  let underWay: unknown[] = [];
  for await (const { space, subject, counter } of store.scan(terms.space)) {
    const isOld = space === terms.space && counter.windowVersion < terms.windowVersion;
    if (!isOld || usedAt(counter, terms.versionSinceMs) === 0) continue;
    // The subject's limit is not known here. A stale plan needs nothing more: the counter is in a
    // newer version, or its window is over.
    underWay.push(
      store.apply([planNothing("decrement", rule, subject, terms.defaultLimit, clock())]),
    );
    if (underWay.length < AT_ONCE) continue;
    await Promise.all(underWay);
    underWay = [];
  }
  await Promise.all(underWay);
}
