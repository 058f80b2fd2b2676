import type { ErrorCode } from "ductape";
import type { FastifyReply } from "fastify";
import type { z } from "zod";
import type { Access, Scope } from "./access.js";
import type { Service } from "./service.js";
import { checkWire } from "./wire.js";

/** A method that routes have. */
export type Method = "GET" | "POST" | "PATCH" | "DELETE";

/** A request of which is known who asks. */
export interface Call {
  readonly service: Service;
  readonly access: Access;
  readonly requestId: string;
  /** The parts of the path, decoded. */
  readonly params: Readonly<Record<string, string>>;
  /** The value of a header; undefined where it was not sent. */
  header(name: string): string | undefined;
  readonly reply: FastifyReply;
}

/** What a status is answered with. */
export interface Answer {
  readonly description: string;
  /** What the body is, which has an id; null: there is none. */
  readonly schema: z.ZodType | null;
  readonly headers?: readonly string[];
}

/** A route, from which the server, its OpenAPI document and the tests of access are made. */
export interface Route {
  readonly method: Method;
  /** As Fastify writes it: `/v1/products/:product`. */
  readonly path: string;
  readonly summary: string;
  /** The scopes of which a call needs one; null: no key is asked for. */
  readonly scopes: readonly Scope[] | null;
  /** What a call gives: a body for POST and PATCH, else a query. */
  readonly input: z.ZodType;
  readonly answers: Readonly<Record<number, Answer>>;
  /** The codes of faults beside those that every route has. */
  readonly faults: readonly ErrorCode[];
  /** The headers of a request that it looks at. */
  readonly headers: readonly string[];
  /** The most bytes of a body; null: as of all others. */
  readonly bodyBytesMax: number | null;
  /** Gives the body of the answer, undefined for none. Throws what is to be told. */
  handle(call: Call, input: unknown): unknown;
}

/** What a {@link Route} is made of: its handler gets what the schema says. */
export interface RouteInput<I extends z.ZodType> {
  readonly method: Method;
  readonly path: string;
  readonly summary: string;
  readonly scopes: readonly Scope[] | null;
  readonly input: I;
  readonly answers: Readonly<Record<number, Answer>>;
  readonly faults?: readonly ErrorCode[];
  readonly headers?: readonly string[];
  readonly bodyBytesMax?: number;
  handle(call: Call, input: z.input<I>): unknown;
}

/** The path of a route as OpenAPI writes it: `/v1/products/{product}`. */
export function placeOf({ path }: Pick<Route, "path">): string {
  return path.replaceAll(/:(\w+)/g, "{$1}");
}

/** True where a method's input is its body. */
export function takesBody(method: Method): boolean {
  return method === "POST" || method === "PATCH";
}

/** Makes a route whose handler is called once the form of its input is right. */
export function route<I extends z.ZodType>(given: RouteInput<I>): Route {
  const { input: schema, handle, faults = [], headers = [], bodyBytesMax = null, ...rest } = given;
  const name = takesBody(given.method) ? "body" : "query";
  return {
    ...rest,
    input: schema,
    faults,
    headers,
    bodyBytesMax,
    handle(call, input) {
      checkWire(schema, input, name);
      return handle(call, input);
    },
  };
}
