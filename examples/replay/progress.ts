const SILENT_MS = 500;
const REDRAW_MS = 100;
const BAR_CHARS = 30;

/** Shows on a terminal how far a long replay is; silent for a short one and where nobody looks. */
export class Progress {
  readonly #sizeBytes: number | null;
  #drawMs = performance.now() + SILENT_MS;
  #isDrawn = false;

  /** `sizeBytes` is null where the size of the input is not known. */
  constructor(sizeBytes: number | null) {
    this.#sizeBytes = sizeBytes;
  }

  show(readBytes: number, rows: number): void {
    if (!process.stderr.isTTY || performance.now() < this.#drawMs) return;
    this.#drawMs = performance.now() + REDRAW_MS;
    this.#isDrawn = true;
    const told = `${rows.toLocaleString("en-US")} rows`;
    process.stderr.write(`\r${this.#bar(readBytes)}${told}`);
  }

  clear(): void {
    if (this.#isDrawn) process.stderr.write("\r\u001B[K");
  }

  #bar(readBytes: number): string {
    if (this.#sizeBytes === null || this.#sizeBytes === 0) return "";
    const done = Math.min(1, readBytes / this.#sizeBytes);
    const filled = "=".repeat(Math.floor(done * BAR_CHARS));
    const percent = String(Math.floor(done * 100)).padStart(3);
    return `[${filled.padEnd(BAR_CHARS)}] ${percent} %  `;
  }
}
