import { z } from "zod";
import { SCOPES } from "../access.js";
import { answer, INSTANT, NEXT, object, TEXT } from "./part.js";

const SCOPE = z.enum(SCOPES).meta({ id: "Scope" });

/** The input that creates a key. A key allows only what it names. */
export const KEY_INPUT = object({
  name: z
    .string()
    .max(255, "expects at most 255 characters")
    .optional()
    .meta({ description: "A name for people, such as the key's owner." }),
  scopes: z
    .array(SCOPE)
    .min(1, "expects at least one scope")
    .meta({ description: "What the key allows." }),
  products: z
    .array(TEXT)
    .min(1, 'expects tags of products, or ["*"] for all')
    .max(1_000, "expects at most 1000 tags")
    .meta({ description: 'Tags of products, or ["*"] for all.' }),
  environments: z
    .array(TEXT)
    .min(1, 'expects slugs of environments, or ["*"] for all')
    .max(1_000, "expects at most 1000 slugs")
    .meta({ description: 'Slugs of environments, or ["*"] for all.' }),
}).meta({ id: "KeyInput" });

const VIEW = {
  id: z.string().meta({ description: "The visible part of the key." }),
  name: z.string(),
  scopes: z.array(SCOPE),
  products: z.array(z.string()),
  environments: z.array(z.string()),
  created_at: INSTANT,
  created_by: z.string().meta({ description: "The id of the key that created it." }),
};

/** A key in lists. Its secret is shown once, when it is created. */
export const KEY_VIEW = answer(VIEW).meta({ id: "KeyView" });

/** A key just created. */
export const KEY_CREATED = answer({ ...VIEW, key: z.string() }).meta({ id: "KeyCreated" });

/** All keys within the caller's reach, by id. */
export const KEYS_PAGE = answer({ keys: z.array(KEY_VIEW), next: NEXT }).meta({ id: "KeysPage" });

/** A stored key. */
export const KEY_STORED = z.object({
  name: z.string(),
  hash: z.string(),
  scopes: z.array(SCOPE),
  products: z.array(z.string()),
  environments: z.array(z.string()),
  created_at: z.string(),
  created_by: z.string(),
});
