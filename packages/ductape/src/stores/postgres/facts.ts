import type { StoreFact } from "../store.js";
import { clockFact, fact } from "../facts.js";
import type { Connection } from "./pool.js";

const SETTINGS = ["server_version", "synchronous_commit", "fsync", "full_page_writes"] as const;

/** What it means for each setting to be off. */
const ADVICE: Readonly<Record<string, string>> = {
  synchronous_commit: "a crash of the server loses the last acknowledged changes: set it to on",
  fsync: "a crash of the machine may lose or damage everything: set it to on",
  full_page_writes: "a crash of the machine may damage pages: set it to on",
};

/** The facts about a server. */
export async function postgresFacts(connection: Connection, schema: string): Promise<StoreFact[]> {
  const settings = SETTINGS.map((name) => `current_setting('${name}')`).join(", ");
  const sentMs = Date.now();
  const { rows } = await connection.query({
    text: `
      SELECT extract(epoch FROM clock_timestamp()) * 1000, version, ${settings}
      FROM ${schema}.ductape_meta`,
  });
  const answeredMs = Date.now();
  const [nowMs, version, ...values] = rows[0] ?? [];
  return [
    ...SETTINGS.map((name, i) => {
      const value = values[i] ?? "";
      return fact(name, value, value === "off" ? (ADVICE[name] ?? null) : null);
    }),
    fact("schema", `${schema}, version ${version}`),
    clockFact("clock", Number(nowMs), sentMs, answeredMs),
  ];
}
