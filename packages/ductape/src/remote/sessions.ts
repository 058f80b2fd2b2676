import { renamedFault } from "../base/errors.js";
import { isRecord } from "../base/json.js";
import type { SessionCalls } from "../client/client.js";
import type { CallName, PlaceOf, RepeatAt } from "./calls.js";
import type { Http } from "./http.js";
import { ask, viewOf } from "./send.js";

/** Session fields with different names on the wire. */
const WIRE: ReadonlyMap<string, string> = new Map(
  ["refreshToken", "sessionId", "expiresAt", "createdAt", "refreshedAt", "revokedAt"].map(
    (name) => [name, name.replace(/[A-Z]/, (letter) => `_${letter.toLowerCase()}`)],
  ),
);
const OURS: ReadonlyMap<string, string> = new Map([...WIRE].map(([ours, wire]) => [wire, ours]));

/** `processor.sessions` through a server, with the library's field names. */
export function sessionCalls(http: Http): SessionCalls {
  const asked = async <View extends object, At extends PlaceOf<CallName>>(
    place: At,
    repeat: RepeatAt<At>,
    input: unknown,
  ): Promise<View> => {
    const given = isRecord(input) ? renamed(input, WIRE) : input;
    return ask<View, At>(http, place, repeat, given).catch((error: unknown) => {
      throw renamedFault(error, oursIn);
    });
  };
  return {
    start: async (input) => viewOf(ours(await asked("POST /v1/sessions/start", "once", input))),
    decrypt: (input) => asked("POST /v1/sessions/decrypt", "safe", input),
    refresh: async (input) =>
      viewOf(ours(await asked("POST /v1/sessions/refresh", "idempotent", input))),
    revoke: (input) => asked("POST /v1/sessions/revoke", "once", input),
    async list(input) {
      const page: { readonly sessions?: unknown } = await asked(
        "POST /v1/sessions/list",
        "safe",
        input,
      );
      const { sessions } = page;
      return viewOf({ ...page, sessions: Array.isArray(sessions) ? sessions.map(ours) : [] });
    },
  };
}

const ours = (view: unknown): unknown => (isRecord(view) ? renamed(view, OURS) : view);

function renamed(fields: Record<string, unknown>, names: ReadonlyMap<string, string>) {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [names.get(name) ?? name, value]),
  );
}

/**
 * Text with the library's field names; quoted parts are values that were sent and stay unchanged.
 */
function oursIn(text: string): string {
  return text.replace(/(?<![\w"])[a-z]+_[a-z]+(?![\w"])/g, (name) => OURS.get(name) ?? name);
}
