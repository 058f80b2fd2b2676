import type { Denied } from "./decision.js";
import { amountText } from "../decide/amount.js";
import { DuctapeError, show } from "../base/errors.js";

/** `enforce` was denied: `result` is the denial that `run` returns. */
export class QuotaExceededError extends DuctapeError {
  readonly result: Denied;

  constructor(result: Denied) {
    const { quota_tag, rule, limit, used, retry_after_ms } = result;
    const wait = retry_after_ms === null ? "waiting cannot help" : `retry in ${retry_after_ms} ms`;
    const message =
      `quota ${show(quota_tag)} is exceeded: ${amountText(used)} of ` +
      `${limit === null ? "no limit" : amountText(limit)} used ` +
      `under rule ${show(rule)}; ${wait}`;
    super("QUOTA_EXCEEDED", message);
    this.result = result;
  }
}
