import type { FastifyReply, FastifyRequest } from "fastify";
import type { Logger } from "pino";

/** Where what happens is written down. Nothing of a body, a query or a header but the key's id. */
export interface Logs {
  /** One line for each request; null: none. */
  readonly access: Logger | null;
  /** Faults of the server itself. */
  warn(message: string, error?: unknown): void;
}

/** Writes down that a request was answered. */
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
