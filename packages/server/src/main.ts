import { CommanderError } from "commander";
import { ductapeProgram } from "./commands/program.js";
import { sayFault } from "./print.js";

const USAGE = 2;

try {
  await ductapeProgram().parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : USAGE;
  else process.exitCode = sayFault(error);
}
