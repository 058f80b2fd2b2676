import { ValidationError } from "../base/errors.js";

/** What `ductape.quota` takes: which quota, in which environment of which product. */
export interface QuotaTarget {
  readonly product_tag: string;
  /** Slug of an environment of the product. */
  readonly env: string;
  readonly quota_tag: string;
}

/** Throws `VALIDATION` for fields that the bound quota has already. */
export function refuseTwice(input: object, fixed: object): void {
  const twice = Object.keys(input).filter((name) => name in fixed);
  if (twice.length === 0) return;
  const message = "is not given here: the bound quota has it";
  throw new ValidationError(twice.map((path) => ({ path, message })));
}
