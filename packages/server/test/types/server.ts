// A program of a user, compiled and never run: see packages/ductape/test/types/results.ts.
import { SCOPES, startServer, type KeyInput, type RunningServer, type Scope } from "ductape-server";
import type { OutagePolicy, QuotaInput } from "ductape";

declare const input: QuotaInput;

export async function theClientOfAServerHasItsPolicy(): Promise<number> {
  const lenient = await startServer({ store: "memory:", onStoreError: "allow" });
  // @ts-expect-error: a degraded answer has no numbers
  void (await lenient.ductape.processor.quota.run(input)).used;
  const either: RunningServer<OutagePolicy> = lenient;
  // @ts-expect-error: its answers may be degraded
  const wrong: RunningServer<"throw"> = lenient;
  void [either, wrong];
  const server = await startServer({ store: "memory:", auditLog: { write: () => undefined } });
  return (await server.ductape.processor.quota.run(input)).used;
}

export async function aKeyIsMadeOfScopes(server: RunningServer): Promise<string> {
  const [scope] = SCOPES;
  const made: Scope = scope;
  const all: KeyInput = { scopes: [made, "quota:check"], products: ["*"], environments: ["*"] };
  // @ts-expect-error: there is no such scope
  const wrong: KeyInput = { ...all, scopes: ["quota:none"] };
  const { key, created_at } = await server.keys.create(all, { id: "me", name: "me" });
  return [key, created_at, ...wrong.products].join();
}
