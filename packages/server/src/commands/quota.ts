import { Option, type Command } from "commander";
import {
  ACTIONS,
  amountText,
  DuctapeError,
  ERRORS,
  ValidationError,
  type Action,
  type Client,
  type OutagePolicy,
  type QuotaInput,
  type QuotaResult,
} from "ductape";
import { printLine, printTable, say } from "../print.js";
import {
  withClient,
  withClientFlags,
  withPlaceFlags,
  withYesFlag,
  type ClientFlags,
  type PrintFlags,
} from "./client.js";
import { counted, mayDo } from "./confirm.js";
import { sentenceOf, whose } from "./sentence.js";
import { sessionOf } from "./session.js";
import { SUBJECT_FLAG, subjectOf } from "./subject.js";

/** The flags of a decision, named like the fields of its input. */
interface QuotaFlags extends ClientFlags, PrintFlags {
  readonly env: string;
  readonly product: string;
  readonly quota: string;
  readonly amount?: string;
  readonly session?: string;
  readonly token?: string;
  readonly subject?: readonly string[];
  readonly cache?: string;
  readonly idempotencyKey?: string;
  readonly idempotencyTtlMs?: string;
  readonly rule?: string;
  readonly reservation?: string;
  readonly ttlMs?: string;
  readonly atLeast?: string;
  readonly final?: string;
  readonly onExceed?: "reject" | "allow";
  readonly reason?: string;
  readonly of?: string;
  readonly yes?: boolean;
}

const ABOUT: Readonly<Record<Action, string>> = {
  check: "show whether an amount would be admitted; counts nothing",
  increment: "count an amount if the limit admits it",
  decrement: "give an amount back",
  set: "set what is used",
  reset: "set what is used to zero",
  grant: "raise the limit of this window",
  reserve: "set an amount aside if the limit admits it",
  commit: "count what was used of a hold, and free the rest",
  extend: "keep a hold for longer, or change its amount",
  release: "free a hold; counts nothing",
};

/** `ductape quota run`, and `check`, `increment` and so on: one decision. A denial exits with 3. */
export function addDecisions(run: Command, quota: Command): void {
  run
    .description("decide with the action of a flag")
    .addOption(
      new Option("--action <action>", "what to do").choices(ACTIONS).makeOptionMandatory(),
    );
  run.option("--amount <number>", AMOUNT.increment);
  for (const [option] of HOLD_OPTIONS) run.addOption(option());
  const decided = withYesFlag(withDecisionFlags(run));
  decided.action((flags: QuotaFlags & { readonly action: Action }) => decide(flags.action, flags));
  for (const action of ACTIONS) {
    const part = quota.command(action).description(ABOUT[action]);
    const amount = AMOUNT[action];
    if (amount !== null) part.option("--amount <number>", amount);
    for (const [option, actions] of HOLD_OPTIONS) {
      const isNeeded = action !== "reserve" && option().long === "--reservation";
      if (actions.includes(action)) part.addOption(option().makeOptionMandatory(isNeeded));
    }
    if (action === "reset") withYesFlag(part);
    withDecisionFlags(part).action((flags: QuotaFlags) => decide(action, flags));
  }
}

/** What `--amount` means for each action; null: it has no meaning. */
const AMOUNT: Readonly<Record<Action, string | null>> & { readonly increment: string } = {
  check: "how much (default 1)",
  increment: "how much (default 1)",
  decrement: "how much (default 1; with --of all that was charged)",
  set: "how much",
  reset: "ignored",
  grant: "how much",
  reserve: "how much (default 1)",
  commit: "how much was used (default all that is held)",
  extend: "the new whole amount (default unchanged)",
  release: null,
};

/** Each flag of holds, and the actions that it belongs to. */
const HOLD_OPTIONS: readonly (readonly [() => Option, readonly Action[]])[] = [
  [
    () => new Option("--reservation <id>", "the id of a hold (a reserve makes one)"),
    ["reserve", "commit", "extend", "release"],
  ],
  [
    () => new Option("--ttl-ms <ms>", "how long to hold it: 1000 to 86400000 (default 600000)"),
    ["reserve", "extend"],
  ],
  [
    () => new Option("--at-least <number>", "take less, if that is at least this much"),
    ["reserve", "increment"],
  ],
  [
    () =>
      new Option("--final <flag>", "false: count a part and keep the rest held").choices([
        "true",
        "false",
      ]),
    ["commit"],
  ],
  [
    () =>
      new Option("--on-exceed <what>", "allow: count past the limit what has happened").choices([
        "reject",
        "allow",
      ]),
    ["increment", "commit"],
  ],
  [() => new Option("--reason <text>", "why, for the audit log"), ["release"]],
  [
    () => new Option("--of <id>", "take back one charge: an idempotency key, or the id of a hold"),
    ["decrement"],
  ],
];

function withDecisionFlags(command: Command): Command {
  withPlaceFlags(command)
    .requiredOption("--quota <tag>", "tag of a quota")
    .option("--session <tag>", "tag of a session; with --token")
    .option("--token <token>", "the token of a user of the session")
    .option("--subject <value...>", SUBJECT_FLAG)
    .option("--cache <tag>", "tag of a cache, for a check")
    .option("--idempotency-key <key>", "count once in 24 hours, however often it is sent")
    .option(
      "--idempotency-ttl-ms <ms>",
      "keep the key for less time: 1000 to 86400000 milliseconds",
    )
    .option("--rule <name>", "the rule to reset, set or grant, of several; * for all");
  return withClientFlags(command);
}

async function decide(action: Action, flags: QuotaFlags): Promise<void> {
  const input = inputOf(action, flags);
  const result = await withClient(flags, async (client) => {
    const asks = action === "reset" && flags.yes !== true;
    if (asks && !(await mayReset(client, input))) return null;
    return client.processor.quota.run(input);
  });
  if (result === null) return;
  if (flags.json === true) printLine(JSON.stringify(result));
  else print(result);
  if (!result.allowed) process.exitCode = ERRORS.QUOTA_EXCEEDED.exitCode;
}

/** Asks before a reset of all rules, or of a shared counter. */
async function mayReset({ processor }: Client<OutagePolicy>, input: QuotaInput): Promise<boolean> {
  const { env, product_tag, quota_tag, session, subject, rule } = input;
  const check = {
    env,
    product_tag,
    quota_tag,
    session,
    subject,
    action: "check",
    amount: 0,
  } as const;
  const looked = await processor.quota.run(check).catch((error: unknown) => {
    // A key that may reset does not always have permission to check.
    if (DuctapeError.is(error) && error.code === "FORBIDDEN") return null;
    throw error;
  });
  if (looked === null || looked.degraded) return mayDo("reset what this key cannot check");
  const all = looked.rules ?? [looked];
  const reset = typeof rule === "string" && rule !== "*" ? all.filter((r) => r.rule === rule) : all;
  const isWide = rule === "*" || reset.some((each) => each.subject === null);
  // Several rules without --rule are a mistake, which the reset itself reports.
  const isMistake = reset.length === 0 || (reset.length > 1 && rule !== "*");
  if (!isWide || isMistake) return true;
  const places = reset.map(
    (each) => `rule ${each.rule}: ${each.used} used by ${whose(each.subject)}`,
  );
  return mayDo(`reset ${counted(reset.length)} of quota ${quota_tag} (${places.join("; ")})`);
}

function print(result: QuotaResult<OutagePolicy>): void {
  say(sentenceOf(result));
  if (result.degraded) return;
  const rules = result.rules ?? [result];
  const areHeld = rules.some(({ held }) => held > 0);
  printTable(
    ["RULE", "USED", ...(areHeld ? ["HELD"] : []), "LIMIT", "REMAINING", "RESETS AT"],
    rules.map(({ rule, used, held, limit, remaining, resets_at }) => [
      rule,
      amountText(used),
      ...(areHeld ? [amountText(held)] : []),
      limit === null ? "none" : amountText(limit),
      remaining === null ? "unlimited" : amountText(remaining),
      resets_at ?? "never",
    ]),
  );
}

function inputOf(action: Action, flags: QuotaFlags): QuotaInput {
  const { env, product, quota, amount, subject } = flags;
  return {
    env,
    product_tag: product,
    quota_tag: quota,
    action,
    amount: numberFlag("--amount", amount),
    session: sessionOf(flags),
    subject: subject === undefined ? undefined : subjectOf(subject),
    cache: flags.cache,
    idempotency_key: flags.idempotencyKey,
    idempotency_ttl_ms: numberFlag("--idempotency-ttl-ms", flags.idempotencyTtlMs),
    rule: flags.rule,
    reservation: flags.reservation,
    ttl_ms: numberFlag("--ttl-ms", flags.ttlMs),
    at_least: numberFlag("--at-least", flags.atLeast),
    final: flags.final === undefined ? undefined : flags.final === "true",
    on_exceed: flags.onExceed,
    reason: flags.reason,
    of: flags.of,
  };
}

function numberFlag(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value)) return value;
  throw wrong(flag, `expects a number, got "${text}"`);
}

function wrong(path: string, message: string): ValidationError {
  return new ValidationError([{ path, message }]);
}
