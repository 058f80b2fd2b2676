import { CommanderError } from "commander";
import { runProgram } from "./commands/program.js";
import { sayFault } from "./print.js";

const USAGE = 2;

try {
  await runProgram(process.argv.slice(2));
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : USAGE;
  else process.exitCode = sayFault(error);
}
