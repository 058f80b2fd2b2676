import { relative } from "node:path";
import type { Reporter, TestModule } from "vitest/node";

const SHOWN = 8;

/** Says at the start what a run takes, and at the end which files took longest. */
export class Slowest implements Reporter {
  onTestRunStart(): void {
    console.log("Stores are started, raced and killed: the whole takes minutes.");
    console.log(
      "`npm run check` leaves the races out; `npx vitest run NAME` runs the files of that name.",
    );
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    const timed = modules.map((each) => ({
      file: relative(process.cwd(), each.moduleId),
      seconds: each.diagnostic().duration / 1_000,
    }));
    const slowest = timed.toSorted((a, b) => b.seconds - a.seconds).slice(0, SHOWN);
    console.log("\nLongest:");
    for (const { file, seconds } of slowest)
      console.log(`${seconds.toFixed(1).padStart(6)} s  ${file}`);
  }
}
