import { DuctapeError, type EmbeddedOptions, type SessionDefinition } from "ductape";
import { manualClock } from "ductape/testing";
import { clientWith, inputOf } from "./support.js";

export const START_MS = Date.UTC(2026, 4, 15, 12);
export const HOUR_MS = 3_600_000;
export const TARGET = { product: "shop", env: "prd", tag: "user-session" } as const;
export const DATA = { userId: "u-1", plan: "free", details: { team: "t-9" } };
export const BY_USER = { tag: "q", limit: 5, period: "month", scope: "$Session{userId}" } as const;
export const USER_SESSION: SessionDefinition = {
  tag: "user-session",
  schema: { userId: "u", plan: "free", details: { team: "t" } },
  selector: "$Session{userId}",
  expiry: 7,
  period: "hours",
};

/** A client on `memory:` with that session, quota `q` by user, and short ways to call. */
export async function sessionBench(
  options: EmbeddedOptions<"throw"> = {},
  session: Partial<SessionDefinition> = {},
) {
  const clock = manualClock(START_MS);
  const client = await clientWith([BY_USER], { clock, ...options });
  await client.product.sessions.create("shop", { ...USER_SESSION, ...session });
  const { sessions, quota } = client.processor;
  const start = (data: Record<string, unknown> = DATA) => sessions.start({ ...TARGET, data });
  const run = (token: string, more: object = {}) =>
    quota.run({ ...inputOf(more), session: { tag: TARGET.tag, token } });
  const refresh = (refreshToken: string) => sessions.refresh({ ...TARGET, refreshToken });
  const dispose = { [Symbol.asyncDispose]: () => client.close() };
  return { client, clock, sessions, start, run, refresh, ...dispose };
}

/** The code of the fault that a call ends in. */
export async function faultOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    if (DuctapeError.is(error)) return error.code;
    throw error;
  }
  return "no fault";
}
