// What a decision shows, and what it would show if the naive model had made it.
import type { Decision } from "ductape";
import type { Command } from "./model-holds.js";
import type { Expected, ModelRule, Verdict } from "./model.js";

/** The numbers of a decision that the model knows too. */
export function shownDecision(decision: Decision): unknown {
  const { allowed, exceeded, alerts = [], action, rule, reservation, amount } = decision;
  const rules = decision.rules ?? [{ ...decision, admits: decision.allowed }];
  return {
    action,
    allowed,
    exceeded,
    alerts,
    rule,
    amount: action === "release" || action === "reset" ? null : amount,
    hold: holdShown(reservation),
    rules: rules.map((each) => ({
      rule: each.rule,
      used: each.used,
      held: each.held,
      limit: each.limit,
      remaining: each.remaining,
      admits: each.admits,
      retry: each.retry_after_ms,
      resets: each.resets_at === null ? null : Date.parse(each.resets_at),
    })),
  };
}

function holdShown(reservation: Decision["reservation"]): unknown {
  if (reservation === undefined) return null;
  const { id, amount, expires_at, held, charged, excess, expired } = reservation;
  if (amount !== undefined) return { id, amount, expiresMs: Date.parse(expires_at ?? "") };
  return { id, held, charged, excess, expired };
}

/** The same of a verdict. */
export function expectedDecision(
  verdict: Verdict,
  { action, rule: spoken, id }: Command,
  modelRules: readonly ModelRule[],
): unknown {
  const { allowed, exceeded, alerts, amount, rules, hold } = verdict;
  // What counts amounts passes by the rules that count open holds.
  const isPassedBy = ["increment", "decrement", "set", "reset", "grant"].includes(action);
  const isAsked = (_: Expected, i: number): boolean =>
    !isPassedBy || modelRules[i]?.concurrent !== true;
  return {
    action,
    allowed,
    exceeded,
    alerts,
    rule: bindingOf(rules.filter(isAsked), spoken),
    amount: action === "release" || action === "reset" ? null : amount,
    hold: hold === null || !allowed ? null : holdExpected(action, id, hold),
    rules: rules.map(({ rule, used, held, limit, admits, retryAfterMs, resetsAtMs }, i) => {
      if (modelRules[i]?.name !== rule) throw new Error(`the model has no rule ${rule}`);
      return {
        rule,
        used,
        held,
        limit,
        remaining: limit === null ? null : Math.max(0, limit - used - held),
        admits,
        retry: admits ? 0 : retryAfterMs,
        resets: resetsAtMs,
      };
    }),
  };
}

function holdExpected(
  action: Command["action"],
  id: string | undefined,
  { held, charged, excess, expired, expiresMs }: NonNullable<Verdict["hold"]>,
): unknown {
  if (action === "reserve" || action === "extend") return { id, amount: held, expiresMs };
  return { id, held, charged, excess, expired };
}

/** The rule in the result: the longest wait of those that denied, else the least left. */
function bindingOf(rules: readonly Expected[], spoken: string | null): string {
  const wait = (ms: number | null) => (ms === null ? Infinity : ms);
  const refused = rules.filter(({ admits }) => !admits);
  if (refused.length > 0) {
    const longest = Math.max(...refused.map(({ retryAfterMs }) => wait(retryAfterMs)));
    return refused.find((rule) => wait(rule.retryAfterMs) === longest)?.rule ?? "";
  }
  const left = ({ used, held, limit }: Expected) => {
    if (limit === null) return Number.MAX_VALUE;
    return limit === 0 ? -(used + held) : (limit - used - held) / limit;
  };
  const asked = rules.filter(({ rule }) => spoken === null || rule === spoken);
  const least = Math.min(...asked.map(left));
  return asked.find((rule) => left(rule) === least)?.rule ?? "";
}
