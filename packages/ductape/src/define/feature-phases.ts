import type { FeatureBody } from "./feature.js";
import { inOrder, type FeatureEvent } from "./feature-sequence.js";
import type { QuotaUse } from "./quota-use.js";

/** A quota that a feature uses, and where its definition says so. */
export interface PlacedUse extends QuotaUse {
  /** Such as `quotas[0]`. */
  readonly path: string;
}

/** A feature that another one runs, and where its definition says so. */
export interface PlacedEvent extends FeatureEvent {
  readonly path: string;
}

/** Quotas that are reserved as one decision, and then the features that run. */
export interface Phase {
  readonly uses: readonly PlacedUse[];
  readonly features: readonly PlacedEvent[];
}

/** What a feature does before its handler: its quotas, then each step after its parents. */
export function phasesOf({ quotas, sequence }: FeatureBody): readonly Phase[] {
  const own = quotas.map((use, i) => ({ ...use, path: `quotas[${i}]` }));
  const steps = inOrder(sequence).map((step) => {
    const at = `sequence[${sequence.indexOf(step)}]`;
    const placed = step.events.map((event, i) => ({ event, path: `${at}.events[${i}]` }));
    return {
      uses: placed.flatMap(({ event, path }) => {
        if (event.type !== "quota") return [];
        const { event: quota, amount, settle, allow_fail } = event;
        return [{ quota, amount, settle, allow_fail, path }];
      }),
      features: placed.flatMap(({ event, path }) =>
        event.type === "feature" ? [{ ...event, path }] : [],
      ),
    };
  });
  return own.length === 0 ? steps : [{ uses: own, features: [] }, ...steps];
}
