import { show, ValidationError } from "./errors.js";
import { Issues, parseName } from "./field.js";
import type { Kind, Stamps } from "./kind.js";
import { isRecord, type Empty } from "./request.js";
import { checkText } from "./text.js";

/** What `product.create` takes. */
export interface ProductInput {
  readonly tag: string;
  readonly name?: string | Empty | undefined;
  readonly description?: string | Empty | undefined;
}

/** The parsed part of a product. */
export interface ProductBody {
  readonly tag: string;
  readonly name: string;
  readonly description: string;
}

/** A product. */
export interface Product extends ProductBody, Stamps {}

const FIELDS = ["tag", "name", "description"] as const;

/** What products are made of. Counters belong to what is defined in them, so they need no identity. */
export const PRODUCT: Kind<ProductBody, Empty> = {
  name: "product",
  id: "tag",
  path: "product_tag",
  missing: "PRODUCT_NOT_FOUND",
  fields: FIELDS,
  parse: parseProduct,
  idOf: ({ tag }) => tag,
  merge: (body, changes) => ({ ...body, ...changes }),
  identify: () => ({}),
  readIdentity: () => ({}),
};

function parseProduct(input: unknown): ProductBody {
  const issues = new Issues();
  if (!isRecord(input)) {
    const message = `wants an object, got ${show(input)}`;
    throw new ValidationError([{ path: "product", message }]);
  }
  issues.unknown(input, FIELDS);
  issues.add("tag", checkText(input["tag"]));
  const tag = String(input["tag"]);
  const name = parseName(input, "name", tag, issues);
  const description = parseName(input, "description", "", issues);
  issues.throwAny();
  return { tag, name, description };
}
