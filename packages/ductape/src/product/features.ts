import { ValidationError } from "../base/errors.js";
import type { Empty } from "../base/field.js";
import type { Outgoing } from "../base/outgoing.js";
import type { ProductEntry } from "../define/definition-set.js";
import { FEATURE, type FeatureBody, type FeatureInput } from "../define/feature.js";
import type { DeleteOptions } from "../define/patch.js";
import { ProductResource, type ResourceParts } from "./resource.js";

/** What {@link Features} depends on. */
export interface FeaturesParts extends ResourceParts {
  readonly outgoing: Outgoing;
}

/** Features of a product: `ductape.product.features`. */
export class Features extends ProductResource<FeatureInput, FeatureBody, Empty> {
  readonly #outgoing: Outgoing;

  constructor(parts: FeaturesParts) {
    super(FEATURE, parts);
    this.#outgoing = parts.outgoing;
  }

  protected setIn(entry: ProductEntry) {
    return entry.features;
  }

  /** Its quotas have the counters. */
  protected spaces(): string[] {
    return [];
  }

  protected override check({ handler }: FeatureBody): void {
    const message = handler === null ? null : this.#outgoing.refusal(handler.url);
    if (message !== null) throw new ValidationError([{ path: "handler.url", message }]);
  }

  /**
   * Deletes a feature; its quotas and what they counted stay. Throws `VALIDATION`,
   * `PRODUCT_NOT_FOUND`, `FEATURE_NOT_FOUND`, `REVISION_CONFLICT`.
   */
  async delete(product: string, tag: string, options?: DeleteOptions): Promise<void> {
    await this.remove(product, tag, null, options);
  }
}
