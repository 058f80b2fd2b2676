import { createRequire } from "node:module";
import { join } from "node:path";
import { defineConfig } from "tsdown";

const { resolve } = createRequire(import.meta.url);

/** What the page at `/docs` is made of, with its licences: nobody installs the whole package. */
const VIEWER = [
  "swagger-ui.css",
  "swagger-ui-bundle.js",
  "swagger-ui-bundle.js.LICENSE.txt",
  "LICENSE",
  "NOTICE",
].map((name) => resolve(`swagger-ui-dist/${name}`));

// A program, and the parts that tests and other programs start a server with. ESM only, as nothing
// loads it by `require`.
export default defineConfig({
  entry: ["src/main.ts", "src/index.ts"],
  format: ["esm"],
  dts: true,
  platform: "node",
  target: "node20.19",
  fixedExtension: false,
  copy: ({ outDir }) => [{ from: VIEWER, to: join(outDir, "viewer") }],
  publint: { strict: true, level: "suggestion" },
});
