import type { DuctapeError } from "ductape";

const TLS = "correct its certificate, or trust its authority with NODE_EXTRA_CA_CERTS";
const PASSWORD = "correct the user and the password of its URL";
const WAIT = "wait until it is ready, then try again";
const RIGHTS = "let this user read and write the file and its folder, or name another file";
const RESTORE = "name another file, or restore it from a backup";
const DISK = "free some space on its disk";

/** What to do, by the code of the system, SQLite, PostgreSQL or Redis that caused a fault. */
const ADVICE: Readonly<Record<string, string>> = {
  ECONNREFUSED: "start it, or correct the host and the port of its URL",
  ENOTFOUND: "correct the host of its URL: this name is not known here",
  EAI_AGAIN: "check the name servers of this machine, or correct the host of its URL",
  ETIMEDOUT: "check the firewall on the way to it, or correct its URL",
  EHOSTUNREACH: "check the network on the way to it, or correct its URL",
  ENETUNREACH: "check the network on the way to it, or correct its URL",
  EACCES: RIGHTS,
  EPERM: RIGHTS,
  EROFS: RIGHTS,
  EEXIST: "name a file in a folder: a part of its path is a file",
  ENOTDIR: "name a file in a folder: a part of its path is a file",
  ENOENT: "create its folder, or name another file",
  ENOSPC: DISK,
  EDQUOT: DISK,
  ERR_MODULE_NOT_FOUND: "install the package named below",
  DEPTH_ZERO_SELF_SIGNED_CERT: TLS,
  SELF_SIGNED_CERT_IN_CHAIN: TLS,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: TLS,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: TLS,
  CERT_HAS_EXPIRED: TLS,
  ERR_TLS_CERT_ALTNAME_INVALID: "use the host name of its certificate",
  EPROTO: "use the right scheme in its URL: with TLS, or without",
  ERR_SSL_WRONG_VERSION_NUMBER: "use the right scheme in its URL: with TLS, or without",
  "sqlite 8": RIGHTS,
  "sqlite 11": RESTORE,
  "sqlite 13": DISK,
  "sqlite 14": "name a file in a folder that this user may write to",
  "sqlite 26": "name another file: this one is not a database",
  "28000": "correct the user of its URL, or allow the user in pg_hba.conf",
  "28P01": PASSWORD,
  "3D000": "create the database, or correct its name in the URL",
  "42501": "grant CREATE on the database, or on an empty schema, to this user",
  "53100": DISK,
  "53300": "lower pool in its URL, or raise max_connections",
  "57P03": WAIT,
  LOADING: WAIT,
  NOAUTH: "add the password to its URL: redis://:password@host",
  WRONGPASS: PASSWORD,
  NOPERM: "allow its user to run the store's commands and use its keys",
  OOM: "raise its maxmemory, with maxmemory-policy noeviction",
  READONLY: "name the server that accepts writes: this one is a replica",
};

/**
 * What to do about a fault of a store or a server: by its cause, else by whether a retry may help.
 */
export function adviceOf(fault: DuctapeError): string {
  for (let cause: unknown = fault.cause; cause instanceof Error; cause = cause.cause) {
    const advice = codesOf(cause).flatMap((code) => ADVICE[code] ?? [])[0];
    if (advice !== undefined) return advice;
  }
  if (fault.code === "UNAUTHORIZED") return "give a key made by `ductape key create`";
  if (fault.code === "VALIDATION") return "correct what is named below";
  // Waiting does not help, and the message says what does.
  if (!fault.retryable) return "follow the message below; see docs/ERRORS.md";
  return "start it, or correct its address; see docs/ERRORS.md";
}

function codesOf(error: Error): string[] {
  if (error.name === "ReplyError") return [error.message.split(" ", 1)[0] ?? ""];
  const several: readonly unknown[] = error instanceof AggregateError ? error.errors : [];
  const sqlite: unknown = Reflect.get(error, "sqliteExtendedCode") ?? Reflect.get(error, "errcode");
  const code: unknown = Reflect.get(error, "code");
  return [
    ...(typeof sqlite === "number" ? [`sqlite ${sqlite & 0xff}`] : []),
    ...(typeof code === "string" ? [code] : []),
    ...several.flatMap((each) => (each instanceof Error ? codesOf(each) : [])),
  ];
}
