import { type DefinitionChange } from "ductape";
import { endpoint, type Call } from "../route.js";
import { APPLIED, APPLY_INPUT } from "../schema/configuration.js";

/** A configuration is about as large as a batch. */
const BYTES_MAX = 1_048_576;

const apply = endpoint({
  summary: "Apply all definitions of a configuration or none",
  input: APPLY_INPUT,
  bodyBytesMax: BYTES_MAX,
  answers: { 200: { description: "What was done with each definition", schema: APPLIED } },
  async handle(call, { dry_run, ...configuration }) {
    for (const { tag } of configuration.products) call.access.requireOwnProduct(tag);
    call.access.requireAllEnvironments();
    const applied = await call.service.ductape.product.apply(configuration, { dry_run });
    if (applied.applied) for (const change of applied.changes) note(call, change);
    return applied;
  },
});

function note({ service, access, requestId }: Call, change: DefinitionChange): void {
  const { kind, product_tag, id, action, fields } = change;
  if (action === "keep") return;
  const entries = (side: "from" | "to") =>
    Object.fromEntries(fields.map((each) => [each.field, each[side]]));
  service.audit.add({
    event: `${kind}s.${action}`,
    actor: access.actor,
    request_id: requestId,
    target: { product_tag, id },
    before: action === "create" ? null : entries("from"),
    after: action === "create" ? {} : entries("to"),
  });
}

/** The endpoint of configurations. */
export const APPLY_ENDPOINTS = {
  "product.apply": apply,
};
