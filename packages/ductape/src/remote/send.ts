import { show, StoreError } from "../base/errors.js";
import { isLeftOut, isRecord } from "../base/json.js";
import { invalid } from "../base/settings.js";
import type { Call, CallName, Place, PlaceOf, RepeatAt } from "./calls.js";
import { encode } from "./encode.js";
import type { Http } from "./http.js";

/** What a call gives beside its input. */
interface SendOptions {
  /** The values of the `:parts` of the path, in order; further ones are ignored. */
  readonly parts?: readonly unknown[];
  /** What an error calls the input. Default `input`. */
  readonly name?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  /** When to give up, on the clock of `performance.now()`. Default after the client's timeout. */
  readonly deadlineMs?: number;
}

/**
 * Makes a call whose answer is an object. Place and `repeat` are those of its row in `CALLS`. The
 * compiler compares them, so a program need not load the table. Throws like {@link send}, and
 * `STORE_UNAVAILABLE` once the client is closed.
 */
export function ask<View extends object, At extends PlaceOf<CallName>>(
  http: Http,
  place: At,
  repeat: RepeatAt<At>,
  input: unknown,
  options?: SendOptions,
): Promise<View> {
  return http.gate.pass(async () => viewOf(await send(http, place, repeat, input, options)));
}

/**
 * Sends one request, with the input as its body or its query, for a call that has passed the gate.
 * Returns the body of the answer; undefined if it has none. Throws `VALIDATION` for what cannot be
 * sent, and like {@link Http.ask}.
 */
export async function send(
  http: Http,
  place: Place,
  repeat: Call["repeat"],
  input: unknown,
  { parts = [], name = "input", headers = {}, deadlineMs }: SendOptions = {},
): Promise<unknown> {
  let next = 0;
  const [method = "", path = ""] = place
    .replace(/:\w+/g, () => segmentOf(parts[next++]))
    .split(" ");
  if (method === "POST" || method === "PATCH") {
    const until = deadlineMs === undefined ? {} : { deadlineMs };
    return http.ask({ method, path, body: encode(input, name), headers, repeat, ...until });
  }
  if (!isRecord(input)) throw invalid(name, `expects an object, got ${show(input)}`);
  return http.ask({ method, path: path + queryOf(input), headers, repeat });
}

/** An answer of the form that the server promises. Throws if it is not an object at all. */
export function viewOf<View extends object>(value: unknown): View {
  if (isView<View>(value)) return value;
  throw strangeError();
}

/** As {@link viewOf}, of an array of them. */
export function viewsOf<View extends object>(values: unknown): View[] {
  if (!Array.isArray(values)) throw strangeError();
  return values.map((value: unknown) => viewOf<View>(value));
}

function isView<View extends object>(value: unknown): value is View {
  return isRecord(value);
}

function strangeError(): StoreError {
  return new StoreError("OUTCOME_UNKNOWN", "the server's answer has an unknown form");
}

function segmentOf(part: unknown): string {
  const isName = typeof part === "string" && part !== "" && part !== "." && part !== "..";
  if (isName && part.isWellFormed()) return encodeURIComponent(part);
  throw invalid("tag", `expects a text that names a definition, got ${show(part)}`);
}

/** A query of the fields that are not left out; empty if all are. */
function queryOf(fields: Readonly<Record<string, unknown>>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) {
    if (isLeftOut(value) || value === null) continue;
    if (typeof value === "object" || typeof value === "function") {
      throw invalid(name, `expects a plain value, got ${show(value)}`);
    }
    query.set(name, String(value));
  }
  return query.size === 0 ? "" : `?${query}`;
}
