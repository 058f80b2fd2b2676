import { DuctapeError, type Client, type DefinitionChange, type SubjectUsage } from "ductape";
import { changedLimits, isOver, type ChangedLimit } from "./lowered.js";

/** Subjects of a rule, in one environment, who have used more than the limit they would get. */
export interface OverLimit {
  readonly product_tag: string;
  readonly quota_tag: string;
  readonly env: string;
  readonly rule: string;
  /** How many among the 1,000 who have used most. */
  readonly subjects: number;
  /** Who has used most; null if usage could not be read. */
  readonly most: Pick<SubjectUsage, "subject" | "used"> | null;
}

const SUBJECTS_MAX = 1_000;

/** Who would be above the new limits, in all active environments. */
export async function overLimits(
  client: Pick<Client, "product" | "usage">,
  changes: readonly DefinitionChange[],
): Promise<OverLimit[]> {
  const all = changes.map(async (change) => {
    const limits = changedLimits(change);
    if (limits.length === 0) return [];
    const environments = await client.product.environments.fetchAll(change.product_tag);
    const active = environments.filter((each) => each.active);
    const found = active.flatMap(({ slug }) =>
      limits.map((limit) => overLimit(client, change, slug, limit)),
    );
    return (await Promise.all(found)).filter((each) => each !== null);
  });
  return (await Promise.all(all)).flat();
}

async function overLimit(
  { usage }: Pick<Client, "usage">,
  { product_tag, id: quota_tag }: DefinitionChange,
  env: string,
  changed: ChangedLimit,
): Promise<OverLimit | null> {
  const { rule } = changed;
  const where = { product_tag, quota_tag, env, rule };
  try {
    const { subjects } = await usage.subjects({ ...where, limit: SUBJECTS_MAX });
    const over = subjects.filter((each) => isOver(each, changed));
    const [most] = over;
    if (most === undefined) return null;
    const { subject, used } = most;
    return { ...where, subjects: over.length, most: { subject, used } };
  } catch (error) {
    // A key that may change definitions does not always have permission to read usage.
    if (!DuctapeError.is(error) || error.code !== "FORBIDDEN") throw error;
    return { ...where, subjects: 0, most: null };
  }
}
