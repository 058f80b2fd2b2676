import type { Client, DeleteOptions, ErrorCode } from "ductape";
import type { z } from "zod";
import type { Access } from "../access.js";

/** A definition in answers. */
export interface View {
  readonly revision: number;
}

/** The library's calls for a kind of definition. */
interface Definitions<I, P, V extends View> {
  create(product: string, input: I): Promise<V>;
  update(product: string, id: string, patch: P): Promise<V>;
  fetch(product: string, id: string): Promise<V>;
  fetchAll(product: string): Promise<V[]>;
  delete(product: string, id: string, options?: DeleteOptions): Promise<void>;
}

/** One kind of definition over HTTP. */
export interface Kind<I extends z.ZodType, P extends z.ZodType, V extends View> {
  /** Its name in a sentence: `a quota`. */
  readonly one: string;
  readonly missing: readonly ErrorCode[];
  readonly input: I;
  readonly patch: P;
  readonly view: z.ZodType;
  readonly page: z.ZodType;
  of(ductape: Pick<Client, "product">): Definitions<z.input<I>, z.input<P>, V>;
  /** The field that names one. */
  idOf(definition: z.input<I> | V): string;
  /** True if the key may see it in lists. */
  mayList(access: Access, id: string): boolean;
  /** Throws unless the key may see one. */
  requireRead(access: Access, product: string, id: string): void;
  /** Throws unless the key may make one. */
  requireCreate(access: Access, product: string, id: string): void;
  /** Throws unless the key may change one. */
  requireChange(access: Access, product: string, id: string): void;
}
