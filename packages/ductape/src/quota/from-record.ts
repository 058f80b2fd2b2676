import type { StepOutcome } from "../decide/outcome.js";
import type { Step } from "../decide/plan.js";
import type { CompiledQuota } from "../define/quota.js";
import type { Identity } from "../define/subject.js";
import type { Store } from "../stores/store.js";
import { planRefund } from "./refund.js";
import type { Request } from "./request.js";
import { noHold, planSettlement } from "./settlement.js";

/** A request whose quota and caller are known. */
export interface Asked {
  readonly request: Request;
  /** Null: no session. */
  readonly identity: Identity | null;
  readonly quota: CompiledQuota;
}

/**
 * True if a request is planned from what the store keeps of a hold or a charge: it names neither
 * session nor subject, or `isStale`: the plan for the current windows was not the right one.
 */
export function isFromRecord({ request, identity, quota }: Asked, isStale: boolean): boolean {
  const { holding, action, subject } = request;
  if (holding === null) return false;
  if (holding.of !== null) return true;
  if (holding.reservation === "" || action === "reserve") return false;
  return isStale || (identity === null && subject === null && quota.scopes.length > 0);
}

/** True if a hold was not found by the current rules: they may have changed since. */
export function isUnknownYet({ hold }: Step, { status }: StepOutcome): boolean {
  return hold !== null && hold.openedMs === 0 && status === "unknown";
}

/**
 * Reads what the store keeps of a hold or a charge, and plans from it. Throws `VALIDATION`,
 * `SUBJECT_REQUIRED`, `RESERVATION_NOT_FOUND`, `STORE_UNAVAILABLE`.
 */
export async function planFromRecord(
  { request, identity, quota }: Asked,
  { records }: Store,
  clock: () => number,
): Promise<Step> {
  const { holding } = request;
  if (holding === null) throw new Error(`${request.action} needs no record`);
  const place = { space: quota.answerSpace, shardKey: quota.rules[0].terms.shardKey };
  const { of } = holding;
  const hold = await records.hold(place, of ?? holding.reservation);
  if (of !== null) {
    const answerText = hold === null ? await records.answer(place, of) : null;
    return planRefund(request, holding, of, identity, quota, { hold, answerText }, clock());
  }
  if (hold === null) throw noHold(request, holding.reservation);
  return planSettlement(request, holding, identity, quota, hold, clock());
}
