import { visible } from "ductape";
import { pino, type DestinationStream, type Logger } from "pino";
import { say } from "./print.js";

/** A sink for lines, such as a stream. */
export interface LineSink {
  /** Accepts one line of JSON with its line break. */
  write(line: string): void;
}

/** Where lines go: standard output, nowhere, a file to append to, or a stream. */
export type LogTarget = "-" | "off" | { readonly file: string } | LineSink;

/** With `now`, each line is written before the call that logs it returns. */
type Care = "now" | "soon";

/** A log of JSON lines, one for each event; null if it is off. */
export function openLog(name: string, target: LogTarget, care: Care): Logger | null {
  if (target === "off") return null;
  const options = {
    base: { log: name },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (level: string) => ({ level }) },
  };
  return pino(options, streamOf(target, care));
}

function streamOf(target: Exclude<LogTarget, "off">, care: Care): DestinationStream {
  if (typeof target === "object" && "write" in target) return target;
  const dest = target === "-" ? 1 : target.file;
  const sync = care === "now";
  const stream = pino.destination({
    dest,
    append: true,
    mkdir: true,
    sync,
    minLength: sync ? 0 : 4_096,
    periodicFlush: sync ? 0 : 250,
  });
  // A log that cannot be written must not crash the server.
  stream.on("error", (error: Error) => say(`log: ${error.message}`, "ductape:"));
  return target === "-" ? visibleStream(stream) : stream;
}

/**
 * Standard output may be a terminal, so control characters are escaped, which does not change the
 * meaning of JSON.
 */
function visibleStream(stream: ReturnType<typeof pino.destination>): DestinationStream {
  const write = (line: string): void => void stream.write(`${visible(line.trimEnd())}\n`);
  return Object.assign({ write }, { flush: stream.flush.bind(stream) });
}

/** Writes the buffered lines; resolves when they are written. */
export function flushLog(logger: Logger | null): Promise<void> {
  return new Promise((resolve) => {
    if (logger === null) return resolve();
    logger.flush(() => resolve());
  });
}
