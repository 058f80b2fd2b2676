import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const source = (file: string) =>
  fileURLToPath(new URL(`packages/ductape/src/${file}`, import.meta.url));

const shared = {
  pool: "forks" as const,
  testTimeout: 120_000,
  hookTimeout: 60_000,
};
const alias = { "ductape/testing": source("testing.ts"), ductape: source("index.ts") };

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
