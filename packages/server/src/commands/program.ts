import { Command } from "commander";
import { applyCommand } from "./apply.js";
import { completionCommand } from "./completion.js";
import { doctorCommand } from "./doctor.js";
import { exportCommand, schemaCommand } from "./export.js";
import { keyCommand } from "./key.js";
import { kindCommands } from "./kinds.js";
import { spelled, tellMistakes } from "./mistake.js";
import { serveCommand } from "./serve.js";
import { usageCommand } from "./usage.js";
import { VERSION } from "../version.js";

/** The whole command line: `ductape` with all its commands. */
export function ductapeProgram(): Command {
  const program = new Command("ductape")
    .description("Exact usage quotas: decisions, definitions, the server and its keys.")
    .version(VERSION)
    .addHelpText("after", SPELLING);
  const commands = [
    serveCommand(),
    ...kindCommands(),
    usageCommand(),
    applyCommand(),
    exportCommand(),
    schemaCommand(),
    keyCommand(),
    doctorCommand(),
    completionCommand(program),
  ];
  for (const command of commands) program.addCommand(command);
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
