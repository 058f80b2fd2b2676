/** The version of every key below; a change of their form is a migration. */
const VERSION = "1";

// Parts are joined by "/", and "/" and "%" inside a part are escaped, so different parts never make
// the same key. Parts are well-formed Unicode without NUL: refused earlier.
const part = (text: string): string => text.replaceAll("%", "%25").replaceAll("/", "%2F");

const join = (...parts: readonly string[]): string => `${parts.map(part).join("/")}/`;

/** Where a definition is stored. A product is kept under its own tag. */
export const definitionKey = (kind: string, product: string, id: string): string =>
  kind === "product" ? join(kind, product) : join(kind, product, id);

/** The parts of a stored definition's key. */
export function keyParts(key: string): { kind: string; product: string; id: string } {
  const [kind = "", product = "", id = ""] = key
    .split("/")
    .map((text) => text.replaceAll("%2F", "/").replaceAll("%25", "%"));
  return { kind, product, id: kind === "product" ? product : id };
}

/** The prefix of all counters of a product, of one of its environments, or of a quota there. */
export const spacePrefix = (product: string, env?: string, quota?: string): string =>
  join(
    VERSION,
    product,
    ...(env === undefined ? [] : [env]),
    ...(quota === undefined ? [] : [quota]),
  );

/** The space of one rule's counters. `uid` is new whenever the rule is, so it starts at zero. */
export const ruleSpace = (
  product: string,
  env: string,
  quota: string,
  rule: string,
  uid: string,
): string => `${spacePrefix(product, env, quota)}${join(rule, uid)}`;

/** A stored counter's key, which is its space followed by its subject, taken apart. */
export function splitCellKey(key: string): { space: string; subject: string } {
  let end = 0;
  for (let parts = 0; parts < SPACE_PARTS; parts++) end = key.indexOf("/", end) + 1;
  return { space: key.slice(0, end), subject: key.slice(end) };
}

/** Version, product, environment, quota, rule, identity. */
const SPACE_PARTS = 6;
