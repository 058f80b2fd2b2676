import { ValidationError } from "../base/errors.js";
import { Fields, Issues, type Empty } from "../base/field.js";
import type { Before, Kind, Stamps } from "./kind.js";
import { isRecord } from "../base/json.js";

/** The input of `product.create`. */
export interface ProductInput {
  readonly tag: string;
  readonly name?: string | Empty | undefined;
  readonly description?: string | Empty | undefined;
  /**
   * Keeps all quotas of an environment on one server of a Redis Cluster, so that an atomic call
   * may mix them. Cannot be changed later. Default false: quotas are spread over the servers.
   */
  readonly co_locate?: boolean | Empty | undefined;
}

/** The parsed part of a product. */
export interface ProductBody {
  readonly tag: string;
  readonly name: string;
  readonly description: string;
  /** All quotas of an environment are on one server of a cluster. */
  readonly co_locate: boolean;
}

/** A product. */
export interface Product extends ProductBody, Stamps {}

/** Where the counters of a product are stored. They belong to its definitions. */
export interface ProductIdentity {
  readonly coLocate: boolean;
}

const FIELDS = ["tag", "name", "description", "co_locate"] as const;

/** The kind of products. */
export const PRODUCT: Kind<ProductBody, ProductIdentity> = {
  name: "product",
  id: "tag",
  path: "product_tag",
  missing: "PRODUCT_NOT_FOUND",
  fields: FIELDS,
  nullable: [],
  parse: parseProduct,
  idOf: ({ tag }) => tag,
  merge: (body, fields) => ({ ...body, ...fields }),
  identify: identifyProduct,
  readIdentity: (value) => ({ coLocate: isRecord(value) && value["coLocate"] === true }),
};

/** Counters cannot move, so their place cannot change. Throws `VALIDATION`. */
function identifyProduct(
  { co_locate: coLocate }: ProductBody,
  before: Before<ProductBody, ProductIdentity> | null,
): ProductIdentity {
  if (before === null || before.identity.coLocate === coLocate) return { coLocate };
  const message = `cannot change from ${!coLocate} after creation: make a new product`;
  throw new ValidationError([{ path: "co_locate", message }]);
}

function parseProduct(input: unknown): ProductBody {
  const issues = new Issues();
  const fields = new Fields(input, "product", FIELDS, issues, "");
  const tag = fields.tag("tag");
  const name = fields.name("name", tag);
  const description = fields.name("description", "");
  const co_locate = fields.flag("co_locate", false);
  issues.throwAny();
  return { tag, name, description, co_locate };
}
