import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { luaScripts } from "./packages/ductape/lua.js";
import { Mixed } from "./packages/ductape/test/mixed.js";
import { Slowest } from "./packages/ductape/test/slowest.js";

const source = (file: string) => fileURLToPath(new URL(`packages/${file}`, import.meta.url));

const shared = {
  pool: "forks" as const,
  testTimeout: 120_000,
  hookTimeout: 60_000,
};
// Whole names, so that none is the beginning of another.
const alias = [
  { find: /^ductape\/calls$/, replacement: source("ductape/src/remote/calls.ts") },
  { find: /^ductape\/store$/, replacement: source("ductape/src/store.ts") },
  { find: /^ductape\/testing$/, replacement: source("ductape/src/testing/testing.ts") },
  { find: /^ductape\/remote$/, replacement: source("ductape/src/remote-client.ts") },
  { find: /^ductape$/, replacement: source("ductape/src/index.ts") },
  { find: /^ductape-server$/, replacement: source("server/src/index.ts") },
];

// Where `.ci/run` reads what has passed.
const report = process.env["TEST_REPORT"];
const asJson = (outputFile: string): ["json", { outputFile: string }] => ["json", { outputFile }];

// Two projects: `unit` is what `npm run check` runs; `slow` starts processes and kills them.
// One worker more than cores, as many files wait for the servers and processes they start.
export default defineConfig({
  test: {
    globalSetup: "packages/ductape/test/built-folder.ts",
    maxWorkers: availableParallelism() + 1,
    sequence: { sequencer: Mixed },
    reporters: ["default", new Slowest(), ...(report === undefined ? [] : [asJson(report)])],
    projects: [
      {
        plugins: [luaScripts()],
        resolve: { alias },
        test: { ...shared, name: "unit", include: ["packages/*/test/*.test.ts"] },
      },
      {
        plugins: [luaScripts()],
        resolve: { alias },
        test: { ...shared, name: "slow", include: ["packages/*/test/slow/*.test.ts"] },
      },
    ],
  },
});
