import type { Client } from "ductape";

/** Plain data, as in a file. */
type Fields = Record<string, unknown>;

/** Definitions in the form that `product.apply` accepts. */
interface ExportedConfiguration {
  readonly products: readonly Fields[];
}

/** The values of fields that a definition leaves out. */
const DEFAULTS: Readonly<Fields> = {
  description: "",
  co_locate: false,
  active: true,
  decimals: 0,
  rounding: "exact",
  unit: "requests",
  scope: "product",
  window: "calendar",
  time_zone: "UTC",
  week_start: "monday",
  on_exceed: "reject",
  history: 0,
  encrypted: false,
  allow_fail: false,
  amount: 1,
  max_length: 10_000,
  timeout_ms: 30_000,
  ttl_ms: 60_000,
};
/** The name of the only rule of a quota whose definition has no `rules`. */
const ONLY_RULE = "default";
const STAMPS = new Set(["revision", "created_at", "updated_at"]);

/**
 * All definitions, or those of the products in `tags`, in the shortest form that `product.apply`
 * accepts. Throws `PRODUCT_NOT_FOUND`.
 */
export async function exportConfiguration(
  { product }: Pick<Client, "product">,
  tags: readonly string[],
): Promise<ExportedConfiguration> {
  const products =
    tags.length === 0
      ? await product.fetchAll()
      : await Promise.all(tags.map((tag) => product.fetch(tag)));
  const lists = [
    ["environments", product.environments],
    ["quotas", product.quotas],
    ["sessions", product.sessions],
    ["caches", product.caches],
    ["features", product.features],
  ] as const;
  const exported = products.map(async (each) => {
    const parts = await Promise.all(
      lists.map(async ([name, calls]) => [name, await calls.fetchAll(each.tag)] as const),
    );
    const filled = parts.filter(([, views]) => views.length > 0);
    const members = filled.map(([name, views]) => [name, views.map(shortened)] as const);
    return { ...shortened(each), ...Object.fromEntries(members) };
  });
  return { products: await Promise.all(exported) };
}

/** A definition without its stamps and its defaults. */
function shortened(view: object): Fields {
  const fields = new Map<string, unknown>(Object.entries(view));
  const id = fields.get("tag") ?? fields.get("slug");
  for (const name of ["name", "env_name"]) if (fields.get(name) === id) fields.delete(name);
  const rules = fields.get("rules");
  const short = { ...withoutDefaults(fields), ...featureParts(fields) };
  if (!Array.isArray(rules)) return short;
  const all = rules.map((rule: object) => withoutDefaults(new Map(Object.entries(rule))));
  const [only, ...others] = all;
  if (only === undefined || others.length > 0 || only["name"] !== ONLY_RULE) {
    return { ...short, rules: all };
  }
  const { name: _name, ...members } = only;
  const { rules: _rules, ...rest } = short;
  return { ...rest, ...members };
}

/** The parts of a feature that consist of parts; none for other kinds. */
function featureParts(fields: ReadonlyMap<string, unknown>): Fields {
  const { input, quotas, sequence, handler } = Object.fromEntries(fields);
  const parts: [string, unknown][] = [];
  if (isFields(input) && Object.keys(input).length > 0) {
    const short = Object.entries(input).map(([name, field]) => [name, inputField(field)]);
    parts.push(["input", Object.fromEntries(short)]);
  }
  if (isList(quotas) && isList(sequence)) {
    if (quotas.length > 0) parts.push(["quotas", quotas.map(shortPart)]);
    const steps = sequence.map((step) => ({
      ...withoutDefaults(new Map(Object.entries(step))),
      events: isList(step["events"]) ? step["events"].map(shortPart) : [],
    }));
    if (steps.length > 0) parts.push(["sequence", steps]);
  }
  if (isFields(handler)) parts.push(["handler", shortPart(handler)]);
  return Object.fromEntries(parts);
}

function shortPart(part: Fields): Fields {
  const { input, ...fields } = part;
  const short = withoutDefaults(new Map(Object.entries(fields)));
  return isFields(input) && Object.keys(input).length > 0 ? { ...short, input } : short;
}

/** A field is required unless it has a default. */
function inputField(field: unknown): Fields {
  if (!isFields(field)) return {};
  const { required, ...rest } = withoutDefaults(new Map(Object.entries(field)));
  return required === true || "default" in rest ? rest : { ...rest, required };
}

const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isList = (value: unknown): value is Fields[] => Array.isArray(value) && value.every(isFields);

function withoutDefaults(fields: ReadonlyMap<string, unknown>): Fields {
  const kept = [...fields].filter(([name, value]) => {
    if (STAMPS.has(name) || DEFAULTS[name] === value) return false;
    if (isFields(value) && Object.keys(value).length === 0) return false;
    if (Array.isArray(value) && value.length === 0) return false;
    // Null is a value only for `limit`.
    return value !== null || name === "limit";
  });
  return Object.fromEntries(kept);
}
