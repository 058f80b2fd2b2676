import { StoreError } from "../../base/errors.js";
import { spaceParts } from "../../base/key.js";

/** The use of one environment of a product. */
export interface Tenant {
  readonly product: string;
  readonly env: string;
  bytes: number;
}

/** One environment may hold this many times the free space: four fifths of all if it is alone. */
const SHARE = 4;
/** A fraction of all: below it even an environment that holds everything is not at its bound. */
const TIGHT = 0.7;
const TENANTS_KEPT_MAX = 100_000;

/**
 * Bounds what is kept in memory, in estimated bytes. A store that fills up refuses anything new to
 * the environments that hold most, and drops nothing that still counts: an environment may hold
 * four times the free space, so that there is always room for the others (Choudhury and Hahne,
 * Dynamic Queue Length Thresholds for Shared-Memory Packet Switches, 1998).
 */
export class MemoryRoom {
  /** The bound. */
  readonly maxBytes: number;
  #bytes = 0;
  readonly #tenants = new Map<string, Tenant>();

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  /** Estimated. */
  get bytes(): number {
    return this.#bytes;
  }

  /** True if so much is kept that an environment may be at its bound. */
  get isTight(): boolean {
    return this.#bytes > this.maxBytes * TIGHT;
  }

  /** The environment that a space of counters or answers belongs to. */
  tenantOf(space: string): Tenant {
    const { product, env } = spaceParts(space);
    return this.tenant(product, env);
  }

  /** The bytes of an environment. */
  tenant(product: string, env: string): Tenant {
    const key = JSON.stringify([product, env]);
    const known = this.#tenants.get(key);
    if (known !== undefined) return known;
    if (this.#tenants.size >= TENANTS_KEPT_MAX) this.#forgetEmpty();
    const tenant = { product, env, bytes: 0 };
    this.#tenants.set(key, tenant);
    return tenant;
  }

  /** Takes room, or gives it back if `bytes` is negative. */
  take(tenant: Tenant, bytes: number): void {
    tenant.bytes += bytes;
    this.#bytes += bytes;
  }

  /** Throws `OVERLOADED` if an environment may not take that much more. */
  check(tenant: Tenant, bytes: number): void {
    const free = this.maxBytes - this.#bytes - bytes;
    if (tenant.bytes + bytes <= SHARE * free) return;
    const { product, env } = tenant;
    const held = `environment ${JSON.stringify(env)} of product ${JSON.stringify(product)} holds`;
    const message =
      `the memory: store keeps at most ${mb(this.maxBytes)}, of which ${held} ` +
      `${mb(tenant.bytes)}: no new subject, idempotency key, hold or session fits, known ones ` +
      "go on. Give it more room (memory:?max_mb=...) or take a store that keeps them on disk";
    throw new StoreError("OVERLOADED", message);
  }

  #forgetEmpty(): void {
    for (const [key, { bytes }] of this.#tenants) if (bytes === 0) this.#tenants.delete(key);
  }
}

const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

/** Bytes of a text's characters in memory. */
export function textBytes(text: string): number {
  return /[^\0-\xff]/.test(text) ? 2 * text.length : text.length;
}
