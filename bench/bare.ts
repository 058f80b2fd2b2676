// A process of the bench: what HTTP alone costs. A bare route of Fastify that answers every call
// with the same decision.
import Fastify from "fastify";

const [decision = ""] = process.argv.slice(2);
const answer: unknown = JSON.parse(decision);
const app = Fastify();
app.post("/v1/quota/run", () => answer);
console.error(`listening on ${await app.listen({ port: 0 })}`);
