// Prints the published table. Each row is measured side by side, in turn, in one process.
import { benchMemory } from "./memory.js";
import { benchSqlite } from "./sqlite.js";
import { machine } from "./measure.js";

const wanted = process.argv[2];
console.log(machine());
console.log("| case | ours | rate-limiter-flexible 11.4 | ratio |\n|---|---|---|---|");
const benches = { memory: benchMemory, sqlite: benchSqlite };
for (const [name, bench] of Object.entries(benches)) {
  if (wanted !== undefined && wanted !== name) continue;
  for (const line of await bench()) console.log(`| ${line} |`);
}
