import { Command } from "commander";
import type { ServerCallName, SERVER_CALLS } from "../calls.js";
import { VERSION } from "../version.js";
import { addApply } from "./apply.js";
import { addCompletion } from "./completion.js";
import { addDoctor } from "./doctor.js";
import { addExport, addSchema } from "./export.js";
import { addKeyCreate, addKeyList, addKeyRevoke } from "./key.js";
import { addFeatureRun } from "./feature.js";
import { KIND_COMMANDS, type KindCommand } from "./kinds.js";
import { spelled, tellMistakes } from "./mistake.js";
import { addDecisions } from "./quota.js";
import { addHoldList, addHoldRelease } from "./holds.js";
import { addServe } from "./serve.js";
import { addInspect, addStart } from "./session.js";
import { addSubjects } from "./subjects.js";
import { addHistory, addTop } from "./usage.js";

/** The command of a call: `usage top`. */
type CallCommand = (typeof SERVER_CALLS)[ServerCallName]["commands"][number];
/** The command before those of calls: `usage`. */
type Above<Words> = Words extends `${infer First} ${string}` ? First : never;
/** A command that is more than one call, or none. */
type OtherCommand = "serve" | "export" | "schema" | "completion";

/** What adds its description, flags and action to each command, in the order of the help. */
const COMMANDS: Readonly<
  Record<
    CallCommand | Above<CallCommand> | KindCommand | OtherCommand,
    (command: Command, above: Command) => void
  >
> = {
  serve: addServe,
  ...KIND_COMMANDS,
  "quota run": addDecisions,
  holds: (command) => void command.description("list and release what is set aside"),
  "holds ls": addHoldList,
  "holds release": addHoldRelease,
  "feature run": addFeatureRun,
  "session start": addStart,
  "session inspect": addInspect,
  usage: (command) => void command.description("show who has used how much"),
  "usage top": addTop,
  "usage subjects": addSubjects,
  "usage history": addHistory,
  apply: addApply,
  export: addExport,
  schema: addSchema,
  key: (command) => void command.description("create, list and revoke the API keys of a store"),
  "key create": addKeyCreate,
  "key ls": addKeyList,
  "key revoke": addKeyRevoke,
  doctor: addDoctor,
  completion: addCompletion,
};

/** The whole command line: `ductape` with all its commands. */
export function ductapeProgram(): Command {
  const program = new Command("ductape")
    .description("Exact usage quotas: decisions, definitions, the server and its keys.")
    .version(VERSION)
    .addHelpText("after", SPELLING);
  for (const [words, add] of Object.entries(COMMANDS)) {
    const [name = "", noun] = words.split(" ").toReversed();
    const above = program.commands.find((each) => each.name() === noun) ?? program;
    add(above.command(name), above);
  }
  tellMistakes(program);
  return program;
}

const SPELLING = `
Flags may also be spelt like the fields: --product_tag, --quota_tag, --time_zone.`;

/** Runs a command line, given without the name of the program. Throws what the command throws. */
export async function runProgram(words: readonly string[]): Promise<void> {
  const program = ductapeProgram();
  await program.parseAsync(spelled(words, program), { from: "user" });
}
