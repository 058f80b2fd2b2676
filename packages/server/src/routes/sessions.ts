import { ValidationError, type ErrorCode } from "ductape";
import type { z } from "zod";
import { endpoint, type Call, type Endpoint } from "../route.js";
import {
  DECRYPT_INPUT,
  LIST_INPUT,
  REFRESH_INPUT,
  REVOKE_INPUT,
  REVOKED,
  ROTATE_INPUT,
  ROTATED,
  SESSION_DATA,
  SESSIONS_PAGE,
  START_INPUT,
  STARTED,
} from "../schema/session.js";

import { eitherName, listedWire, startedWire, wireFault } from "../session-names.js";

const FAULTS: readonly ErrorCode[] = [
  "PRODUCT_NOT_FOUND",
  "ENVIRONMENT_NOT_FOUND",
  "ENVIRONMENT_INACTIVE",
  "SESSION_NOT_FOUND",
];
const REFUSED: readonly ErrorCode[] = ["SESSION_INVALID", "SESSION_EXPIRED", "SESSION_REVOKED"];

interface SessionEndpoint<I extends z.ZodType<{ product: string; env: string }>> {
  readonly summary: string;
  readonly input: I;
  readonly answer: z.ZodType;
  readonly faults?: readonly ErrorCode[];
  handle(call: Call, input: z.input<I>): Promise<unknown>;
}

/** An endpoint in an environment that the key must cover. */
function sessionEndpoint<T extends { product: string; env: string }, I extends z.ZodType<T, T>>({
  summary,
  input,
  answer,
  faults = [],
  handle,
}: SessionEndpoint<I>): Endpoint {
  return endpoint({
    summary,
    input,
    answers: { 200: { description: "Done", schema: answer } },
    faults: [...FAULTS, ...faults],
    handle(call, body) {
      call.access.requireEnvironment(body.product, body.env);
      return handle(call, body).catch((error: unknown) => {
        throw wireFault(error);
      });
    },
  });
}

const start = sessionEndpoint({
  summary: "Start a session",
  input: START_INPUT,
  answer: STARTED,
  faults: ["SUBJECT_REQUIRED"],
  async handle({ service }, body) {
    const session = await service.ductape.processor.sessions.start(body);
    return { ...startedWire(session), ...session };
  },
});

const decrypt = sessionEndpoint({
  summary: "Return the data of a session, by its token",
  input: DECRYPT_INPUT,
  answer: SESSION_DATA,
  faults: [...REFUSED, "ISSUER_UNAVAILABLE"],
  handle: ({ service }, body) => service.ductape.processor.sessions.decrypt(body),
});

const refresh = sessionEndpoint({
  summary: "Exchange a refresh token for the next pair",
  input: REFRESH_INPUT,
  answer: STARTED,
  faults: REFUSED,
  async handle({ service }, { refresh_token, refreshToken: before, ...target }) {
    const refreshToken = eitherName("refresh_token", refresh_token, before);
    if (refreshToken === undefined) throw missing("refresh_token");
    const session = await service.ductape.processor.sessions.refresh({ ...target, refreshToken });
    return { ...startedWire(session), ...session };
  },
});

const revoke = sessionEndpoint({
  summary: "Revoke one session, or all of one identifier",
  input: REVOKE_INPUT,
  answer: REVOKED,
  async handle(call, body) {
    const { session_id, sessionId: before, ...rest } = body;
    const sessionId = eitherName("session_id", session_id, before);
    const ended = await call.service.ductape.processor.sessions.revoke({ ...rest, sessionId });
    const { product, env, tag, identifier = null } = body;
    const target = { product_tag: product, env, tag, session_id: sessionId ?? null, identifier };
    note(call, "sessions.revoke", target, ended);
    return ended;
  },
});

const list = sessionEndpoint({
  summary: "List sessions that can still be used or refreshed",
  input: LIST_INPUT,
  answer: SESSIONS_PAGE,
  async handle({ service }, body) {
    const { sessions, next } = await service.ductape.processor.sessions.list(body);
    return { sessions: sessions.map((each) => ({ ...listedWire(each), ...each })), next };
  },
});

const rotate = sessionEndpoint({
  summary: "Make a new key to sign the tokens of an environment",
  input: ROTATE_INPUT,
  answer: ROTATED,
  async handle(call, { product, env }) {
    const made = await call.service.ductape.product.sessions.rotate(product, { env });
    note(call, "sessions.rotate", { product_tag: product, env }, made);
    return made;
  },
});

/** The endpoints of sessions. */
export const SESSION_ENDPOINTS = {
  "sessions.start": start,
  "sessions.decrypt": decrypt,
  "sessions.refresh": refresh,
  "sessions.revoke": revoke,
  "sessions.list": list,
  "product.sessions.rotate": rotate,
};

function missing(path: string): ValidationError {
  return new ValidationError([{ path, message: "is required: a string" }]);
}

function note(
  { service, access, requestId }: Call,
  event: string,
  target: Readonly<Record<string, string | null>>,
  after: unknown,
): void {
  const { actor } = access;
  service.audit.add({ event, actor, request_id: requestId, target, before: null, after });
}
