import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const source = (file: string) => fileURLToPath(new URL(`packages/${file}`, import.meta.url));

const shared = {
  pool: "forks" as const,
  testTimeout: 120_000,
  hookTimeout: 60_000,
};
// Whole names, so that none is the beginning of another.
const alias = [
  { find: /^ductape\/testing$/, replacement: source("ductape/src/testing.ts") },
  { find: /^ductape\/remote$/, replacement: source("ductape/src/remote-client.ts") },
  { find: /^ductape$/, replacement: source("ductape/src/index.ts") },
  { find: /^ductape-server$/, replacement: source("server/src/index.ts") },
];

// Two projects: `unit` is what `npm run check` runs; `slow` starts processes and kills them.
export default defineConfig({
  test: {
    projects: [
      {
        resolve: { alias },
        test: { ...shared, name: "unit", include: ["packages/*/test/*.test.ts"] },
      },
      {
        resolve: { alias },
        test: { ...shared, name: "slow", include: ["packages/*/test/slow/*.test.ts"] },
      },
    ],
  },
});
