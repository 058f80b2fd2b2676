import { show } from "../base/errors.js";
import { Fields, type Empty } from "../base/field.js";
import { isRecord } from "../base/json.js";
import { checkText } from "../base/text.js";
import { parseUse, type QuotaUse, type UseInput } from "./quota-use.js";
import { parseTemplate, type Template } from "./template.js";

/** An event of a sequence: a quota to reserve, or another feature to run. */
export interface EventInput extends UseInput {
  readonly type: "quota" | "feature";
  /** Tag of the quota or of the feature. */
  readonly event: string;
  /** The input of a feature, with expressions. */
  readonly input?: { readonly [name: string]: Template } | undefined;
}

/** Events that run together, once those of all `parents` are done. */
export interface SequenceInput {
  readonly tag: string;
  /** Tags of other steps of the sequence. */
  readonly parents?: readonly string[] | Empty | undefined;
  readonly events: readonly EventInput[];
}

/** A feature that a sequence runs. */
export interface FeatureEvent {
  readonly type: "feature";
  readonly event: string;
  readonly input: { readonly [name: string]: Template };
  readonly allow_fail: boolean;
}

/** A quota that a sequence reserves; `event` is its tag. */
interface QuotaEvent extends Omit<QuotaUse, "quota"> {
  readonly type: "quota";
  readonly event: string;
}

/** A parsed event. */
export type SequenceEvent = QuotaEvent | FeatureEvent;

/** A parsed {@link SequenceInput}. */
export interface SequenceStep {
  readonly tag: string;
  readonly parents: readonly string[];
  readonly events: readonly SequenceEvent[];
}

const FIELDS = ["tag", "parents", "events"] as const;
const QUOTA_FIELDS = ["type", "event", "amount", "settle", "allow_fail"] as const;
const FEATURE_FIELDS = ["type", "event", "input", "allow_fail"] as const;
const STEPS_MAX = 16;
const EVENTS_MAX = 16;

/**
 * Parses the `sequence` of a feature. Problems go to its issues: unknown parents, cycles, and
 * events of other types, which this engine does not run.
 */
export function parseSequence(feature: Fields): SequenceStep[] {
  const steps = itemsOf(feature, "sequence", STEPS_MAX).map((step, i) =>
    parseStep(new Fields(step, feature.at(`sequence[${i}]`), FIELDS, feature.issues)),
  );
  const tags = steps.map(({ tag }) => tag);
  steps.forEach(({ tag, parents }, i) => {
    const path = `sequence[${i}]`;
    if (tag !== "" && tags.indexOf(tag) !== i) {
      feature.refuse(`${path}.tag`, `is the tag of another step too: ${show(tag)}`);
    }
    parents.forEach((parent, j) => {
      if (tags.includes(parent)) return;
      const message = `expects the tag of a step of this sequence, got ${show(parent)}`;
      feature.refuse(`${path}.parents[${j}]`, message);
    });
  });
  const left = stuckIn(steps);
  if (left.length > 0 && feature.issues.list.length === 0) {
    const circle = left.map(({ tag }) => show(tag)).join(", ");
    feature.refuse("sequence", `expects steps without a cycle of parents, got one in ${circle}`);
  }
  return steps;
}

/** The items of an optional array of a bounded length. */
function itemsOf(fields: Fields, name: string, itemsMax: number): unknown[] {
  const given = fields.get(name) ?? undefined;
  if (given === undefined) return [];
  // Array.from, because other methods skip holes in an array.
  if (Array.isArray(given) && given.length <= itemsMax) return Array.from(given);
  fields.refuse(name, `expects an array of at most ${itemsMax}, got ${show(given)}`);
  return [];
}

function parseStep(fields: Fields): SequenceStep {
  const tag = fields.tag("tag");
  const parents = itemsOf(fields, "parents", STEPS_MAX).map((parent, i) => {
    fields.refuse(`parents[${i}]`, checkText(parent));
    return String(parent);
  });
  const events = itemsOf(fields, "events", EVENTS_MAX);
  if (events.length === 0) fields.refuse("events", "expects at least one event");
  return {
    tag,
    parents,
    events: events.map((event, i) => parseEvent(event, fields.at(`events[${i}]`), fields)),
  };
}

function parseEvent(event: unknown, path: string, { issues }: Fields): SequenceEvent {
  const type = isRecord(event) ? event["type"] : undefined;
  if (type === "feature") {
    const fields = new Fields(event, path, FEATURE_FIELDS, issues);
    const input = parseTemplate(fields.get("input") ?? {}, fields.at("input"), issues);
    const isObject = typeof input === "object" && input !== null;
    if (!isObject) fields.refuse("input", `expects an object, got ${show(input)}`);
    const allow_fail = fields.flag("allow_fail", false);
    return { type, event: fields.tag("event"), input: isObject ? input : {}, allow_fail };
  }
  if (isRecord(event) && type !== "quota") {
    issues.add(`${path}.type`, whyNoEvent(type));
    return { type: "quota", event: "", amount: 1, settle: null, allow_fail: false };
  }
  const fields = new Fields(event, path, QUOTA_FIELDS, issues);
  return { type: "quota", event: fields.tag("event"), ...parseUse(fields) };
}

function whyNoEvent(type: unknown): string {
  const wanted = `expects "quota" or "feature", got ${show(type)}`;
  return `${wanted}; do any other work in the feature's handler, which runs after the sequence`;
}

/** The steps of a sequence, each after its parents and otherwise in the order of the definition. */
export function inOrder(sequence: readonly SequenceStep[]): SequenceStep[] {
  const ordered: SequenceStep[] = [];
  const done = new Set<string>();
  for (;;) {
    const next = sequence.find(
      ({ tag, parents }) => !done.has(tag) && parents.every((parent) => done.has(parent)),
    );
    if (next === undefined) return ordered;
    done.add(next.tag);
    ordered.push(next);
  }
}

/** The steps that never become ready. */
function stuckIn(sequence: readonly SequenceStep[]): SequenceStep[] {
  const ready = new Set(inOrder(sequence));
  return sequence.filter((step) => !ready.has(step));
}

/** The steps that are done before another begins. */
export function ancestorsOf(
  { parents }: SequenceStep,
  sequence: readonly SequenceStep[],
): ReadonlySet<SequenceStep> {
  const found = new Set<SequenceStep>();
  const waiting = [...parents];
  for (let tag = waiting.pop(); tag !== undefined; tag = waiting.pop()) {
    const step = sequence.find((each) => each.tag === tag);
    if (step === undefined || found.has(step)) continue;
    found.add(step);
    waiting.push(...step.parents);
  }
  return found;
}
