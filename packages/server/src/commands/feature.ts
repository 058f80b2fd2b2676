import type { Command } from "commander";
import { ERRORS, ValidationError, type FeatureAnswer, type OutagePolicy } from "ductape";
import { printLine, printLines, say } from "../print.js";
import {
  withClient,
  withClientFlags,
  withPlaceFlags,
  type ClientFlags,
  type PrintFlags,
} from "./client.js";
import { sentenceOf } from "./sentence.js";
import { sessionOf } from "./session.js";
import { SUBJECT_FLAG, subjectOf } from "./subject.js";

interface FeatureFlags extends ClientFlags, PrintFlags {
  readonly product: string;
  readonly env: string;
  readonly input?: string;
  readonly session?: string;
  readonly token?: string;
  readonly subject?: readonly string[];
  readonly cache?: string;
}

/** `ductape feature run`: runs the handler at a feature's URL. A denial exits with 3. */
export function addFeatureRun(command: Command): void {
  withPlaceFlags(
    command
      .argument("<tag>", "tag of a feature")
      .description("reserve the quotas of a feature, call its handler, and charge what it used"),
  )
    .option("--input <json>", "the input, as the definition describes it")
    .option("--session <tag>", "tag of a session; with --token")
    .option("--token <token>", "the token of a user of the session")
    .option("--subject <value...>", SUBJECT_FLAG)
    .option("--cache <tag>", "tag of a cache, which may repeat a denial");
  withClientFlags(command).action((tag: string, flags: FeatureFlags) => run(tag, flags));
}

async function run(tag: string, flags: FeatureFlags): Promise<void> {
  const { product, env, input, subject, cache } = flags;
  const asked = {
    product_tag: product,
    env,
    feature_tag: tag,
    input: input === undefined ? undefined : inputOf(input),
    session: sessionOf(flags),
    subject: subject === undefined ? undefined : subjectOf(subject),
    cache,
  };
  const answer = await withClient(flags, ({ processor }) => processor.feature.run(asked));
  print(answer, flags);
  if (!answer.allowed) process.exitCode = ERRORS.QUOTA_EXCEEDED.exitCode;
}

/** Data is the output; what its quotas say is talk. */
function print(answer: FeatureAnswer<OutagePolicy>, { json }: FeatureFlags): void {
  if (json === true) return printLine(JSON.stringify(answer));
  for (const result of answer.quotas) say(`${result.quota_tag}: ${sentenceOf(result)}`);
  if (!answer.allowed) return;
  for (const { path, message } of answer.issues ?? []) say(`careful: ${path}: ${message}`);
  printLines(JSON.stringify(answer.output ?? null, null, 2));
}

function inputOf(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text);
  } catch (error) {
    const message = `expects JSON such as '{"pages":3}'`;
    throw new ValidationError([{ path: "--input", message }], { cause: error });
  }
}
