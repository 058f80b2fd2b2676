/** Only the client of a server, for programs without a store: types, errors and `fetch`. */
export { RemoteDuctape as Ductape, type RemoteOptions as DuctapeOptions } from "./remote/client.js";
export {
  DuctapeError,
  ConflictError,
  NotFoundError,
  SessionError,
  StoreError,
  ValidationError,
  ERRORS,
} from "./base/errors.js";
export { QuotaExceededError } from "./quota/exceeded.js";
export type * from "./index.js";
