#!/usr/bin/env node
import { Command, CommanderError } from "commander";
import { applyCommand } from "./commands/apply.js";
import { completionCommand } from "./commands/completion.js";
import { doctorCommand } from "./commands/doctor.js";
import { exportCommand, schemaCommand } from "./commands/export.js";
import { keyCommand } from "./commands/key.js";
import { kindCommands } from "./commands/kinds.js";
import { serveCommand } from "./commands/serve.js";
import { usageCommand } from "./commands/usage.js";
import { sayFault } from "./print.js";
import { VERSION } from "./version.js";

const USAGE = 2;

const program = new Command("ductape")
  .description("Exact usage quotas: decisions, definitions, the server and its keys.")
  .version(VERSION)
  .exitOverride()
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

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : USAGE;
  else process.exitCode = sayFault(error);
}
