/** Receives events that no caller waits for. */
export interface Logger {
  warn(message: string, error?: unknown): void;
}
