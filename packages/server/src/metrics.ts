import type { StoreRoom } from "ductape";
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";

/** An answered request. */
interface AnsweredRequest {
  readonly method: string;
  /** The route's pattern, never the path, which contains tags. */
  readonly route: string;
  readonly status: number;
  readonly seconds: number;
}

const BUCKETS_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

/**
 * The metrics for Prometheus. No label contains a subject, a tag or a key: their number is
 * unbounded, and `/metrics` needs no key.
 */
export class Metrics {
  readonly #registry = new Registry();
  readonly #requests: Histogram<"method" | "route" | "status">;
  readonly #decisions: Counter<"action" | "outcome">;
  readonly #store: Gauge;
  #room: readonly [kept: Gauge, most: Gauge] | null = null;

  constructor() {
    const registers = [this.#registry];
    collectDefaultMetrics({ register: this.#registry });
    this.#requests = new Histogram({
      name: "ductape_http_request_duration_seconds",
      help: "Seconds from the headers of a request to the end of its answer.",
      labelNames: ["method", "route", "status"],
      buckets: BUCKETS_S,
      registers,
    });
    this.#decisions = new Counter({
      name: "ductape_decisions_total",
      help: "Inputs, by action and outcome: the code of a result or of a fault.",
      labelNames: ["action", "outcome"],
      registers,
    });
    this.#store = new Gauge({
      name: "ductape_store_up",
      help: "1 if the store can be read and written, else 0.",
      registers,
    });
  }

  /** Counts an answered request. */
  answered({ method, route, status, seconds }: AnsweredRequest): void {
    this.#requests.labels(method, route, String(status)).observe(seconds);
  }

  /** Counts the outcome of an input. `action` is one that the library knows, else `unknown`. */
  decided(action: string, outcome: string): void {
    this.#decisions.labels(action, outcome).inc();
  }

  /** Records whether the store answered. */
  storeIsUp(isUp: boolean): void {
    this.#store.set(isUp ? 1 : 0);
  }

  /** Records how much a store in memory holds. */
  storeKeeps({ bytes, maxBytes }: StoreRoom): void {
    this.#room ??= [
      this.#gauge("ductape_store_bytes", "Estimated size of the store in memory, in bytes."),
      this.#gauge(
        "ductape_store_max_bytes",
        "Maximum size in bytes; beyond it new keys and subjects are OVERLOADED.",
      ),
    ];
    const [kept, most] = this.#room;
    kept.set(bytes);
    most.set(maxBytes);
  }

  #gauge(name: string, help: string): Gauge {
    return new Gauge({ name, help, registers: [this.#registry] });
  }

  /** The media type of `text`. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  /** All metrics in Prometheus' text format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }
}
