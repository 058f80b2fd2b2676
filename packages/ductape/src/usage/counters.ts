import type { Catalogue } from "../define/catalogue.js";
import { usedAt, type Counter } from "../decide/counter.js";
import { heldAt } from "../decide/holds.js";
import { show, ValidationError } from "../base/errors.js";
import { Fields, Issues, type Empty } from "../base/field.js";
import { spacesOf, type QuotaIdentity } from "../define/identity.js";
import { spacePrefix } from "../base/key.js";
import type { ProductEntry } from "../define/definition-set.js";
import type { Clock } from "../base/call.js";
import type { Store } from "../stores/store.js";

/** The input of `usage.counters`: a product or a part of it. */
export interface CountersInput {
  readonly product_tag: string;
  /** Slug of an environment. Default: all. */
  readonly env?: string | Empty | undefined;
  /** Default: all quotas. */
  readonly quota_tag?: string | Empty | undefined;
  /** A rule of the quota. Default: all. */
  readonly rule?: string | Empty | undefined;
}

/** Numbers of counters. */
export interface KeptCounters {
  /** All stored counters, including those of past windows until they are dropped. */
  readonly counters: number;
  /**
   * Counters with something used, held or granted in their current window: what a deletion would
   * remove.
   */
  readonly in_use: number;
}

interface CountersParts {
  readonly store: Store;
  readonly catalogue: Catalogue;
  readonly clock: Clock;
}

/** Counters that are read together: those of `spaces` under a prefix, or all there. */
interface Place {
  readonly prefix: string;
  readonly spaces: ReadonlySet<string> | null;
}

/** Counts the counters that {@link CountersInput} names, reading the store in parts. */
export async function countCounters(
  input: ReturnType<typeof parseCountersInput>,
  { store, catalogue, clock }: CountersParts,
): Promise<KeptCounters> {
  await catalogue.refresh();
  const nowMs = clock();
  let [counters, inUse] = [0, 0];
  for (const { prefix, spaces } of placesOf(input, catalogue.entry(input.product))) {
    for await (const { space, counter } of store.scan(prefix)) {
      if (spaces?.has(space) === false) continue;
      counters++;
      if (counter.window.endMs > nowMs && isInUse(counter, nowMs)) inUse++;
    }
  }
  return { counters, in_use: inUse };
}

function isInUse(counter: Readonly<Counter>, nowMs: number): boolean {
  return usedAt(counter, nowMs) + counter.granted + heldAt(counter.holds, nowMs) > 0;
}

/** Parses the input of `usage.counters`. Throws `VALIDATION`. */
export function parseCountersInput(input: CountersInput) {
  const issues = new Issues();
  const names = ["product_tag", "env", "quota_tag", "rule"];
  const fields = new Fields(input, "input", names, issues, "");
  const optional = (name: string) => (fields.get(name) === undefined ? null : fields.tag(name));
  const product = fields.tag("product_tag");
  const parsed = {
    product,
    env: optional("env"),
    quota: optional("quota_tag"),
    rule: optional("rule"),
  };
  if (parsed.rule !== null && parsed.quota === null) {
    fields.refuse("rule", "applies only with quota_tag");
  }
  issues.throwAny();
  return parsed;
}

function placesOf(
  { product, env, quota, rule }: ReturnType<typeof parseCountersInput>,
  entry: ProductEntry,
): Place[] {
  const environments =
    env === null
      ? entry.environments.identities()
      : [[env, entry.environments.find(product, env).identity] as const];
  const of = quota === null ? null : entry.quotas.find(product, quota).identity;
  return environments.map(([slug, identity]) => {
    const prefix = spacePrefix(product, slug, ...(quota === null ? [] : [quota]));
    if (identity === null || (quota !== null && of === null)) return { prefix, spaces: null };
    const here = { slug, uid: identity.uid };
    if (of === null || quota === null) {
      return {
        prefix,
        spaces: new Set(entry.spaces(product, { environments: [[slug, identity]] })),
      };
    }
    return { prefix, spaces: new Set(quotaSpaces(of, rule, product, here, quota)) };
  });
}

function quotaSpaces(
  identity: QuotaIdentity,
  rule: string | null,
  product: string,
  env: { readonly slug: string; readonly uid: string },
  quota: string,
): string[] {
  const { rules, ledgers } = spacesOf(identity, product, env, quota);
  if (rule === null) return [...rules, ...ledgers.filter((ledger) => ledger !== null)];
  const i = identity.rules.findIndex(({ name }) => name === rule);
  const names = identity.rules.map(({ name }) => show(name)).join(", ");
  if (i === -1) {
    const message = `got ${show(rule)}: quota ${show(quota)} has one of ${names}`;
    throw new ValidationError([{ path: "rule", message }]);
  }
  return [rules[i], ledgers[i]].filter((space) => typeof space === "string");
}
