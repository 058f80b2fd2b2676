import { BaseSequencer, type TestSpecification } from "vitest/node";

/**
 * Runs files that mostly wait beside files that mostly compute, so that no core is idle: spreads
 * the files of each project over the whole run, each project's longest first.
 */
export class Mixed extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const placed = sorted.map((file) => {
      const ofProject = sorted.filter(({ project }) => project === file.project);
      return { file, place: ofProject.indexOf(file) / ofProject.length };
    });
    return placed.toSorted((a, b) => a.place - b.place).map(({ file }) => file);
  }
}
