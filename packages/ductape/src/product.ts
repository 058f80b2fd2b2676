import { Fields, Issues } from "./field.js";
import type { Kind, Stamps } from "./kind.js";
import type { Empty } from "./request.js";

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

/**
 * What products are made of. Counters belong to what is defined in them, so they need no identity.
 */
export const PRODUCT: Kind<ProductBody, Empty> = {
  name: "product",
  id: "tag",
  path: "product_tag",
  missing: "PRODUCT_NOT_FOUND",
  fields: FIELDS,
  nullable: [],
  parse: parseProduct,
  idOf: ({ tag }) => tag,
  merge: (body, fields) => ({ ...body, ...fields }),
  identify: () => ({}),
  readIdentity: () => ({}),
};

function parseProduct(input: unknown): ProductBody {
  const issues = new Issues();
  const fields = new Fields(input, "product", FIELDS, issues, "");
  const tag = fields.tag("tag");
  const name = fields.name("name", tag);
  const description = fields.name("description", "");
  issues.throwAny();
  return { tag, name, description };
}
