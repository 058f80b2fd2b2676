/** Where the library tells what no caller waits for. */
export interface Logger {
  warn(message: string, error?: unknown): void;
}
