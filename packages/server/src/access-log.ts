import type { FastifyReply, FastifyRequest } from "fastify";
import type { Logger } from "pino";

/**
 * Where events are logged. No log contains a body, a query or a header, except for the key's id.
 */
export interface Logs {
  /** One line for each request; null: none. */
  readonly access: Logger | null;
  /** Faults of the server itself. */
  warn(message: string, error?: unknown): void;
}

/** Logs an answered request. */
export function logAnswered(
  logger: Logger,
  request: FastifyRequest,
  reply: FastifyReply,
  route: string,
): void {
  logger.info({
    request_id: request.id,
    method: request.method,
    route,
    status: reply.statusCode,
    ms: Math.round(reply.elapsedTime * 1_000) / 1_000,
    key: request.access?.actor.id ?? null,
    address: request.ip,
  });
}
