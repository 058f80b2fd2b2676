import { show, ValidationError } from "../base/errors.js";
import { ruleSpace } from "../base/key.js";
import type { Before, Making } from "./kind.js";
import { isRecord } from "../base/json.js";
import type { Rule } from "./rule.js";
import { checkText } from "../base/text.js";

/**
 * Identifies the counters of a rule by `uid`; `shape` counts the versions of its window, from 1.
 */
interface RuleIdentity {
  readonly name: string;
  readonly scope: string;
  readonly uid: string;
  readonly shape: number;
  /** When the window version last changed, in epoch milliseconds; 0: never. */
  readonly shapedMs: number;
  /** Identifies the counters of its ledger, and is new whenever a history begins; null: none. */
  readonly ledger: string | null;
}

/** Identifies the counters and answers of a quota, and the unit they are kept in. */
export interface QuotaIdentity {
  readonly uid: string;
  /** Its counters are in the same place as those of the other quotas of its environment. */
  readonly coLocated: boolean;
  readonly decimals: number;
  /** In the order of the rules. */
  readonly rules: readonly RuleIdentity[];
}

/** An environment in keys; `uid` is new whenever the environment is. */
export interface EnvironmentId {
  readonly slug: string;
  readonly uid: string;
}

interface RulesBody {
  readonly decimals: number;
  readonly rules: readonly Rule[];
}

/**
 * The identity of a changed quota: a rule of the same name and scope keeps its counters, and a
 * change of its window makes a new version. Throws `VALIDATION` if the decimals would change.
 */
export function identifyQuota(
  { decimals, rules }: RulesBody,
  before: Before<RulesBody, QuotaIdentity> | null,
  making: Making,
): QuotaIdentity {
  if (before !== null && before.identity.decimals !== decimals) {
    throw decimalsFixed(before.identity.decimals);
  }
  return {
    uid: before === null ? making.newUid() : before.identity.uid,
    coLocated: before === null ? making.coLocate : before.identity.coLocated,
    decimals,
    rules: rules.map((rule, i) => {
      const path = rules.length === 1 ? "window" : `rules[${i}].window`;
      return identifyRule(rule, before, making, path);
    }),
  };
}

function identifyRule(
  rule: Rule,
  before: Before<RulesBody, QuotaIdentity> | null,
  { newUid, nowMs }: Making,
  path: string,
): RuleIdentity {
  const { name, scope } = rule;
  const isSame = (each: { name: string; scope: string }) =>
    each.name === name && each.scope === scope;
  const old = before?.identity.rules.find(isSame);
  const ledger = rule.history === 0 ? null : (old?.ledger ?? newUid());
  if (old === undefined) return { name, scope, uid: newUid(), shape: 1, shapedMs: 0, ledger };
  const known = before?.body?.rules.find(isSame);
  if (known !== undefined) refuseOtherKind(known, rule, path);
  const keepsForm = known !== undefined && formOf(known) === formOf(rule);
  if (keepsForm) return { ...old, name, scope, ledger };
  return { name, scope, uid: old.uid, shape: old.shape + 1, shapedMs: nowMs, ledger };
}

/** Open holds and amounts are counted apart, so neither can become the other. */
function refuseOtherKind(before: Rule, { window }: Rule, path: string): void {
  if ((before.window === "concurrent") === (window === "concurrent")) return;
  const message = `cannot change from ${before.window} to ${window}: make another rule`;
  throw new ValidationError([{ path, message }]);
}

/**
 * What determines a rule's windows. Equivalent spellings and fields without effect compare equal.
 */
function formOf({ period, window, time_zone, week_start, anchor }: Rule): string {
  if (period === null) return window;
  if (period === "lifetime") return period;
  if (window === "rolling") return JSON.stringify([window, period]);
  if (anchor !== null) return JSON.stringify([period, time_zone.toLowerCase(), Date.parse(anchor)]);
  const isWeek = period === "week" || (typeof period === "object" && period.unit === "week");
  return JSON.stringify([period, time_zone.toLowerCase(), isWeek ? week_start : null]);
}

function decimalsFixed(decimals: number): ValidationError {
  const message = `cannot change from ${decimals} after creation: make a new quota`;
  return new ValidationError([{ path: "decimals", message }]);
}

/** Reads a stored identity. Throws if it is not one. */
export function readQuotaIdentity(value: unknown): QuotaIdentity {
  const uid = parseUid(value);
  const { coLocated, decimals, rules } = isRecord(value) ? value : {};
  if (typeof decimals !== "number" || !Array.isArray(rules)) {
    throw new Error("its identity has no decimals or no rules");
  }
  return { uid, coLocated: coLocated === true, decimals, rules: rules.map(readRuleIdentity) };
}

function readRuleIdentity(value: unknown): RuleIdentity {
  const uid = parseUid(value);
  const { name, scope, shape, shapedMs, ledger = null } = isRecord(value) ? value : {};
  const areIntegers = Number.isSafeInteger(shape) && Number.isSafeInteger(shapedMs);
  const isLedger = ledger === null || (typeof ledger === "string" && checkText(ledger) === null);
  if (typeof name === "string" && typeof scope === "string" && areIntegers && isLedger) {
    return { name, scope, uid, shape: Number(shape), shapedMs: Number(shapedMs), ledger };
  }
  throw new Error(`the identity ${show(uid)} is no rule's`);
}

/** The `uid` of a stored identity. Throws if it has none. */
export function parseUid(value: unknown): string {
  const uid = isRecord(value) ? value["uid"] : undefined;
  if (typeof uid !== "string" || checkText(uid) !== null) throw new Error("it has no identity");
  return uid;
}

/** The spaces of a quota in one environment; those of the rules are in order. */
interface QuotaSpaces {
  readonly rules: readonly string[];
  /** Null for a rule without a ledger. */
  readonly ledgers: readonly (string | null)[];
  readonly answers: string;
}

/** The spaces of the counters and answers of a quota in one environment. */
export function spacesOf(
  { uid: quotaUid, rules }: QuotaIdentity,
  product: string,
  env: EnvironmentId,
  quota: string,
): QuotaSpaces {
  const space = (rule: string, uid: string) =>
    ruleSpace(product, env.slug, quota, rule, `${env.uid}.${uid}`);
  return {
    rules: rules.map(({ name, uid }) => space(name, uid)),
    ledgers: rules.map(({ name, ledger }) => (ledger === null ? null : space(name, ledger))),
    answers: space("", quotaUid),
  };
}
