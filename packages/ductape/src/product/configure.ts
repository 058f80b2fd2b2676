import type { Catalogue, Change } from "../define/catalogue.js";
import {
  parseConfiguration,
  type AppliedConfiguration,
  type DefinitionChange,
  type WantedDefinition,
  type WantedProduct,
} from "../define/configuration.js";
import { DuctapeError, ValidationError } from "../base/errors.js";
import { Issues } from "../base/field.js";
import { isLeftOut, isRecord } from "../base/json.js";
import { definitionKey } from "../base/key.js";
import type { KindName } from "../define/kind.js";
import { removal, type Place, type Planned } from "./resource.js";
import { ProductEntry } from "../define/definition-set.js";
import type { DocumentWrite } from "../stores/store.js";

/** Plans the definitions of one kind. */
export interface Planner {
  plan(input: unknown, place: Place): Promise<Planned>;
}

/** What a configuration would change, and the single change that applies it. */
interface PlannedConfiguration extends Change {
  readonly report: AppliedConfiguration;
}

/**
 * Plans the change that applies all definitions of a configuration and keeps what it does not
 * name. Throws `VALIDATION`, which names every wrong field by its path in the configuration.
 */
export async function planConfiguration(
  input: unknown,
  catalogue: Catalogue,
  planners: Readonly<Record<KindName, Planner>>,
): Promise<PlannedConfiguration> {
  const issues = new Issues();
  const products = parseConfiguration(input, issues);
  const planned: Planned[] = [];
  const writes: DocumentWrite[] = [];
  for (const wanted of products) {
    const entry = catalogue.products.get(wanted.tag);
    const parts = await planProduct(wanted, entry, planners, issues);
    planned.push(...parts);
    writes.push(...besides(wanted.tag, entry, parts));
  }
  issues.throwAny();
  const changes: DefinitionChange[] = planned.map(({ report }) => report);
  const applied = changes.some(({ action }) => action !== "keep");
  return {
    report: { changes, applied },
    writes: [...planned.flatMap((each) => each.writes), ...writes],
    forget: planned.flatMap(({ forget = [] }) => forget),
  };
}

async function planProduct(
  { tag, product, parts }: WantedProduct,
  entry: ProductEntry | undefined,
  planners: Readonly<Record<KindName, Planner>>,
  issues: Issues,
): Promise<Planned[]> {
  const planned: Planned[] = [];
  const input = product.input;
  const isNew = entry === undefined || entry.product.size === 0;
  const given = isRecord(input) ? input["co_locate"] : undefined;
  const stored = isNew ? undefined : entry?.product.get(tag)?.identity;
  const coLocate = isLeftOut(given) ? stored?.coLocate === true : given === true;
  for (const wanted of [product, ...parts]) {
    const place = { product: tag, entry, isNew, coLocate };
    const one = await planOne(wanted, place, planners[wanted.kind], issues);
    if (one !== null) planned.push(one);
  }
  return planned;
}

async function planOne(
  { path, input }: WantedDefinition,
  place: Place,
  planner: Planner,
  issues: Issues,
): Promise<Planned | null> {
  try {
    return await planner.plan(input, place);
  } catch (error) {
    if (!(DuctapeError.is(error) && error instanceof ValidationError)) throw error;
    for (const issue of error.issues) issues.add(`${path}.${issue.path}`, issue.message);
    return null;
  }
}

/**
 * The product must still exist when the other definitions are written. If it is new, anything that
 * another client created in a product of that tag while it was being deleted is removed.
 */
function besides(
  tag: string,
  entry: ProductEntry | undefined,
  planned: readonly Planned[],
): DocumentWrite[] {
  if (entry === undefined) return [];
  const written = new Set(planned.flatMap(({ writes }) => writes.map(({ key }) => key)));
  const stored = entry.product.get(tag);
  const key = definitionKey("product", tag, tag);
  if (stored === undefined) {
    return entry
      .documents(tag)
      .filter((each) => !written.has(each.key))
      .map(removal);
  }
  if (written.has(key)) return [];
  return [{ key, ifRevision: stored.revision, value: undefined }];
}
