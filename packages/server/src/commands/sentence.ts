import { amountText, visible, type Decision, type OutagePolicy, type QuotaResult } from "ductape";

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
      return `set ${amount} aside for ${who} as ${holdOf(result)}`;
    case "commit":
      return `counted ${amount} of ${holdOf(result)} for ${who}${lateOf(result)}`;
    case "extend":
      return `keeps ${amount} aside for ${who} as ${holdOf(result)}`;
    case "release":
      return `released ${heldBy(result)} of ${holdOf(result)} for ${who}`;
  }
}

/** The id of a hold and, while it is open, when it expires. */
function holdOf({ reservation }: Decision): string {
  const { id = "", expires_at } = reservation ?? {};
  return `hold ${visible(id)}${expires_at === undefined ? "" : ` until ${expires_at}`}`;
}

const heldBy = ({ reservation }: Decision): string => amountText(reservation?.held ?? 0);

function lateOf({ reservation }: Decision): string {
  if (reservation === undefined) return "";
  const { excess = 0, expired = false } = reservation;
  const past = excess > 0 ? `, ${amountText(excess)} more than was held` : "";
  return `${past}${expired ? ", after it had expired" : ""}`;
}

/** Less than was asked if less was used. */
function tookOf({ amount, applied = amount }: Decision): string {
  const taken = amountText(applied);
  return applied === amount ? taken : `${taken} of ${amountText(amount)}`;
}

function untilEnd({ window }: Decision): string {
  const end = window?.end ?? null;
  return end === null ? "for good" : `until ${end}`;
}

function deniedBy({ action, amount, subject, ...result }: Decision): string {
  const verb = action === "check" ? "would deny" : "denied";
  const waiting = waitOf(result);
  return `${verb} ${amountText(amount)} for ${whose(subject)}, ${waiting}`;
}

function waitOf({
  retry_after_ms,
  resets_at,
  held,
}: Pick<Decision, "retry_after_ms" | "resets_at" | "held">): string {
  if (retry_after_ms === null) return "waiting does not help";
  // What is held may be free before the window ends.
  if (held === 0 && resets_at !== null) return `it may fit at ${resets_at}`;
  return `it may fit in ${Math.ceil(retry_after_ms / 1_000)} s`;
}

function standingOf({ used, held, limit, period }: Decision): string {
  const most = limit === null ? "" : ` of ${amountText(limit)}`;
  const free = limit === null ? ", without a limit" : "";
  if (period === null) return `${held}${most} holds open${free}`;
  const aside = held === 0 ? "" : ` and ${amountText(held)} held`;
  return `${amountText(used)}${most} used${aside}${free}`;
}
