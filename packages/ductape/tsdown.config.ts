import { defineConfig } from "tsdown";
import { luaScripts } from "./lua.js";

// `tsdown --config-loader unrun`: Node's own loader would look for a file `lua.js`.
// A built package is checked as its users would load it: by ESM, by CommonJS, and by their types.
export default defineConfig({
  entry: {
    index: "src/index.ts",
    calls: "src/remote/calls.ts",
    remote: "src/remote-client.ts",
    store: "src/store.ts",
    testing: "src/testing/testing.ts",
  },
  format: ["esm", "cjs"],
  dts: true,
  plugins: [luaScripts()],
  // `await using` needs a symbol that older targets do not declare.
  banner: { dts: '/// <reference lib="esnext.disposable" />' },
  platform: "node",
  target: "node20.19",
  fixedExtension: false,
  publint: { strict: true, level: "suggestion" },
  attw: { profile: "node16", level: "error" },
});
