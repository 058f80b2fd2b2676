import type { ErrorCode } from "ductape";
import type { Call as Row } from "ductape/calls";
import type { FastifyReply } from "fastify";
import type { z } from "zod";
import type { Access, Scope } from "./access.js";
import { SERVER_CALLS, type ServerCallName } from "./calls.js";
import type { Service } from "./service.js";
import { checkWire } from "./wire.js";

/** A request whose caller is known. */
export interface Call {
  readonly service: Service;
  readonly access: Access;
  readonly requestId: string;
  /** The parts of the path, decoded. */
  readonly params: Readonly<Record<string, string>>;
  /** The value of a header; undefined if it was not sent. */
  header(name: string): string | undefined;
  readonly reply: FastifyReply;
}

/** The answer for a status. */
export interface Answer {
  readonly description: string;
  /** The schema of the body, which has an id; null: no body. */
  readonly schema: z.ZodType | null;
  readonly headers?: readonly string[];
}

/** What the server adds to the row of a call. */
export interface Endpoint {
  readonly summary: string;
  /** The schema of the body of a POST or PATCH, or else of the query. */
  readonly input: z.ZodType;
  readonly answers: Readonly<Record<number, Answer>>;
  /** The codes of faults besides those of every route. */
  readonly faults: readonly ErrorCode[];
  /** The request headers that it reads. */
  readonly headers: readonly string[];
  /** The most bytes of a body; null: as for all others. */
  readonly bodyBytesMax: number | null;
  /**
   * Returns the body of the answer, undefined for none. `name` is what a `VALIDATION` calls the
   * input as a whole. Throws the faults that the caller gets.
   */
  handle(call: Call, input: unknown, name: string): unknown;
}

/** What an {@link Endpoint} is made of; its handler gets an input of the form of the schema. */
interface EndpointInput<I extends z.ZodType> {
  readonly summary: string;
  readonly input: I;
  readonly answers: Readonly<Record<number, Answer>>;
  readonly faults?: readonly ErrorCode[];
  readonly headers?: readonly string[];
  readonly bodyBytesMax?: number;
  handle(call: Call, input: z.input<I>): unknown;
}

/** Makes an endpoint whose handler runs only if the input has the form of the schema. */
export function endpoint<I extends z.ZodType>(given: EndpointInput<I>): Endpoint {
  const { input: schema, handle, faults = [], headers = [], bodyBytesMax = null, ...rest } = given;
  return {
    ...rest,
    input: schema,
    faults,
    headers,
    bodyBytesMax,
    handle(call, input, name) {
      checkWire(schema, input, name);
      return handle(call, input);
    },
  };
}

/** A call and its endpoint: what the app, the OpenAPI document and the tests are made from. */
export interface Route extends Endpoint {
  readonly method: Row["method"];
  /** As Fastify writes it: `/v1/products/:product`. */
  readonly path: string;
  /** The scopes of which a call needs one; null: it needs no key. */
  readonly scopes: readonly Scope[] | null;
}

/** The route of a row. */
export function routeOf(
  { method, path, scopes }: Pick<Route, "method" | "path" | "scopes">,
  made: Endpoint,
): Route {
  return { method, path, scopes, ...made };
}

const ROWS: ReadonlyMap<string, (typeof SERVER_CALLS)[ServerCallName]> = new Map(
  Object.entries(SERVER_CALLS),
);

/** The routes of endpoints, which are named after their calls. */
export function routesOf(endpoints: Readonly<Record<string, Endpoint>>): Route[] {
  return Object.entries(endpoints).map(([name, made]) => {
    const row = ROWS.get(name);
    if (row === undefined) throw new Error(`there is no call ${name}`);
    return routeOf(row, made);
  });
}

/** The path of a route as OpenAPI writes it: `/v1/products/{product}`. */
export function placeOf({ path }: Pick<Route, "path">): string {
  return path.replaceAll(/:(\w+)/g, "{$1}");
}

/** True if a method's input is its body. */
export function takesBody(method: Row["method"]): boolean {
  return method === "POST" || method === "PATCH";
}
