import { Command } from "commander";
import { applyCommand } from "./apply.js";
import { completionCommand } from "./completion.js";
import { doctorCommand } from "./doctor.js";
import { exportCommand, schemaCommand } from "./export.js";
import { keyCommand } from "./key.js";
import { kindCommands } from "./kinds.js";
import { serveCommand } from "./serve.js";
import { usageCommand } from "./usage.js";
import { printLines, sayLines } from "../print.js";
import { VERSION } from "../version.js";

/** The whole command line: `ductape` with all its commands. */
export function ductapeProgram(): Command {
  const program = new Command("ductape")
    .description("Exact usage quotas: decisions, definitions, the server and its keys.")
    .version(VERSION)
    .exitOverride()
    .configureOutput({ writeOut: (text) => printLines(text.trimEnd()), writeErr: sayLines })
    .showHelpAfterError("(ductape --help lists the commands)");
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
  for (const command of commands) {
    command.copyInheritedSettings(program);
    for (const part of command.commands) part.copyInheritedSettings(program);
    program.addCommand(command);
  }
  return program;
}
