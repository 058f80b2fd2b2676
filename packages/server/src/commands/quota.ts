import { Option, type Command } from "commander";
import {
  ERRORS,
  ValidationError,
  type Action,
  type QuotaInput,
  type QuotaResult,
  type SubjectInput,
} from "ductape";
import { printLine, printTable, say } from "../print.js";
import {
  withClient,
  withClientFlags,
  withPlaceFlags,
  type ClientFlags,
  type PrintFlags,
} from "./client.js";

/** The flags of a decision, named like the fields of its input. */
export interface QuotaFlags extends ClientFlags, PrintFlags {
  readonly env: string;
  readonly product_tag: string;
  readonly quota_tag: string;
  readonly amount?: string;
  readonly session?: string;
  readonly token?: string;
  readonly subject?: readonly string[];
  readonly cache?: string;
  readonly idempotency_key?: string;
  readonly idempotency_ttl_ms?: string;
  readonly rule?: string;
}

const ACTIONS: Readonly<Record<Action, string>> = {
  check: "tell whether an amount would be admitted; counts nothing",
  increment: "count an amount where the limit admits it",
  decrement: "give an amount back",
  set: "set what is used",
  reset: "take what is used back to zero",
  grant: "add to the limit of this window",
};

/** `ductape quota run|check|increment|...`: one decision. A denial ends with exit code 3. */
export function quotaActions(command: Command): Command {
  const run = command
    .command("run")
    .description("decide by the action of a flag")
    .addOption(
      new Option("--action <action>", "what to do").choices(actions()).makeOptionMandatory(),
    );
  const decided = withDecisionFlags(run.option("--amount <number>", AMOUNT));
  decided.action((flags: QuotaFlags & { readonly action: Action }) => decide(flags.action, flags));
  for (const action of actions()) {
    const part = command.command(action).description(ACTIONS[action]);
    part.option("--amount <number>", action === "reset" ? "ignored" : AMOUNT);
    withDecisionFlags(part).action((flags: QuotaFlags) => decide(action, flags));
  }
  return command;
}

const AMOUNT = "how much (default 1)";

function withDecisionFlags(command: Command): Command {
  withPlaceFlags(command)
    .requiredOption("--quota_tag <tag>", "tag of a quota")
    .option("--session <tag>", "tag of a session; with --token")
    .option("--token <token>", "the token of a user of the session")
    .option("--subject <name=value...>", "whose quota it is, without a session")
    .option("--cache <tag>", "tag of a cache, for a check")
    .option("--idempotency_key <key>", "counts once for 24 hours, however often it is sent")
    .option("--idempotency_ttl_ms <ms>", "keep the key for less: 1000 to 86400000 milliseconds")
    .option("--rule <name>", "which of several rules to reset, set or grant; * for all");
  return withClientFlags(command);
}

function actions(): readonly Action[] {
  return ["check", "increment", "decrement", "set", "reset", "grant"];
}

async function decide(action: Action, flags: QuotaFlags): Promise<void> {
  const input = inputOf(action, flags);
  const result = await withClient(flags, ({ processor }) => processor.quota.run(input));
  if (flags.json === true) printLine(JSON.stringify(result));
  else print(result);
  if (!result.allowed) process.exitCode = ERRORS.QUOTA_EXCEEDED.exitCode;
}

function print(result: QuotaResult): void {
  say(result.allowed ? "admitted" : "denied");
  if (result.degraded) return;
  printTable(
    ["RULE", "USED", "LIMIT", "REMAINING", "RESETS AT"],
    (result.rules ?? [result]).map(({ rule, used, limit, remaining, resets_at }) => [
      rule,
      String(used),
      String(limit ?? "none"),
      String(remaining ?? "unlimited"),
      resets_at ?? "never",
    ]),
  );
}

function inputOf(action: Action, flags: QuotaFlags): QuotaInput {
  const { env, product_tag, quota_tag, amount, session, token, subject } = flags;
  if ((session === undefined) !== (token === undefined)) {
    const [given, wanted] =
      session === undefined ? ["--token", "--session"] : ["--session", "--token"];
    throw wrong(given, `wants ${wanted} beside it`);
  }
  return {
    env,
    product_tag,
    quota_tag,
    action,
    amount: numberFlag("--amount", amount),
    session: session === undefined || token === undefined ? undefined : { tag: session, token },
    subject: subject === undefined ? undefined : subjectOf(subject),
    cache: flags.cache,
    idempotency_key: flags.idempotency_key,
    idempotency_ttl_ms: numberFlag("--idempotency_ttl_ms", flags.idempotency_ttl_ms),
    rule: flags.rule,
  };
}

function numberFlag(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value)) return value;
  throw wrong(flag, `wants a number, got "${text}"`);
}

function subjectOf(pairs: readonly string[]): SubjectInput {
  const entries = pairs.map((pair) => {
    const at = pair.indexOf("=");
    if (at < 1) throw wrong("--subject", `wants name=value, got "${pair}"`);
    return [pair.slice(0, at), pair.slice(at + 1)] as const;
  });
  return Object.fromEntries(entries);
}

function wrong(path: string, message: string): ValidationError {
  return new ValidationError([{ path, message }]);
}
