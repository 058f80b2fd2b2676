import type { EmbeddedDuctape, OutagePolicy } from "ductape";
import type { Audit } from "./audit.js";
import type { Keys } from "./keys.js";
import type { Metrics } from "./metrics.js";
import type { Partitions } from "./partition.js";
import type { Prober } from "./readiness.js";
import type { EventLoop } from "./event-loop.js";

/** What the routes depend on. */
export interface Service {
  readonly ductape: EmbeddedDuctape<OutagePolicy>;
  readonly keys: Keys;
  readonly audit: Audit;
  readonly metrics: Metrics;
  readonly prober: Prober;
  readonly eventLoop: EventLoop;
  readonly partitions: Partitions;
  /** Epoch milliseconds. */
  readonly clock: () => number;
  /** From 0 up to 1. */
  readonly random: () => number;
  /** True once the server is about to stop. */
  isDraining: boolean;
}
