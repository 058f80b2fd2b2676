import type { Command } from "commander";
import type { Cache, Client, DefinitionCalls, Environment, QuotaView, SessionView } from "ductape";
import { definitionCommand, type Kind, type Listed } from "./definitions.js";
import { quotaActions } from "./quota.js";
import { sessionActions } from "./session.js";

/** The commands of products and of each kind of definition in them. */
export function kindCommands(): readonly Command[] {
  const product = definitionCommand({
    name: "product",
    id: "tag",
    description: "list, print and delete products",
    isProduct: true,
    of: ({ product: calls }) => ({
      fetchAll: () => calls.fetchAll(),
      fetch: (id) => calls.fetch(id),
      remove: (id, options) => calls.delete(id, options),
    }),
    idOf: ({ tag }) => tag,
  });
  const env = definitionCommand<Environment>({
    name: "env",
    id: "slug",
    description: "list, print and delete environments of a product",
    of: inProduct((client) => client.product.environments),
    idOf: ({ slug }) => slug,
  });
  const quota = definitionCommand<QuotaView>({
    name: "quota",
    id: "tag",
    description: "decide by a quota; list, print and delete quotas of a product",
    of: inProduct((client) => client.product.quotas),
    idOf: ({ tag }) => tag,
  });
  const session = definitionCommand<SessionView>({
    name: "session",
    id: "tag",
    description: "start and inspect sessions; list, print and delete those a product defines",
    of: inProduct((client) => client.product.sessions),
    idOf: ({ tag }) => tag,
  });
  const cache = definitionCommand<Cache>({
    name: "cache",
    id: "tag",
    description: "list, print and delete caches of a product",
    of: inProduct((client) => client.product.caches),
    idOf: ({ tag }) => tag,
  });
  return [quotaActions(quota), product, env, sessionActions(session), cache];
}

/** The calls of a kind with the product they are made in. */
function inProduct<Input, V extends Listed>(
  callsOf: (client: Client) => DefinitionCalls<Input, V>,
): Kind<V>["of"] {
  return (client, product) => {
    const calls = callsOf(client);
    return {
      fetchAll: () => calls.fetchAll(product),
      fetch: (id) => calls.fetch(product, id),
      remove: (id, options) => calls.delete(product, id, options),
    };
  };
}
