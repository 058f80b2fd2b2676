// How much a program gets that loads the remote client alone.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "tsdown";
import { expect, it } from "vitest";

const ENTRY = fileURLToPath(new URL("../src/remote-client.ts", import.meta.url));
const GZIP_BYTES_MAX = 12_500;

it("the remote client is one small file that loads no other", async () => {
  const outDir = mkdtempSync(join(tmpdir(), "ductape-size-"));
  const entry = { remote: ENTRY };
  await build({ entry, outDir, config: false, dts: false, minify: true, logLevel: "silent" });
  const files = readdirSync(outDir);
  const text = readFileSync(join(outDir, files[0] ?? ""), "utf8");
  rmSync(outDir, { recursive: true });
  expect(files).toHaveLength(1);
  expect(text).not.toMatch(/\bfrom\s*["'`]|\bimport\s*\(|\brequire\s*\(/);
  const bytes = gzipSync(text, { level: 9 }).length;
  console.log(`the remote client: ${bytes} bytes of gzip, ${text.length} before`);
  expect(bytes).toBeLessThan(GZIP_BYTES_MAX);
});
