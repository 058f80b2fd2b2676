import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { promisify } from "node:util";
import { gzip } from "node:zlib";

/** A file of the page at `/docs`. Under one name its content never changes. */
export interface Asset {
  /** The last part of its path, which contains the hash of its content. */
  readonly name: string;
  readonly type: string;
  readonly body: Buffer;
  /** Its gzipped body, made at the first request. */
  packed: Promise<Buffer> | null;
}

/** The served files of Swagger UI; a build copies them with their licences. */
const PACKED = new URL("./viewer/", import.meta.url);
const HASH_CHARS = 16;
const TYPES: Readonly<Record<string, string>> = {
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  txt: "text/plain; charset=utf-8",
};

/** A file of Swagger UI: from the build or, when run from source, from the package. */
export function readViewer(name: string): Buffer {
  const built = new URL(name, PACKED);
  if (existsSync(built)) return readFileSync(built);
  return readFileSync(createRequire(import.meta.url).resolve(`swagger-ui-dist/${name}`));
}

/** A file under a name that changes with its content. */
export function assetOf(name: string, extension: string, body: Buffer): Asset {
  const hash = createHash("sha256").update(body).digest("base64url").slice(0, HASH_CHARS);
  const type = TYPES[extension] ?? "application/octet-stream";
  return { name: `${name}.${hash}.${extension}`, type, body, packed: null };
}

/** The gzipped body, made once, without blocking other requests. */
export function packedBody(asset: Asset): Promise<Buffer> {
  asset.packed ??= promisify(gzip)(asset.body, { level: 9 });
  return asset.packed;
}
