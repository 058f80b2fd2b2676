import type { FieldChange } from "./configuration.js";
import { canonical, isRecord } from "../base/json.js";

/** The differences between two definitions of one kind; rules of a quota are matched by name. */
export function differences(before: object, after: object): FieldChange[] {
  const [from, to] = [membersOf(before), membersOf(after)];
  const changed = [...new Set([...from.keys(), ...to.keys()])].filter(
    (field) => !isSame(from.get(field), to.get(field)),
  );
  return changed.map((field) => ({
    field,
    from: from.get(field) ?? null,
    to: to.get(field) ?? null,
  }));
}

function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(canonical(a)) === JSON.stringify(canonical(b));
}

function membersOf(body: object): Map<string, unknown> {
  const members = new Map<string, unknown>();
  for (const [field, value] of Object.entries(body)) {
    const rules = field === "rules" && Array.isArray(value) ? value.filter(isRecord) : null;
    if (rules === null) {
      members.set(field, value);
      continue;
    }
    for (const { name, ...rule } of rules) {
      const path = `rules[${String(name)}]`;
      for (const [member, of] of Object.entries(rule)) members.set(`${path}.${member}`, of);
    }
    // Their order matters for the rule that a denial names.
    members.set(
      "rules",
      rules.map(({ name }) => name),
    );
  }
  return members;
}
