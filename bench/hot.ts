// A process of the benchmarks: callers of one counter. Prints their calls a second.
import { hotRate, openOurs, openPeer } from "./network.js";

const [whose, url = ""] = process.argv.slice(2);
const counter = whose === "ours" ? await openOurs(url, false) : await openPeer(url);
console.log(await hotRate(counter));
