import { ConflictError, show } from "../base/errors.js";
import { rememberingInPlaces } from "../base/memo.js";
import type { CheckOutcome, HoldOutcome, StepOutcome } from "../decide/outcome.js";
import type { Request } from "./request.js";
import { countsHolds } from "./standing.js";
import { isoOf, windowText, type ResultWindow } from "./window-text.js";

/** What a step did to a hold, in the units of the quota. */
export interface ReservationResult {
  id: string;
  /** After `reserve` and `extend`: what is set aside. */
  amount?: number;
  /** After `reserve`, `extend` and a `commit` of a part: when it expires, ISO 8601 in UTC. */
  expires_at?: string;
  /** After `commit` and `release`: what was still set aside before; 0 once expired. */
  held?: number;
  /** What this call counted. */
  charged?: number;
  /** How much of that was not set aside. */
  excess?: number;
  /** True if the hold had expired before. */
  expired?: boolean;
  /** The window it counted in, which may have ended; null for a concurrency limit. */
  window?: ResultWindow | null;
}

/** What a step did to a hold, in the units of the quota. */
export function reservationOf(
  { action, holding }: Request,
  { checks }: StepOutcome,
  { id, held, charged, excess, isExpired, expiresMs }: HoldOutcome,
  binding: CheckOutcome,
  scale: number,
): ReservationResult {
  if (action === "reserve" || action === "extend") {
    return { id, amount: held / scale, expires_at: expiryText(expiresMs) };
  }
  const counted = countsHolds(binding)
    ? (checks.find((each) => !countsHolds(each)) ?? null)
    : binding;
  const result: ReservationResult = {
    id,
    held: held / scale,
    charged: charged / scale,
    excess: excess / scale,
    expired: isExpired,
    window: counted === null ? null : { ...windowText(counted.countedIn ?? counted.window) },
  };
  if (holding?.isFinal === false) result.expires_at = expiryText(expiresMs);
  return result;
}

/** Holds expire at instants of a grid, so many share one. */
const INSTANTS_MAX = 256;
const expiryText: (atMs: number) => string = rememberingInPlaces(
  { place: (atMs) => (atMs / 256) & (INSTANTS_MAX - 1), isSame: (a, b) => a === b },
  isoOf,
);

/** The fault of an id or a key that was used with another input. */
export function conflict(request: Request): ConflictError {
  const { holding, idempotency } = request;
  if (holding !== null && holding.of !== null) {
    const message = `of: ${show(holding.of)} was taken back already, with another amount`;
    return new ConflictError("IDEMPOTENCY_CONFLICT", message);
  }
  // With both, the key was looked up first.
  const isOfHold = holding !== null && holding.reservation !== "" && idempotency === null;
  return isOfHold ? holdConflict(request, holding.reservation) : idempotencyConflict(request);
}

function holdConflict({ action }: Request, id: string): ConflictError {
  const why = {
    reserve: "was reserved with another input; give each hold an id of its own",
    extend: "is settled already; reserve again",
    commit: "is settled already, with another amount",
  };
  const known = action === "reserve" || action === "extend" ? why[action] : why.commit;
  return new ConflictError("IDEMPOTENCY_CONFLICT", `reservation: ${show(id)} ${known}`);
}

function idempotencyConflict(request: Request): ConflictError {
  return new ConflictError(
    "IDEMPOTENCY_CONFLICT",
    `idempotency_key: ${show(request.idempotency?.key)} was used with another input, and its ` +
      "answer is still kept; give each request a key of its own",
  );
}
