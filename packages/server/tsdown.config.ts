import { defineConfig } from "tsdown";

// A program, and the parts that tests and other programs start a server with. ESM only, as nothing
// loads it by `require`.
export default defineConfig({
  entry: ["src/main.ts", "src/index.ts"],
  format: ["esm"],
  dts: true,
  platform: "node",
  target: "node20.19",
  fixedExtension: false,
  publint: { strict: true, level: "suggestion" },
});
