import type { SessionCalls } from "../client/client.js";
import { isRecord } from "../base/json.js";
import { viewOf } from "./definitions.js";
import { encode } from "./encode.js";
import { renamedFault } from "./faults.js";
import type { Http } from "./http.js";

/** Session fields with different names on the wire. */
const WIRE: ReadonlyMap<string, string> = new Map(
  ["refreshToken", "sessionId", "expiresAt", "createdAt", "refreshedAt", "revokedAt"].map(
    (name) => [name, name.replace(/[A-Z]/, (letter) => `_${letter.toLowerCase()}`)],
  ),
);
const OURS: ReadonlyMap<string, string> = new Map([...WIRE].map(([ours, wire]) => [wire, ours]));

/** `processor.sessions` through a server, with the library's field names. */
export function sessionsOf(http: Http): SessionCalls {
  const post =
    (name: string, told: { readonly isSafe?: boolean; readonly isRead?: boolean } = {}) =>
    async (input: unknown) => {
      const given = isRecord(input) ? renamed(input, WIRE) : input;
      const body = encode(given, "input");
      const call = http.call({ method: "POST", path: `/v1/sessions/${name}`, body, ...told });
      return call.catch((error: unknown) => {
        throw renamedFault(error, oursIn);
      });
    };
  const read = { isSafe: true, isRead: true };
  const [start, decrypt, revoke] = [post("start"), post("decrypt", read), post("revoke")];
  const [refresh, list] = [post("refresh", { isSafe: true }), post("list", read)];
  return {
    start: async (input) => viewOf(ours(await start(input))),
    decrypt: async (input) => viewOf(await decrypt(input)),
    refresh: async (input) => viewOf(ours(await refresh(input))),
    revoke: async (input) => viewOf(await revoke(input)),
    list: async (input) => {
      const page = viewOf(await list(input));
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
