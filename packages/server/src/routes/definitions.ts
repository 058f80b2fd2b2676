import { ValidationError } from "ductape";
import { callOn, VERBS, type CallsOfKind, type Verb } from "ductape/calls";
import type { z } from "zod";
import { changeOf, etagOf, ifMatchOf, isKnown } from "../revision.js";
import { endpoint, routeOf, type Call, type Endpoint, type Route } from "../route.js";
import { DELETE_QUERY, PAGE_QUERY } from "../schema/definition.js";
import type { Kind, View } from "./kind.js";

const PAGE_DEFAULT = 100;

/** The routes of one kind of definition, of the row `of`. */
export function definitionRoutes<I extends z.ZodType, P extends z.ZodType, V extends View>(
  of: CallsOfKind,
  kind: Kind<I, P, V>,
): Readonly<Record<Verb, Route>> {
  const place = placeIn(of);
  return {
    fetchAll: routeOf(callOn(of, VERBS.fetchAll), list(place, kind)),
    create: routeOf(callOn(of, VERBS.create), create(place, kind)),
    fetch: routeOf(callOn(of, VERBS.fetch), fetchOne(place, kind)),
    update: routeOf(callOn(of, VERBS.update), change(place, kind)),
    delete: routeOf(callOn(of, VERBS.delete), remove(place, kind)),
  };
}

/** The place of the definitions of a kind. */
interface Place {
  readonly path: string;
  /** The parameter that is the last part of a definition's path. */
  readonly param: string;
  /** The name of their list in a page, and of their entries in the audit log: `quotas`. */
  readonly name: string;
}

function placeIn({ path, id }: CallsOfKind): Place {
  return { path, param: id.slice(1), name: path.replace(/.*\//, "") };
}

function list<I extends z.ZodType, P extends z.ZodType, V extends View>(
  place: Place,
  kind: Kind<I, P, V>,
): Endpoint {
  const { name, path } = place;
  const { page, missing } = kind;
  return endpoint({
    summary: `List ${name}`,
    input: PAGE_QUERY,
    answers: { 200: { description: "A page, in order of name", schema: page } },
    faults: path.includes(":product") ? ["PRODUCT_NOT_FOUND"] : missing.slice(1),
    async handle({ service, access, params }, query) {
      const product = params["product"] ?? "";
      if (path.includes(":product")) access.requireProduct(product);
      const all = await kind.of(service.ductape).fetchAll(product);
      const { after = "" } = query;
      const limit = limitOf(query.limit);
      const seen = all.filter((view) => {
        const id = kind.idOf(view);
        return id > after && kind.mayList(access, id);
      });
      const last = seen.length > limit ? seen[limit - 1] : undefined;
      const next = last === undefined ? null : kind.idOf(last);
      return { [name]: seen.slice(0, limit), next };
    },
  });
}

function create<I extends z.ZodType, P extends z.ZodType, V extends View>(
  place: Place,
  kind: Kind<I, P, V>,
): Endpoint {
  const { input, view, missing } = kind;
  return endpoint({
    summary: `Create ${kind.one}`,
    input,
    answers: { 201: { description: "Created", schema: view, headers: ["Location", "ETag"] } },
    faults: ["ALREADY_EXISTS", ...missing.slice(1)],
    async handle(call, body) {
      const { service, access, params, reply } = call;
      const product = params["product"] ?? "";
      kind.requireCreate(access, product, kind.idOf(body));
      const made = await kind.of(service.ductape).create(product, body);
      const id = kind.idOf(made);
      note(call, place, "create", id, { before: null, after: made });
      const at = place.path.replace(":product", encodeURIComponent(product));
      reply.code(201).header("location", `${at}/${encodeURIComponent(id)}`);
      reply.header("etag", etagOf(made.revision));
      return made;
    },
  });
}

function fetchOne<I extends z.ZodType, P extends z.ZodType, V extends View>(
  place: Place,
  kind: Kind<I, P, V>,
): Endpoint {
  return endpoint({
    summary: `Fetch ${kind.one}`,
    input: PAGE_QUERY.pick({}),
    headers: ["If-None-Match"],
    answers: {
      200: { description: "The definition", schema: kind.view, headers: ["ETag"] },
      304: { description: "Still at the revision in If-None-Match", schema: null },
    },
    faults: kind.missing,
    async handle(call) {
      const { service, access, reply } = call;
      const { product, id } = partsOf(call, place);
      kind.requireRead(access, product, id);
      const view = await kind.of(service.ductape).fetch(product, id);
      reply.header("etag", etagOf(view.revision));
      if (!isKnown(call.header("if-none-match"), view.revision)) return view;
      reply.code(304);
      return undefined;
    },
  });
}

function change<I extends z.ZodType, P extends z.ZodType, V extends View>(
  place: Place,
  kind: Kind<I, P, V>,
): Endpoint {
  return endpoint({
    summary: `Change the fields of ${kind.one} that the body names`,
    input: kind.patch,
    headers: ["If-Match"],
    answers: { 200: { description: "Changed", schema: kind.view, headers: ["ETag"] } },
    faults: ["REVISION_CONFLICT", ...kind.missing],
    async handle(call, body) {
      const { service, access, reply } = call;
      const { product, id } = partsOf(call, place);
      kind.requireChange(access, product, id);
      const definitions = kind.of(service.ductape);
      const wanted = revisionOf(call, body);
      const changed = await changeOf(
        wanted,
        () => definitions.fetch(product, id),
        (if_revision) =>
          definitions.update(
            product,
            id,
            if_revision === undefined ? body : patched(body, if_revision),
          ),
      );
      note(call, place, "update", id, changed);
      reply.header("etag", etagOf(changed.after.revision));
      return changed.after;
    },
  });
}

function remove<I extends z.ZodType, P extends z.ZodType, V extends View>(
  place: Place,
  kind: Kind<I, P, V>,
): Endpoint {
  return endpoint({
    summary: `Delete ${kind.one} and everything in it`,
    input: DELETE_QUERY,
    headers: ["If-Match"],
    answers: { 204: { description: "Deleted", schema: null } },
    faults: ["REVISION_CONFLICT", ...kind.missing],
    async handle(call, { force }) {
      const { service, access, reply } = call;
      const { product, id } = partsOf(call, place);
      kind.requireChange(access, product, id);
      const definitions = kind.of(service.ductape);
      const { before } = await changeOf(
        ifMatchOf(call.header("if-match")),
        () => definitions.fetch(product, id),
        (if_revision) => definitions.delete(product, id, { force: force === "true", if_revision }),
      );
      note(call, place, "delete", id, { before, after: null });
      reply.code(204);
      return undefined;
    },
  });
}

/** The definition that a path names; for a product both are its tag. */
function partsOf({ params }: Call, { param }: Place) {
  return { product: params["product"] ?? "", id: params[param] ?? "" };
}

/** The revision that a change applies to, from the header or the field. */
function revisionOf(call: Call, body: unknown): number | undefined {
  const header = ifMatchOf(call.header("if-match"));
  const field: unknown =
    typeof body === "object" && body !== null ? Reflect.get(body, "if_revision") : undefined;
  if (typeof field !== "number") return header;
  if (header === undefined || header === field) return field;
  const message = `is not the revision of the header If-Match, ${header}; send one of the two`;
  throw new ValidationError([{ path: "if_revision", message }]);
}

function patched<T>(body: T, if_revision: number): T {
  return { ...body, if_revision };
}

function note(
  { service, access, requestId, params }: Call,
  { name }: Place,
  verb: string,
  id: string,
  { before, after }: { readonly before: unknown; readonly after: unknown },
): void {
  const target = { product_tag: params["product"] ?? id, id };
  const event = `${name}.${verb}`;
  service.audit.add({ event, actor: access.actor, request_id: requestId, target, before, after });
}

/** The maximum length of a page. Throws `VALIDATION`. */
export function limitOf(text: string | undefined): number {
  const limit = text === undefined ? PAGE_DEFAULT : Number(text);
  if (Number.isInteger(limit) && limit >= 1 && limit <= 1_000) return limit;
  const message = `expects an integer from 1 to 1000, got ${limit}`;
  throw new ValidationError([{ path: "limit", message }]);
}
