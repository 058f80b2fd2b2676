import type { PlacedSession } from "../define/catalogue.js";
import { keyIn, loginFolder, loginsOfFolder } from "../base/key.js";
import type { DocumentWrite, Store, StoredDocument } from "../stores/store.js";
import { readLogin, type Login } from "./login.js";

/** How long a refresh token outlives its access token, in milliseconds. */
const REFRESH_MS = 30 * 86_400_000;
const PAGE_MAX = 1_000;

/** A record and its revision. */
interface StoredLogin {
  readonly login: Login;
  readonly revision: number;
}

/** Selects the records of a page: of one identifier, or of all. */
interface LoginPage {
  readonly identifier: string | null;
  readonly limit: number;
  /** The id of the last session on the previous page. */
  readonly after: string | null;
}

/**
 * The records of sessions in the store, by session and by identifier. Throws the faults of the
 * store.
 */
export class Logins {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  /** The record of a session; null if it is over or never existed. */
  async find(session: PlacedSession, sessionId: string): Promise<StoredLogin | null> {
    const key = keyIn(loginFolder(session), sessionId);
    const document = await this.#store.documents.get(key);
    const login = document === null ? null : readLogin(document.value);
    return document === null || login === null ? null : { login, revision: document.revision };
  }

  /** Writes a record; false, with nothing changed, if another write was quicker. */
  async write(
    session: PlacedSession,
    sessionId: string,
    login: Login,
    ifRevision: number,
  ): Promise<boolean> {
    const writes = loginWrites(session, sessionId, login, ifRevision);
    return (await this.#store.documents.write(writes, [])) === null;
  }

  /** A page of records by session id, and the id after which the next page begins. */
  async page(session: PlacedSession, { identifier, limit, after }: LoginPage) {
    const folder = folderOf(session, identifier);
    const from = after === null ? "" : keyIn(folder, after);
    const rows = await this.#store.documents.list(folder, { after: from, limit });
    const logins: [sessionId: string, login: Login][] = [];
    for (const row of rows) {
      const id = idIn(folder, row);
      const login =
        identifier === null ? readLogin(row.value) : (await this.find(session, id))?.login;
      if (login) logins.push([id, login]);
    }
    const last = rows.at(-1);
    const isFull = rows.length === limit && last !== undefined;
    return { logins, next: isFull ? idIn(folder, last) : null };
  }

  /** The ids of all sessions of one identifier. */
  async *idsOf(session: PlacedSession, identifier: string): AsyncGenerator<string> {
    const folder = folderOf(session, identifier);
    let after = "";
    for (;;) {
      const rows = await this.#store.documents.list(folder, { after, limit: PAGE_MAX });
      for (const row of rows) yield idIn(folder, row);
      const last = rows.at(-1);
      if (last === undefined || rows.length < PAGE_MAX) return;
      after = last.key;
    }
  }
}

/**
 * A record and its entry under its identifier, always written together, so with the same revision.
 */
export function loginWrites(
  session: PlacedSession,
  sessionId: string,
  login: Login,
  ifRevision: number,
): DocumentWrite[] {
  const expiresMs = login.token_ends_ms + REFRESH_MS;
  const common = { ifRevision, unwatched: true, expiresMs };
  const entry = keyIn(loginsOfFolder(session, login.identifier), sessionId);
  return [
    { ...common, key: keyIn(loginFolder(session), sessionId), value: JSON.stringify(login) },
    { ...common, key: entry, value: "{}" },
  ];
}

function folderOf(session: PlacedSession, identifier: string | null): string {
  return identifier === null ? loginFolder(session) : loginsOfFolder(session, identifier);
}

/** The name of a document in its folder. Session ids contain nothing to escape. */
function idIn(folder: string, { key }: StoredDocument): string {
  return key.slice(folder.length, -1);
}
