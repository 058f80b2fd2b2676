import { show } from "../base/errors.js";
import { remembering } from "../base/memo.js";
import { pathAfter } from "../base/text.js";
import { valueAt } from "./selector.js";

/** Where the paths of an expression may begin: `$Input{pages}`. */
export type Root = "Input" | "Session" | "Result" | "Quota" | "Feature";

/** Every root, in the order of messages. */
export const ROOTS: readonly Root[] = ["Input", "Session", "Result", "Quota", "Feature"];

/** A path in an expression. */
interface ExpressionPath {
  readonly root: Root;
  readonly path: readonly string[];
  /** As it is written. */
  readonly text: string;
}

/** What paths find: a value for each root that is known. */
export type ExpressionScope = Readonly<Partial<Record<Root, unknown>>>;

/** One step of a program on a stack of numbers. */
type Step =
  | { readonly kind: "number"; readonly value: number }
  | ({ readonly kind: "path" } & ExpressionPath)
  | { readonly kind: "operator"; readonly operator: Operator }
  | { readonly kind: "negate" }
  | { readonly kind: "call"; readonly name: FunctionName; readonly count: number };

type Operator = "+" | "-" | "*" | "/";

/** A parsed expression, which `expressionIn` makes. */
interface Expression {
  readonly text: string;
  /** In the order of their evaluation: operands before their operator. */
  readonly steps: readonly Step[];
  readonly paths: readonly ExpressionPath[];
}

/** The longest expression. */
const CHARS_MAX = 1_000;
/** The deepest nesting of parentheses, functions and signs. */
const DEPTH_MAX = 32;
/** Significant decimal digits that a double always keeps (DBL_DIG). */
const DIGITS_KEPT = 15;
/** How many parsed expressions are remembered. */
const KNOWN_MAX = 2_000;

const FUNCTIONS = {
  min: (numbers: readonly number[]) => Math.min(...numbers),
  max: (numbers: readonly number[]) => Math.max(...numbers),
  ceil: ([number = 0]: readonly number[]) => Math.ceil(decimal(number)),
  floor: ([number = 0]: readonly number[]) => Math.floor(decimal(number)),
  round: ([number = 0]: readonly number[]) => Math.round(decimal(number)),
};

type FunctionName = keyof typeof FUNCTIONS;

/** The functions of one argument; the others take any number of them, from 1. */
const UNARY: readonly string[] = ["ceil", "floor", "round"];
const PRECEDENCE: Readonly<Record<Operator, number>> = { "+": 1, "-": 1, "*": 2, "/": 2 };

/**
 * Parses an expression: decimal numbers, `+ - * /`, parentheses, `min max ceil floor round`, and
 * paths such as `$Input{pages}`. Returns what is wrong with any other text. It has at most
 * 1,000 characters and 32 levels. An expression is data: nothing in it can run code.
 */
export const expressionIn: (text: string) => Expression | string = remembering(
  KNOWN_MAX,
  (text) => {
    if (text.length > CHARS_MAX) {
      return `expects at most ${CHARS_MAX} characters, got ${text.length}`;
    }
    return new Parser(text).parse();
  },
);

/** Its value, a finite number; a text says what is wrong. Shows no data of a session. */
export function evaluate(
  { steps, text }: Pick<Expression, "steps" | "text">,
  scope: ExpressionScope,
): number | string {
  const stack: number[] = [];
  for (const step of steps) {
    const value = valueOfStep(step, stack, scope);
    if (typeof value === "string") return value;
    stack.push(value);
  }
  const value = decimal(stack[0] ?? Number.NaN);
  return Number.isFinite(value) ? value : `${show(text)} gives ${value}, not a finite number`;
}

/**
 * The value of an expression in an output: whatever its only path finds, null if that leads
 * nowhere; otherwise as {@link evaluate}, with what is wrong in `wrong`.
 */
export function found(
  expression: Expression,
  scope: ExpressionScope,
): { readonly value: unknown; readonly wrong: string | null } {
  const [only, ...others] = expression.steps;
  if (only?.kind === "path" && others.length === 0) {
    return { value: lookUp(only, scope) ?? null, wrong: null };
  }
  const value = evaluate(expression, scope);
  return typeof value === "number" ? { value, wrong: null } : { value: null, wrong: value };
}

function valueOfStep(step: Step, stack: number[], scope: ExpressionScope): number | string {
  switch (step.kind) {
    case "number":
      return step.value;
    case "path":
      return numberAt(step, scope);
    case "negate":
      return -(stack.pop() ?? Number.NaN);
    case "call":
      return FUNCTIONS[step.name](stack.splice(-step.count));
    case "operator": {
      const [left = Number.NaN, right = Number.NaN] = stack.splice(-2);
      return calculated(step.operator, left, right);
    }
  }
}

function calculated(operator: Operator, left: number, right: number): number {
  if (operator === "+") return left + right;
  if (operator === "-") return left - right;
  return operator === "*" ? left * right : left / right;
}

/**
 * Without the noise that floats add: 0.1 * 3 is 0.3. Integers keep all their digits. Only results
 * and what is rounded lose their noise, or 1 / 3 * 3 would not be 1.
 */
function decimal(value: number): number {
  return Number.isSafeInteger(value) ? value : Number(value.toPrecision(DIGITS_KEPT));
}

function numberAt(at: ExpressionPath, scope: ExpressionScope): number | string {
  const value = lookUp(at, scope);
  if (typeof value === "number" && Number.isFinite(value)) return value;
  if (value === undefined) return `${at.text} leads nowhere; expects a number`;
  const got = at.root === "Session" ? `a ${typeof value}` : show(value);
  return `${at.text} expects a finite number, got ${got}`;
}

function lookUp({ root, path }: ExpressionPath, scope: ExpressionScope): unknown {
  const within = scope[root];
  return typeof within === "object" && within !== null ? valueAt(within, path) : undefined;
}

/** Why a text is no expression. */
class Refused extends Error {}

/** One pass over a text. Each level reads its operands before it writes its operator. */
class Parser {
  readonly #text: string;
  readonly #steps: Step[] = [];
  readonly #paths: ExpressionPath[] = [];
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): Expression | string {
    try {
      this.#sum(1);
      if (this.#peek() !== "") this.#refuse("an operator or the end");
    } catch (error) {
      if (error instanceof Refused) return error.message;
      throw error;
    }
    return { text: this.#text, steps: this.#steps, paths: this.#paths };
  }

  /** Operands joined by operators of at least this precedence, from the left. */
  #sum(precedence: number): void {
    this.#operand();
    for (;;) {
      const operator = OPERATORS.find((each) => each === this.#peek());
      if (operator === undefined || PRECEDENCE[operator] < precedence) return;
      this.#at++;
      this.#sum(PRECEDENCE[operator] + 1);
      this.#steps.push({ kind: "operator", operator });
    }
  }

  #operand(): void {
    if (this.#take("-")) {
      this.#nested(() => this.#operand());
      this.#steps.push({ kind: "negate" });
    } else if (this.#take("(")) {
      this.#nested(() => this.#sum(1));
      this.#need(")");
    } else if (this.#peek() === "$") this.#path();
    else if (/[a-z]/i.test(this.#peek())) this.#call();
    else this.#number();
  }

  #number(): void {
    const digits = this.#match(/\d+(\.\d+)?(e[+-]?\d+)?/iy);
    if (digits === null) return this.#refuse("a number, a path, a function or (");
    const value = Number(digits);
    if (!Number.isFinite(value)) this.#refuse(`a number below ${Number.MAX_VALUE}`);
    this.#steps.push({ kind: "number", value });
  }

  #path(): void {
    const start = this.#at;
    const text = this.#match(/\$\w*(\{[^{}]*\})*/y) ?? "";
    const root = ROOTS.find((each) => new RegExp(`^\\$${each}(\\{|$)`).test(text));
    const path = root === undefined ? null : pathAfter(`$${root}`, text);
    if (root === undefined || path === null) {
      this.#at = start;
      const known = ROOTS.map((each) => `$${each}`).join(", ");
      return this.#refuse(`a path such as $Input{pages}, which begins with one of ${known}`);
    }
    const read = { root, path, text };
    this.#paths.push(read);
    this.#steps.push({ kind: "path", ...read });
  }

  #call(): void {
    const start = this.#at;
    const word = this.#match(/\w+/y);
    const name = FUNCTION_NAMES.find((each) => each === word);
    if (name === undefined) {
      this.#at = start;
      return this.#refuse(`one of ${FUNCTION_NAMES.join(", ")}`);
    }
    this.#need("(");
    let count = 0;
    do {
      this.#nested(() => this.#sum(1));
      count++;
    } while (this.#take(","));
    if (count > 1 && UNARY.includes(name)) this.#refuse(`one argument for ${name}, not ${count}`);
    this.#need(")");
    this.#steps.push({ kind: "call", name, count });
  }

  #nested(read: () => void): void {
    if (++this.#depth > DEPTH_MAX) throw new Refused(`expects at most ${DEPTH_MAX} levels`);
    read();
    this.#depth--;
  }

  /** The next character after white space; "" at the end. */
  #peek(): string {
    while (/\s/.test(this.#text.charAt(this.#at))) this.#at++;
    return this.#text.charAt(this.#at);
  }

  #take(char: string): boolean {
    if (this.#peek() !== char) return false;
    this.#at++;
    return true;
  }

  #need(char: string): void {
    if (!this.#take(char)) this.#refuse(char);
  }

  #match(pattern: RegExp): string | null {
    pattern.lastIndex = this.#at;
    const [text] = pattern.exec(this.#text) ?? [];
    if (text === undefined) return null;
    this.#at += text.length;
    return text;
  }

  #refuse(wanted: string): never {
    const rest = this.#text.slice(this.#at);
    const got = rest === "" ? "the end" : show(rest);
    throw new Refused(`expects ${wanted} at character ${this.#at + 1}, got ${got}`);
  }
}

const OPERATORS: readonly Operator[] = ["+", "-", "*", "/"];
const FUNCTION_NAMES: readonly FunctionName[] = ["min", "max", "ceil", "floor", "round"];
