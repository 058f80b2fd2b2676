import type { Client } from "./client/client.js";
import { type OutagePolicy, invalid } from "./base/settings.js";
import { EmbeddedDuctape, type EmbeddedOptions } from "./client/embedded.js";
import { show } from "./base/errors.js";
import type { BoundQuota } from "./quota/bound.js";
import type { QuotaTarget } from "./quota/target.js";
import type { QuotaResult } from "./quota/decision.js";
import type { AlertListener } from "./quota/events.js";
import { isLeftOut, isRecord } from "./base/json.js";
import { RemoteDuctape, type RemoteOptions } from "./remote/client.js";
import type { CallOptions } from "./base/call.js";

/**
 * Options of a {@link Ductape}: for its own store, or with `url` and `apiKey` for a server. If
 * neither `store` nor `url` is given, `DUCTAPE_STORE` or `DUCTAPE_URL` decides. `Policy` is the
 * type of `onStoreError`.
 */
export type DuctapeOptions<Policy extends OutagePolicy = OutagePolicy> =
  | Alone<EmbeddedOptions<Policy>, RemoteOptions>
  | Alone<RemoteOptions<Policy>, EmbeddedOptions>;

/** The options of one kind, without those that only the other has. */
type Alone<One, Other> = One & { readonly [Name in Exclude<keyof Other, keyof One>]?: undefined };

/**
 * Quotas on a store or on a server, with the same calls and results. Nothing opens before the
 * first call. `close()`, or `await using`, waits for accepted calls to finish. The constructor
 * throws `VALIDATION` for an invalid option. Depending on the type of `onStoreError`, results may
 * be {@link Degraded} or faults of the store throw.
 */
export class Ductape<const Policy extends OutagePolicy = "throw"> implements Client<Policy> {
  readonly product: Client["product"];
  readonly processor: Client<Policy>["processor"];
  readonly features: Client["features"];
  readonly usage: Client["usage"];
  readonly guarantees: Client["guarantees"];
  readonly #client: Client<Policy>;

  constructor(options: DuctapeOptions<Policy> = {}) {
    const client: Client<Policy> = isOnServer(options)
      ? new RemoteDuctape(options)
      : new EmbeddedDuctape(options);
    this.#client = client;
    this.product = client.product;
    this.processor = client.processor;
    this.features = client.features;
    this.usage = client.usage;
    this.guarantees = client.guarantees;
  }

  quota(target: QuotaTarget): BoundQuota<QuotaResult<Policy>> {
    return this.#client.quota(target);
  }

  probe(call?: CallOptions): Promise<void> {
    return this.#client.probe(call);
  }

  onAlert(listener: AlertListener): () => void {
    return this.#client.onAlert(listener);
  }

  close(): Promise<void> {
    return this.#client.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** An option overrides both variables, which must not contradict each other. */
function isOnServer<Policy extends OutagePolicy>(
  options: DuctapeOptions<Policy>,
): options is Alone<RemoteOptions<Policy>, EmbeddedOptions> {
  const given: unknown = options;
  if (!isRecord(given)) throw invalid("options", `expects an object, got ${show(given)}`);
  const [hasUrl, hasStore] = [!isLeftOut(given["url"]), !isLeftOut(given["store"])];
  if (hasUrl && hasStore) {
    throw invalid("options.store", "conflicts with options.url; give only one of them");
  }
  if (hasUrl || hasStore) return hasUrl;
  const { DUCTAPE_URL = "", DUCTAPE_STORE = "" } = process.env;
  if (DUCTAPE_URL === "" || DUCTAPE_STORE === "") return DUCTAPE_URL !== "";
  throw invalid("DUCTAPE_STORE", "conflicts with DUCTAPE_URL; set only one of them");
}
