import { show, ValidationError, visible } from "./errors.js";
import type { Logger } from "./logger.js";
import { isLeftOut, isRecord } from "./json.js";

/** The value of an option or its variable, and which of the two was set. */
export interface Setting {
  readonly path: string;
  readonly value: unknown;
}

/** An option overrides its variable; `{}` means that the option is left out. */
export function settingOf(name: string, value: unknown, variable: string): Setting {
  if (!isLeftOut(value)) return { path: `options.${name}`, value };
  return { path: variable, value: process.env[variable] };
}

const TIMEOUT_MS_DEFAULT = 5_000;
/** The longest wait of a timer of the runtime. */
const TIMEOUT_MS_MAX = 2 ** 31 - 1;

/** How long calls wait, in milliseconds: from the option, `DUCTAPE_TIMEOUT_MS`, or 5000. */
export function parseTimeout(option: unknown): number {
  const { path, value = TIMEOUT_MS_DEFAULT } = settingOf("timeoutMs", option, "DUCTAPE_TIMEOUT_MS");
  const isText = path === "DUCTAPE_TIMEOUT_MS" && /^\d+$/.test(String(value));
  return checkTimeout(isText ? Number(value) : value, path);
}

/** A wait in milliseconds. Throws `VALIDATION`. */
export function checkTimeout(timeoutMs: unknown, path: string): number {
  if (typeof timeoutMs === "number" && timeoutMs > 0 && timeoutMs <= TIMEOUT_MS_MAX) {
    return timeoutMs;
  }
  const wanted = `expects milliseconds above 0, at most ${TIMEOUT_MS_MAX}`;
  throw invalid(path, `${wanted}, got ${show(timeoutMs)}`);
}

/**
 * What to answer while the store cannot: throw its fault, or return a marked result that admits
 * (`allow`) or denies (`deny`).
 */
export type OutagePolicy = "throw" | "allow" | "deny";

/** What to answer while the store cannot: from the option, `DUCTAPE_ON_STORE_ERROR`, or "throw". */
export function parsePolicy(option: unknown): OutagePolicy {
  const setting = settingOf("onStoreError", option, "DUCTAPE_ON_STORE_ERROR");
  const { path, value = "throw" } = setting;
  if (value === "throw" || value === "allow" || value === "deny") return value;
  throw invalid(path, `expects throw, allow or deny, got ${show(value)}`);
}

/**
 * A logger that never throws: one that fails must not fail a call or the process. Default
 * `console`.
 */
export function parseLogger(logger: Logger | undefined): Logger {
  if (isLeftOut(logger)) return consoleLogger;
  if (!isRecord(logger) || typeof logger["warn"] !== "function") {
    throw invalid("options.logger", `expects an object with warn, got ${show(logger)}`);
  }
  return {
    warn(message, error) {
      try {
        logger.warn(message, error);
      } catch {
        // There is nowhere left to report this.
      }
    },
  };
}

const consoleLogger: Logger = {
  warn(message, error) {
    console.warn(`ductape: ${visible(message)}`, ...(error === undefined ? [] : [error]));
  },
};

/** The fault of one wrong option or field. */
export function invalid(path: string, message: string): ValidationError {
  return new ValidationError([{ path, message }]);
}
