import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { DuctapeError, ValidationError } from "ductape";
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { Access, ALL } from "./access.js";
import { logAnswered, type Logs } from "./access-log.js";
import { hostnameOf, isLoopback } from "./host.js";
import { faultRetryAfter, PROBLEM_TYPE, problemOf } from "./problem.js";
import { takesBody, type Route } from "./route.js";
import { ROUTES } from "./routes/index.js";
import { serverRoutes } from "./routes/server.js";
import type { Service } from "./service.js";
import { parseJson } from "./wire.js";

declare module "fastify" {
  interface FastifyRequest {
    /** What the caller may do; null if the route needs no key or the key was wrong. */
    access: Access | null;
  }
}

/** Options of an app. */
interface AppOptions {
  readonly service: Service;
  readonly logs: Logs;
  readonly version: string;
  /** False: everybody may do everything, for a server that only this machine can reach. */
  readonly asksForKey: boolean;
}

const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;
/** Below the 60 s of usual balancers. */
const KEEP_ALIVE_MS = 55_000;
const CHECK_INTERVAL_MS = 100;
const HEADER_BYTES_MAX = 8_192;
const BODY_BYTES_MAX = 65_536;
/** A tag of 255 characters of which each is three bytes, percent-encoded. */
const PARAM_CHARS_MAX = 255 * 9;
const ANYBODY = new Access({ id: "anonymous", name: "anonymous" }, ALL);
/** The access of routes that need no key. */
const NOBODY = new Access(ANYBODY.actor, { scopes: [], products: [], environments: [] });

/** The HTTP app on a service; nothing listens yet. */
export function createApp(options: AppOptions): FastifyInstance {
  const { service, version } = options;
  const app = fastify({
    http: {
      headersTimeout: HEADERS_TIMEOUT_MS,
      connectionsCheckingInterval: CHECK_INTERVAL_MS,
      maxHeaderSize: HEADER_BYTES_MAX,
    },
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    bodyLimit: BODY_BYTES_MAX,
    forceCloseConnections: "idle",
    return503OnClosing: false,
    routerOptions: { maxParamLength: PARAM_CHARS_MAX },
    genReqId: requestIds(),
    clientErrorHandler: refuseRaw,
    frameworkErrors: (error, request, reply) => fail(options, error, request, reply),
  });
  const routes = [...ROUTES, ...serverRoutes(ROUTES, version)];
  app.decorateRequest("access", null);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", { parseAs: "buffer" }, parseBody);
  app.addHook("onRequest", async (request, reply) => {
    const access = admit(options, request, reply);
    request.access = access instanceof Promise ? await access : access;
  });
  app.addHook("onResponse", (request, reply, done) => {
    answered(options, request, reply);
    done();
  });
  app.setErrorHandler((error, request, reply) => fail(options, error, request, reply));
  app.setNotFoundHandler((request, reply) => {
    const methods = methodsOf(routes, request.url);
    if (methods.length > 0) reply.header("allow", methods.join(", "));
    throw methods.length > 0 ? methodNotAllowed(request, methods) : routeNotFound(request);
  });
  for (const each of routes) addRoute(app, service, each);
  return app;
}

function addRoute(app: FastifyInstance, service: Service, route: Route): void {
  const { method, path, scopes, bodyBytesMax } = route;
  const isBody = takesBody(method);
  app.route<{ Params: Record<string, string> }>({
    method,
    url: path,
    ...(bodyBytesMax === null ? {} : { bodyLimit: bodyBytesMax }),
    handler(request, reply) {
      const access = request.access ?? NOBODY;
      // `NOBODY` has no scope, so a request that got here without a key would be refused.
      if (scopes !== null) requireOne(access, scopes);
      const call = {
        service,
        access,
        requestId: request.id,
        params: request.params,
        reply,
        header: (name: string) => textOf(request.headers[name]),
      };
      const answer = isBody
        ? route.handle(call, request.body, "body")
        : route.handle(call, request.query, "query");
      return answer instanceof Promise ? answer.then(concluded) : concluded(answer);

      function concluded(body: unknown): unknown {
        if (service.isDraining) reply.header("connection", "close");
        return body === undefined ? reply.send() : body;
      }
    },
  });
}

function requireOne(access: Access, scopes: NonNullable<Route["scopes"]>): void {
  for (const scope of scopes) if (access.has(scope)) return;
  const [first = "*"] = scopes;
  access.require(first);
}

/**
 * Identifies the caller before the body is read, so that a refused request costs no more than
 * this; null if the route needs no key.
 */
function admit(
  { service, asksForKey }: AppOptions,
  request: FastifyRequest,
  reply: FastifyReply,
): Access | null | Promise<Access> {
  reply.header("x-request-id", request.id).header("x-content-type-options", "nosniff");
  const { authorization, host = "", "content-encoding": encoding } = request.headers;
  // Decided by the route that matched, because a path can be written in several ways.
  const isApi = (request.routeOptions.url ?? request.url).startsWith("/v1");
  if (isApi) reply.header("cache-control", "no-store");
  if (encoding !== undefined && encoding !== "identity") throw encoded(encoding);
  if (!isApi) return null;
  if (asksForKey) return service.keys.authenticate(authorization);
  // A web page on another host name that resolves here could send calls through the browser of
  // somebody on this machine.
  if (!isLoopback(hostnameOf(host))) throw foreignHost(host);
  return ANYBODY;
}

function parseBody(
  request: FastifyRequest,
  body: Buffer,
  done: (error: Error | null, body?: unknown) => void,
): void {
  try {
    const type = request.headers["content-type"] ?? "";
    if (type !== "application/json") refuseCharset(type);
    done(null, parseJson(body));
  } catch (error) {
    done(asError(error));
  }
}

function refuseCharset(type: string): void {
  const charset = /;\s*charset\s*=\s*"?([^\s";]+)/i.exec(type)?.[1];
  if (charset === undefined || /^utf-?8$/i.test(charset)) return;
  const message = "Content-Type: expects application/json in UTF-8";
  throw new DuctapeError("MEDIA_TYPE_UNSUPPORTED", message);
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

function foreignHost(host: string): DuctapeError {
  const got = JSON.stringify(host.slice(0, 60));
  const message = `Host: without keys it must be localhost, 127.0.0.1 or [::1], got ${got}`;
  return new DuctapeError("FORBIDDEN", message);
}

function encoded(encoding: string): DuctapeError {
  const message = `Content-Encoding: expects none, got ${JSON.stringify(encoding.slice(0, 60))}`;
  return new DuctapeError("MEDIA_TYPE_UNSUPPORTED", message);
}

/** Answers a fault as a problem. */
function fail(
  { service, logs }: AppOptions,
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const fault = faultOf(error);
  if (fault === null) {
    logs.warn(`request ${request.id} met an internal fault`, error);
  }
  const problem = problemOf(fault, request.id);
  const isCondition = problem.code === "REVISION_CONFLICT" && request.headers["if-match"];
  const status = isCondition ? 412 : problem.status;
  if (status === 401 && problem.code === "UNAUTHORIZED") {
    reply.header("www-authenticate", 'Bearer realm="ductape"');
  }
  if (status === 503) {
    // The prober finds out whether the store is down or failed only for this call.
    if (problem.code === "STORE_UNAVAILABLE") void service.prober.look();
    if (problem.retryable) reply.header("retry-after", faultRetryAfter(service.random));
  }
  // The rest of an unread body is not read: the connection closes instead.
  const isUnread = status === 413 || status === 415 || (status === 401 && hasBody(request));
  if (isUnread || service.isDraining) reply.header("connection", "close");
  reply
    .code(status)
    .type(PROBLEM_TYPE)
    .send({ ...problem, status });
}

function hasBody({ headers }: FastifyRequest): boolean {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
}

/** An error as a fault from the table; null for a fault of the server itself. */
function faultOf(error: unknown): DuctapeError | null {
  if (DuctapeError.is(error)) return error;
  if (!(error instanceof Error)) return null;
  const code: unknown = Reflect.get(error, "code");
  const status: unknown = Reflect.get(error, "statusCode");
  if (code === "FST_ERR_CTP_BODY_TOO_LARGE") {
    return new DuctapeError("BODY_TOO_LARGE", "body: expects at most 64 kB, 1 MB for a batch");
  }
  if (code === "FST_ERR_CTP_INVALID_MEDIA_TYPE") {
    return new DuctapeError("MEDIA_TYPE_UNSUPPORTED", "Content-Type: expects application/json");
  }
  if (typeof status !== "number" || status < 400 || status > 499) return null;
  const path = typeof code === "string" && code.includes("URL") ? "url" : "request";
  return new ValidationError([{ path, message: `cannot be read: ${error.message.slice(0, 200)}` }]);
}

function answered({ service, logs }: AppOptions, request: FastifyRequest, reply: FastifyReply) {
  const route = request.routeOptions.url ?? "unknown";
  service.metrics.answered({
    method: request.method,
    route,
    status: reply.statusCode,
    seconds: reply.elapsedTime / 1_000,
  });
  if (logs.access !== null) logAnswered(logs.access, request, reply, route);
}

function methodsOf(routes: readonly Route[], url: string): string[] {
  const parts = partsOf(url.split("?")[0] ?? "");
  const found = routes.filter(({ path }) => {
    const wanted = partsOf(path);
    if (wanted.length !== parts.length) return false;
    return wanted.every((part, i) => part.startsWith(":") || part === parts[i]);
  });
  const methods = new Set(found.map(({ method }) => method));
  return [...methods, ...(methods.has("GET") ? ["HEAD"] : [])];
}

const partsOf = (path: string): string[] => path.split("/").slice(1);

function methodNotAllowed({ method }: FastifyRequest, allowed: readonly string[]): DuctapeError {
  const message = `method: got ${method}, expects ${allowed.join(" or ")}`;
  return new DuctapeError("METHOD_NOT_ALLOWED", message);
}

function routeNotFound({ url }: FastifyRequest): DuctapeError {
  const path = JSON.stringify(url.split("?")[0]?.slice(0, 60));
  return new DuctapeError("ROUTE_NOT_FOUND", `path: there is nothing at ${path}`);
}

function textOf(value: string | readonly string[] | undefined): string | undefined {
  return typeof value === "string" || value === undefined ? value : value.join(", ");
}

/** Ids that are unique among all processes and cost next to nothing. */
function requestIds(): () => string {
  const prefix = randomBytes(6).toString("base64url");
  let count = 0;
  return () => `${prefix}-${(count++).toString(36)}`;
}

/** Answers data that never became a request: it was not HTTP, too large, or too slow. */
function refuseRaw(error: Error & { readonly code?: string }, socket: Socket): void {
  if (error.code === "ECONNRESET" || socket.destroyed || !socket.writable) {
    socket.destroy();
    return;
  }
  const problem = problemOf(rawFault(error.code), "none");
  const body = JSON.stringify(problem);
  const head = [
    `HTTP/1.1 ${problem.status} ${problem.title}`,
    `Content-Type: ${PROBLEM_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    "Connection: close",
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
}

function rawFault(code: string | undefined): DuctapeError {
  if (code === "HPE_HEADER_OVERFLOW") {
    return new DuctapeError(
      "HEADERS_TOO_LARGE",
      `headers: expect at most ${HEADER_BYTES_MAX} bytes`,
    );
  }
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") {
    return new DuctapeError("REQUEST_TIMEOUT", "request: it took too long to arrive");
  }
  return new ValidationError([{ path: "request", message: "expects HTTP/1.1" }]);
}
