import { StoreError } from "ductape";
import { PROBLEM_TYPE, problemOf } from "../problem.js";
import { openApiOf } from "../openapi.js";
import type { OpenCallName } from "../calls.js";
import { docsEndpoints } from "./docs.js";
import { endpoint, routesOf, type Answer, type Endpoint, type Route } from "../route.js";
import { object } from "../schema/part.js";
import { HEALTH, READY, OPENAPI } from "../schema/server.js";

const NOTHING = object({});
const text = (description: string): Readonly<Record<number, Answer>> => ({
  200: { description, schema: null },
});

const health = endpoint({
  summary: "Check that the process is alive",
  input: NOTHING,
  answers: { 200: { description: "Alive", schema: HEALTH } },
  handle: () => ({ status: "ok" }),
});

const ready = endpoint({
  summary: "Check that calls can be decided, by reading and writing the store",
  input: NOTHING,
  answers: { 200: { description: "Ready", schema: READY } },
  faults: ["STORE_UNAVAILABLE", "TIMEOUT", "OVERLOADED"],
  async handle({ service, reply, requestId }) {
    const { fault: ofStore } = await service.prober.look();
    const fault = ofStore ?? (service.isDraining ? draining() : null);
    if (fault === null) return { status: "ready", store: service.ductape.guarantees.name };
    reply.code(503).type(PROBLEM_TYPE);
    if (fault.retryable) reply.header("retry-after", "1");
    return { ...problemOf(fault, requestId), status: 503 };
  },
});

const metrics = endpoint({
  summary: "Metrics for Prometheus, in its text format",
  input: NOTHING,
  answers: text("Metrics"),
  async handle({ service, reply }) {
    // The state of the store is current even if nobody calls /readyz.
    await service.prober.look();
    const { room } = service.ductape;
    if (room !== null) service.metrics.storeKeeps(room);
    reply.type(service.metrics.contentType);
    return service.metrics.text();
  },
});

/**
 * The routes of the server itself, which need no key. The OpenAPI document also contains `routes`.
 */
export function serverRoutes(routes: readonly Route[], version: string): readonly Route[] {
  const openapi = endpoint({
    summary: "This document",
    input: NOTHING,
    answers: { 200: { description: "OpenAPI 3.1", schema: OPENAPI } },
    handle: () => document,
  });
  const endpoints: Readonly<Record<OpenCallName, Endpoint>> = {
    health,
    probe: ready,
    metrics,
    openapi,
    ...docsEndpoints(version),
  };
  const own = routesOf(endpoints);
  const document = openApiOf([...routes, ...own], version);
  return own;
}

function draining(): StoreError {
  return new StoreError("OVERLOADED", "server: it is about to stop and accepts no new calls");
}
