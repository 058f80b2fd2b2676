import type { OutagePolicy } from "../base/settings.js";
import type { ExpressionScope } from "../define/expression.js";
import type { SessionData } from "../define/sample.js";
import type { SubjectInput } from "../define/subject.js";
import type { Holding } from "./holding.js";

/** What expressions read. Only some of them read the answers of quotas and features. */
export class RunScope<Policy extends OutagePolicy> implements ExpressionScope {
  readonly Input: Readonly<Record<string, unknown>>;
  readonly Session: object | undefined;
  /** Known after the work. */
  Result: unknown = undefined;
  readonly #holding: Holding<Policy>;
  readonly #outputs: ReadonlyMap<string, unknown>;

  constructor(
    input: Readonly<Record<string, unknown>>,
    session: SessionData | null,
    subject: SubjectInput | null,
    holding: Holding<Policy>,
    outputs: ReadonlyMap<string, unknown>,
  ) {
    this.Input = input;
    this.Session = session ?? (typeof subject === "object" ? (subject ?? undefined) : undefined);
    this.#holding = holding;
    this.#outputs = outputs;
  }

  get Quota(): object {
    return this.#holding.byQuota;
  }

  get Feature(): object {
    return Object.fromEntries(this.#outputs);
  }
}
