export { startServer, type RunningServer, type ServerOptions } from "./server.js";
export type { LineSink, LogTarget } from "./log.js";
export { SCOPES, type Grant, type Scope } from "./access.js";
export { rootKeyOf, type KeyInput, type KeyView } from "./keys.js";
export type { Problem } from "./problem.js";
