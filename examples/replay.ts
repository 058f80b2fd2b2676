// Replays an access log through a candidate limit: what would it have refused, when, and to whom?
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { Ductape, DuctapeError, ValidationError, visible } from "ductape";
import { BadInput, HELP, parseOptions, type Options } from "./replay/options.js";
import { Progress } from "./replay/progress.js";
import { jsonOf, textOf } from "./replay/report.js";
import { rowsOf, wrong, type Row } from "./replay/rows.js";
import { Tally } from "./replay/tally.js";

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});

try {
  const options = parseOptions(process.argv.slice(2));
  process.stdout.write(options === null ? HELP : await replay(options));
} catch (error) {
  const message = explain(error);
  if (message === null) throw error;
  process.stderr.write(`replay: ${visible(message)}\n`);
  process.exitCode = 2;
}

async function replay(options: Options): Promise<string> {
  let nowMs = 0;
  await using ductape = new Ductape({ store: "memory:", clock: () => nowMs });
  await define(ductape, options);
  const log = await openLog(options.file);
  const tally = new Tally();
  const progress = new Progress(log.sizeBytes);
  try {
    for await (const rows of rowsOf(log.chunks)) {
      for (const row of rows) {
        nowMs = row.atMs;
        try {
          tally.add(row, await refusalOf(ductape, row, options));
        } catch (error) {
          throw rowError(error, row);
        }
      }
      progress.show(log.readBytes(), tally.asked.requests);
    }
  } finally {
    progress.clear();
  }
  return options.json ? jsonOf(tally, options) : textOf(tally, options);
}

/** The limit to try, and calendar windows to report when a rolling one refused. */
async function define(ductape: Ductape, options: Options): Promise<void> {
  const { limit, period, window, zone, scope } = options;
  const shape = { period, time_zone: zone };
  const { product } = ductape;
  await product.create({ tag: "replay", name: "Replay" });
  await product.environments.create("replay", { env_name: "Log", slug: "log" });
  try {
    await product.quotas.create("replay", {
      ...shape,
      tag: "limit",
      limit,
      window,
      scope: scope === "client" ? "$Session{client}" : "product",
    });
    await product.quotas.create("replay", { ...shape, tag: "calendar", limit: null });
  } catch (error) {
    throw error instanceof ValidationError ? new BadInput(optionText(error)) : error;
  }
}

function optionText({ issues }: ValidationError): string {
  const told = issues.map(({ path, message }) => {
    const name = path === "time_zone" ? "zone" : path.split(".", 1)[0];
    return `--${name} ${message}`;
  });
  return told.join("; ");
}

/** The window that refuses the row, or null if it is admitted. */
async function refusalOf(ductape: Ductape, row: Row, { amount, scope, window }: Options) {
  const { quota } = ductape.processor;
  const decision = await quota.run({
    env: "log",
    product_tag: "replay",
    quota_tag: "limit",
    action: "increment",
    amount: amount === "bytes" ? row.bytes : 1,
    subject: scope === "client" ? row.client : undefined,
  });
  if (decision.allowed) return null;
  if (window === "calendar") return decision.window;
  const calendar = await quota.run({
    env: "log",
    product_tag: "replay",
    quota_tag: "calendar",
    action: "check",
  });
  return calendar.window;
}

/** A mistake of a row in the words of the log. */
function rowError(error: unknown, { line }: Row): unknown {
  if (!(error instanceof ValidationError)) return error;
  const [issue] = error.issues;
  if (issue?.path.startsWith("subject")) return wrong(line, "client", issue.message);
  return wrong(line, "row", error.message);
}

async function openLog(file: string) {
  if (file === "-") {
    return { chunks: process.stdin.setEncoding("utf8"), sizeBytes: null, readBytes: () => 0 };
  }
  const { size: sizeBytes } = await stat(file);
  const chunks = createReadStream(file, { encoding: "utf8", highWaterMark: 262_144 });
  return { chunks, sizeBytes, readBytes: () => chunks.bytesRead };
}

/** The one-line message of a user's mistake; null for any other error. */
function explain(error: unknown): string | null {
  if (error instanceof BadInput) return error.message;
  if (DuctapeError.is(error) && error.code === "VALIDATION") return error.message;
  if (!(error instanceof Error) || !("syscall" in error)) return null;
  return `cannot read the log: ${error.message}`;
}
