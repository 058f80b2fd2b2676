import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { promisify } from "node:util";
import { gzip } from "node:zlib";

/** A file of the page at `/docs`, which never changes under its name. */
export interface Asset {
  /** The last part of its path: it has the hash of what is in it. */
  readonly name: string;
  readonly type: string;
  readonly body: Buffer;
  /** Its body in gzip, made when it is first asked for. */
  packed: Promise<Buffer> | null;
}

/** The files of Swagger UI that are served; a build copies them, with their licences. */
const PACKED = new URL("./viewer/", import.meta.url);
const HASH_CHARS = 16;
const TYPES: Readonly<Record<string, string>> = {
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  txt: "text/plain; charset=utf-8",
};

/** A file of Swagger UI: of the build or, where this runs from source, of the package. */
export function readViewer(name: string): Buffer {
  const built = new URL(name, PACKED);
  if (existsSync(built)) return readFileSync(built);
  return readFileSync(createRequire(import.meta.url).resolve(`swagger-ui-dist/${name}`));
}

/** A file under a name that changes with it. */
export function assetOf(name: string, extension: string, body: Buffer): Asset {
  const hash = createHash("sha256").update(body).digest("base64url").slice(0, HASH_CHARS);
  const type = TYPES[extension] ?? "application/octet-stream";
  return { name: `${name}.${hash}.${extension}`, type, body, packed: null };
}

/** Its body in gzip. Nothing else waits meanwhile, and it is made once. */
export function packedBody(asset: Asset): Promise<Buffer> {
  asset.packed ??= promisify(gzip)(asset.body, { level: 9 });
  return asset.packed;
}
