import { amountText, type Decision, type OutagePolicy, type QuotaResult } from "ductape";

/** The effect of a decision, in one sentence. */
export function sentenceOf(result: QuotaResult<OutagePolicy>): string {
  if (result.degraded) return `${result.allowed ? "admitted" : "denied"}: the store did not answer`;
  const done = result.allowed ? doneBy(result) : deniedBy(result);
  const rule = (result.rules ?? []).length > 1 ? `, by rule ${result.rule}` : "";
  const again = result.replayed ? " (the first answer to this key, again)" : "";
  return `${done}: ${standingOf(result)}${rule}${again}`;
}

/** Who is counted. */
export function whose(subject: string | null): string {
  return subject ?? "the whole product";
}

function doneBy(result: Decision): string {
  const { action, subject } = result;
  const who = whose(subject);
  const amount = amountText(result.applied ?? result.amount);
  const before = amountText(result.previous_used ?? 0);
  switch (action) {
    case "check":
      return `would admit ${amount} for ${who}`;
    case "increment":
      return `admitted ${amount} for ${who}`;
    case "decrement":
      return `took ${tookOf(result)} from ${who}`;
    case "set":
      return `set ${who} from ${before} to ${amount}`;
    case "reset":
      return `reset ${who} from ${before} to 0`;
    case "grant":
      return `granted ${amount} to ${who}, ${untilEnd(result)}`;
    case "reserve":
      return `set ${amount} aside for ${who}`;
    case "commit":
      return `committed ${amount} for ${who}`;
    case "extend":
      return `keeps ${amount} aside for ${who}`;
    case "release":
      return `released what was set aside for ${who}`;
  }
}

/** Less than was asked if less was used. */
function tookOf({ amount, applied = amount }: Decision): string {
  const taken = amountText(applied);
  return applied === amount ? taken : `${taken} of ${amountText(amount)}`;
}

function untilEnd({ window: { end } }: Decision): string {
  return end === null ? "for good" : `until ${end}`;
}

function deniedBy({ action, amount, subject, retry_after_ms, resets_at }: Decision): string {
  const verb = action === "check" ? "would deny" : "denied";
  const waiting = retry_after_ms === null ? "waiting does not help" : `it may fit at ${resets_at}`;
  return `${verb} ${amountText(amount)} for ${whose(subject)}, ${waiting}`;
}

function standingOf({ used, limit }: Decision): string {
  const count = amountText(used);
  return limit === null
    ? `${count} used, without a limit`
    : `${count} of ${amountText(limit)} used`;
}
