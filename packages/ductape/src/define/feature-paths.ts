import { show } from "../base/errors.js";
import type { Issues } from "../base/field.js";
import { expressionIn, ROOTS, type Root } from "./expression.js";
import type { InputBody } from "./feature-input.js";
import { ancestorsOf, type SequenceStep } from "./feature-sequence.js";
import type { QuotaUse } from "./quota-use.js";
import { expressionsIn, type Template } from "./template.js";

/** The parts of a feature's definition that contain or name anything. */
interface Parts {
  readonly tag: string;
  readonly input: InputBody;
  readonly quotas: readonly QuotaUse[];
  readonly sequence: readonly SequenceStep[];
  readonly output: { readonly [name: string]: Template } | null;
}

/** An expression, and what is known when it is evaluated. */
interface Use {
  readonly path: string;
  readonly text: string;
  readonly roots: readonly Root[];
  /** The tags that may follow `$Quota` and `$Feature`. */
  readonly quotas: readonly string[];
  readonly features: readonly string[];
}

/**
 * Checks what one part of a feature says about others. A reservation has one hold in each quota,
 * and a path names a quota or a feature by its tag, so none may appear twice; every path must lead
 * to what is known by then.
 */
export function checkPaths(parts: Parts, issues: Issues): void {
  const named: [type: string, tag: string, path: string][] = [
    ...parts.quotas.map(({ quota }, i): [string, string, string] => [
      "quota",
      quota,
      `quotas[${i}].quota`,
    ]),
    ...parts.sequence.flatMap(({ events }, i) =>
      events.map(({ type, event }, j): [string, string, string] => [
        type,
        event,
        `sequence[${i}].events[${j}].event`,
      ]),
    ),
  ];
  named.forEach(([type, tag, path], i) => {
    const isTwice = named.findIndex((each) => each[0] === type && each[1] === tag) !== i;
    const how = type === "quota" ? "add both amounts in one place" : "run it once";
    if (isTwice) issues.add(path, `is named before: ${show(tag)}; ${how}`);
    if (type === "feature" && tag === parts.tag) issues.add(path, "must not be the feature itself");
  });
  for (const use of usesOf(parts)) checkUse(use, Object.keys(parts.input), issues);
}

function checkUse(
  { path, text, roots, quotas, features }: Use,
  fields: readonly string[],
  issues: Issues,
): void {
  const expression = expressionIn(text);
  if (typeof expression === "string") return;
  for (const each of expression.paths) {
    const [first = ""] = each.path;
    const names = { Input: fields, Quota: quotas, Feature: features, Session: null, Result: null };
    const known = names[each.root];
    if (!roots.includes(each.root)) {
      const wanted = roots.map((root) => `$${root}`).join(", ");
      issues.add(path, `${each.text} is not known yet; known here are ${wanted}`);
    } else if (known !== null && !known.includes(first)) {
      const wanted = known.length === 0 ? "none is known here" : `known: ${known.join(", ")}`;
      issues.add(path, `${each.text} leads nowhere; of $${each.root} ${wanted}`);
    }
  }
}

function usesOf({ quotas, sequence, output }: Parts): Use[] {
  const own = quotas.map(({ quota }) => quota);
  const every = namesIn(sequence, own);
  const after = { roots: ROOTS, ...every } as const;
  // A commit over HTTP knows the hold, but no longer the answers to its reservation.
  const settled = { ...after, roots: ROOTS.filter((root) => root !== "Quota") };
  const first = { roots: ["Input", "Session"], quotas: [], features: [] } as const;
  const before = quotas.flatMap((use, i) => amountsOf(use, `quotas[${i}]`, first, settled));
  const later = sequence.flatMap((step, i) => {
    const known = namesIn([...ancestorsOf(step, sequence)], own);
    const then = { roots: ["Input", "Session", "Quota", "Feature"], ...known } as const;
    return step.events.flatMap((event, j) => {
      const path = `sequence[${i}].events[${j}]`;
      if (event.type === "quota") return amountsOf(event, path, then, settled);
      return expressionsIn(event.input, `${path}.input`).map((each) => ({ ...each, ...then }));
    });
  });
  const last = expressionsIn(output, "output").map((each) => ({ ...each, ...after }));
  return [...before, ...later, ...last];
}

function amountsOf(
  { amount, settle }: Pick<QuotaUse, "amount" | "settle">,
  path: string,
  before: Omit<Use, "path" | "text">,
  after: Omit<Use, "path" | "text">,
): Use[] {
  return [
    ...(typeof amount === "string" ? [{ path: `${path}.amount`, text: amount, ...before }] : []),
    ...(typeof settle === "string" ? [{ path: `${path}.settle`, text: settle, ...after }] : []),
  ];
}

function namesIn(steps: readonly SequenceStep[], own: readonly string[]) {
  const events = steps.flatMap((step) => step.events);
  const tags = (type: string) =>
    events.flatMap((event) => (event.type === type ? [event.event] : []));
  return { quotas: [...own, ...tags("quota")], features: tags("feature") };
}
