import { DuctapeError, NotFoundError, show } from "ductape";
import { endpoint, type Call } from "../route.js";
import { PAGE_QUERY } from "../schema/definition.js";
import { KEY_CREATED, KEY_INPUT, KEY_VIEW, KEYS_PAGE } from "../schema/key.js";
import { limitOf } from "./definitions.js";

const list = endpoint({
  summary: "List keys",
  input: PAGE_QUERY,
  answers: { 200: { description: "The keys within the caller's reach", schema: KEYS_PAGE } },
  async handle({ service, access }, { after = "", limit: text }) {
    const limit = limitOf(text);
    const all = await service.keys.list(access);
    const seen = all.filter(({ id }) => id > after);
    const last = seen.length > limit ? seen[limit - 1] : undefined;
    return { keys: seen.slice(0, limit), next: last?.id ?? null };
  },
});

const create = endpoint({
  summary: "Create a key, which may do no more than the one that creates it",
  input: KEY_INPUT,
  answers: {
    201: {
      description: "The key, shown only in this answer",
      schema: KEY_CREATED,
      headers: ["Location"],
    },
  },
  async handle(call, body) {
    const { service, access, reply } = call;
    if (!access.covers(body)) throw beyond();
    const { key, ...view } = await service.keys.create(body, access.actor);
    note(call, "keys.create", view.id, null, view);
    reply.code(201).header("location", `/v1/keys/${view.id}`);
    return { ...view, key };
  },
});

const fetchOne = endpoint({
  summary: "Fetch what a key allows",
  input: PAGE_QUERY.pick({}),
  answers: { 200: { description: "Without its secret", schema: KEY_VIEW } },
  faults: ["KEY_NOT_FOUND"],
  async handle({ service, access, params }) {
    const all = await service.keys.list(access);
    const found = all.find(({ id }) => id === params["id"]);
    if (found !== undefined) return found;
    throw new NotFoundError("KEY_NOT_FOUND", `id: there is no key ${show(params["id"])}`);
  },
});

const revoke = endpoint({
  summary: "Revoke a key: this server refuses it at once, all others within a second",
  input: PAGE_QUERY.pick({}),
  answers: { 204: { description: "Revoked", schema: null } },
  faults: ["KEY_NOT_FOUND"],
  async handle(call) {
    const { service, access, params, reply } = call;
    const { id = "" } = params;
    const revoked = await service.keys.revoke(id, access);
    note(call, "keys.revoke", id, revoked, null);
    reply.code(204);
    return undefined;
  },
});

/** The endpoints of keys. */
export const KEY_ENDPOINTS = {
  "keys.list": list,
  "keys.create": create,
  "keys.fetch": fetchOne,
  "keys.revoke": revoke,
};

function note(
  { service, access, requestId }: Call,
  event: string,
  id: string,
  before: unknown,
  after: unknown,
): void {
  const { actor } = access;
  service.audit.add({ event, actor, request_id: requestId, target: { id }, before, after });
}

function beyond(): DuctapeError {
  const message =
    "key: it may give another key only scopes, products and environments that it has itself";
  return new DuctapeError("FORBIDDEN", message);
}
