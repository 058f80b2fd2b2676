import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { execFileSync } from "node:child_process";
import { build } from "tsdown";
import { afterAll, describe, expect, it } from "vitest";
import { compactScript, luaScripts, scriptSource } from "../lua.js";

const MODULE = fileURLToPath(new URL("../src/stores/redis/scripts.ts", import.meta.url));
const print = (module: string) =>
  `import { scriptText } from ${JSON.stringify(pathToFileURL(module))};
  console.log(JSON.stringify([scriptText("apply"), scriptText("documents")]));`;

describe("the scripts of the Redis store", () => {
  const outDir = mkdtempSync(join(tmpdir(), "ductape-scripts-"));
  const wanted = ["apply", "documents"].map((name) => compactScript(scriptSource(name)));
  afterAll(() => rmSync(outDir, { recursive: true }));

  it("are whole, without comments", () => {
    for (const text of wanted) expect(text).not.toMatch(/^\s*(--.*)?$/m);
  });

  it("are read from source if nothing was built", () => {
    expect(textsOf(MODULE)).toEqual(wanted);
  });

  it("are part of what is built", async () => {
    const entry = { scripts: MODULE };
    const plugins = [luaScripts()];
    await build({ entry, outDir, plugins, config: false, dts: false, logLevel: "silent" });
    expect(textsOf(join(outDir, "scripts.mjs"))).toEqual(wanted);
  });
});

/** What the module gives in a process of its own. */
function textsOf(module: string): unknown {
  const args = ["--import", "tsx", "--input-type=module", "--eval", print(module)];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" }));
}
