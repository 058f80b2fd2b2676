import { ACTIONS, ANSWER_TTL_MS } from "../decide/action.js";
import { AMOUNT_MAX } from "../decide/counter.js";
import { shownName, unknownField } from "../base/field.js";
import { kindOf, show, ValidationError, type Issue } from "../base/errors.js";
import { checkText, nearest } from "../base/text.js";
import { holdIssues } from "./hold-fields.js";
import {
  ANSWER_TTL_MS_MIN,
  FIELDS,
  given,
  isAction,
  isAmount,
  isSession,
  isText,
  isTtl,
  subjectIssues,
  unmark,
} from "./input-fields.js";

/** All problems of an input that the parser refused. */
export function explain(input: Record<string, unknown>): ValidationError {
  const issues: Issue[] = [];
  const refuse = (path: string, message: string | null) => {
    if (message !== null) issues.push({ path, message });
  };
  for (const name in input) {
    if (!FIELDS.includes(name)) refuse(shownName(name), unknownField(name, FIELDS));
  }
  for (const name of ["env", "product_tag", "quota_tag"]) {
    refuse(name, input[name] === undefined ? "is required: a string" : checkText(input[name]));
  }
  const { action } = input;
  refuse("action", explainAction(action));
  refuse("amount", explainAmount(given(input["amount"]), action));
  for (const name of ["cache", "idempotency_key", "rule"]) {
    const value = given(input[name]);
    if (!isText(value)) refuse(name, checkText(unmark(value)));
  }
  refuse("idempotency_ttl_ms", explainTtl(given(input["idempotency_ttl_ms"]), input));
  explainSubject(input, refuse);
  if (!isSession(given(input["session"]))) {
    refuse("session", `expects { tag, token }, two strings, got ${kindOf(input["session"])}`);
  }
  if (isAction(action)) issues.push(...holdIssues(action, input));
  if (issues.length === 0) refuse("input", "expects plain own fields");
  return new ValidationError(issues);
}

function explainAction(value: unknown): string | null {
  if (isAction(value)) return null;
  const wanted = `expects one of ${ACTIONS.join(", ")}`;
  if (typeof value !== "string") return `${wanted}; got ${show(value)}`;
  const near = nearest(value, ACTIONS);
  return `${wanted}; got ${show(value)}${near === null ? "" : `: did you mean ${near}?`}`;
}

function explainAmount(value: unknown, action: unknown): string | null {
  if (!isAction(action) || isAmount(value, action)) return null;
  if (value === null) return `is required for ${action}`;
  const wanted = `expects a number from 0 to ${AMOUNT_MAX}`;
  return `${wanted}, got ${show(unmark(value))}`;
}

function explainTtl(value: unknown, input: Record<string, unknown>): string | null {
  if (!isTtl(value)) {
    const wanted = `expects an integer from ${ANSWER_TTL_MS_MIN} to ${ANSWER_TTL_MS}`;
    return `${wanted}, got ${show(unmark(value))}`;
  }
  const hasKey = given(input["idempotency_key"]) !== null;
  return value === null || hasKey ? null : "has no meaning without idempotency_key";
}

function explainSubject(
  input: Record<string, unknown>,
  refuse: (path: string, message: string | null) => void,
): void {
  const subject = given(input["subject"]);
  if (subject === null) return;
  if (given(input["session"]) !== null) {
    refuse("subject", "cannot be given with session: the session says who is counted");
  }
  for (const { path, message } of subjectIssues(unmark(subject))) refuse(path, message);
}
