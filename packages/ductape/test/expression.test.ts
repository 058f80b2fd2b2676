import { describe, expect, it } from "vitest";
import { evaluate, expressionIn, type ExpressionScope } from "../src/define/expression.js";
import { randomOf, seedOf } from "./support.js";

const SCOPE: ExpressionScope = {
  Input: { pages: 3, deep: { a: { b: 7 } }, list: [5, 6], text: "12", half: 0.5, no: null },
  Session: { plan: "secret-plan", seats: 4 },
  Quota: { tokens: { remaining: 90, limit: null } },
};

/** The value of a text, or what is wrong with it. */
function valueOf(text: string, scope: ExpressionScope = SCOPE): number | string {
  const expression = expressionIn(text);
  return typeof expression === "string" ? expression : evaluate(expression, scope);
}

describe("an expression", () => {
  it.each([
    ["1", 1],
    ["  1.5e2 ", 150],
    ["1 + 2 * 3", 7],
    ["(1 + 2) * 3", 9],
    ["7 - 2 - 1", 4],
    ["16 / 4 / 2", 2],
    ["2 * 3 / 4", 1.5],
    ["-2 + 5", 3],
    ["4 - -1", 5],
    ["-(1 - 3)", 2],
    ["--2", 2],
    ["min(4, 2, 9)", 2],
    ["max(1, 2 * 2)", 4],
    ["max(3)", 3],
    ["ceil(1.2) + floor(1.8)", 3],
    ["round(2.5)", 3],
    ["round(0.49999)", 0],
    ["$Input{pages} * 800", 2_400],
    ["$Input{deep}{a}{b}", 7],
    ["$Input{list}{1}", 6],
    ["$Input{list}{length}", 2],
    ["$Input{pages}*$Session{seats}\n+ 1", 13],
    ["min($Quota{tokens}{remaining}, 100)", 90],
    ["$Input{half} * 3", 1.5],
    ["0.1 * 3", 0.3],
    ["0.1 + 0.2", 0.3],
    ["ceil(0.1 * 3 * 10)", 3],
    ["1 / 3 * 3", 1],
    ["floor(1 / 3 * 3)", 1],
    ["9007199254740991 - 1", 9_007_199_254_740_990],
    ["1234567 * 0.0000025", 3.0864175],
  ])("%s is %d", (text, value) => {
    expect(valueOf(text)).toBe(value);
  });

  it.each([
    ["", "expects a number, a path, a function or ( at character 1, got the end"],
    ["1 +", "expects a number, a path, a function or ( at character 4, got the end"],
    ["1 2", 'expects an operator or the end at character 3, got "2"'],
    ["(1", "expects ) at character 3, got the end"],
    ["1)", 'expects an operator or the end at character 2, got ")"'],
    ["min()", 'expects a number, a path, a function or ( at character 5, got ")"'],
    ["ceil(1, 2)", 'expects one argument for ceil, not 2 at character 10, got ")"'],
    ["sum(1)", 'expects one of min, max, ceil, floor, round at character 1, got "sum(1)"'],
    ["min", "expects ( at character 4, got the end"],
    ["1.2.3", 'expects an operator or the end at character 4, got ".3"'],
    [".5", 'expects a number, a path, a function or ( at character 1, got ".5"'],
    ["2 ** 3", 'expects a number, a path, a function or ( at character 4, got "* 3"'],
    ["1e999", "expects a number below 1.7976931348623157e+308 at character 6, got the end"],
    ["$Input", /^expects a path such as \$Input\{pages\}.* at character 1, got "\$Input"$/],
    ["$Input{}", /^expects a path such as/],
    ["$Input{a", /^expects a path such as/],
    ["$input{a}", /begins with one of \$Input, \$Session, \$Result, \$Quota, \$Feature/],
    ["$Env{SECRET}", /^expects a path such as/],
    ["$InputX{a}", /^expects a path such as/],
    ["1; 2", /^expects an operator or the end/],
  ])("%s is refused", (text, message) => {
    expect(expressionIn(text)).toEqual(
      typeof message === "string" ? message : expect.stringMatching(message),
    );
  });

  it.each([
    ["$Input{missing}", "$Input{missing} leads nowhere; expects a number"],
    ["$Input{text}", '$Input{text} expects a finite number, got "12"'],
    ["$Input{no}", "$Input{no} expects a finite number, got null"],
    ["$Input{deep}", "$Input{deep} expects a finite number, got an object"],
    ["$Input{text}{length}", "$Input{text}{length} leads nowhere; expects a number"],
    ["$Quota{tokens}{limit}", "$Quota{tokens}{limit} expects a finite number, got null"],
    ["$Result{usage}", "$Result{usage} leads nowhere; expects a number"],
    ["1 / 0", '"1 / 0" gives Infinity, not a finite number'],
    ["0 / 0", '"0 / 0" gives NaN, not a finite number'],
    ["1e308 * 10", '"1e308 * 10" gives Infinity, not a finite number'],
  ])("%s has no value", (text, message) => {
    expect(valueOf(text)).toBe(message);
  });

  it("shows nothing of a session in what it says", () => {
    expect(valueOf("$Session{plan}")).toBe("$Session{plan} expects a finite number, got a string");
  });

  it.each([
    "$Input{__proto__}",
    "$Input{constructor}{length}",
    "$Input{constructor}{name}{length}",
    "$Input{toString}{length}",
    "$Input{list}{__proto__}{length}",
    "$Input{list}{at}{length}",
    "$Input{text}{constructor}{length}",
    "$Quota{tokens}{hasOwnProperty}{length}",
  ])("%s finds nothing, because only own members count", (text) => {
    expect(valueOf(text)).toMatch(/ leads nowhere; expects a number$/);
  });

  it.each([
    "globalThis.process.exit(1)",
    "process.env",
    "(() => 1)()",
    "`1`",
    "min.constructor('return 1')()",
    "constructor(1)",
    "__proto__(1)",
    "toString(1)",
    "$Input{pages}[0]",
    "$Input{pages}.constructor",
    "$Input[pages]",
    "1 ? 2 : 3",
    "a = 1",
    "0x10",
    "1n",
    "1_000",
    "'1'",
    "\u0000",
    "１ + １",
    "$Input{\ud800}",
  ])("%j is no expression", (text) => {
    expect(expressionIn(text)).toBeTypeOf("string");
  });

  it("has at most 1,000 characters and 32 levels", () => {
    expect(valueOf("1".padEnd(1_000, "+1"))).toContain("expects a number");
    expect(valueOf("1".padEnd(999, "+1"))).toBe(500);
    expect(valueOf(" ".repeat(999) + "1")).toBe(1);
    expect(expressionIn(" ".repeat(1_000) + "1")).toBe("expects at most 1000 characters, got 1001");
    const nested = (depth: number) => `${"(".repeat(depth)}1${")".repeat(depth)}`;
    expect(valueOf(nested(32))).toBe(1);
    expect(expressionIn(nested(33))).toBe("expects at most 32 levels");
    expect(expressionIn("-".repeat(999))).toBe("expects at most 32 levels");
    expect(expressionIn("min(".repeat(200))).toBe("expects at most 32 levels");
    expect(expressionIn("$Input" + "{a}".repeat(300))).toBeTypeOf("string");
  });

  it("is refused in no time, however it is built", () => {
    const startMs = performance.now();
    for (const part of [
      "$",
      "$Input{",
      "{",
      "(",
      "-",
      "1e",
      "min(1,",
      "a",
      " ",
      "1+",
      "$Input{a}{",
    ]) {
      for (let length = 900; length < 1_000; length++) {
        expect(expressionIn(`${part.repeat(length).slice(0, length - 1)}!`)).toBeTypeOf("string");
      }
    }
    expect(performance.now() - startMs).toBeLessThan(2_000);
  });
});

/** A number as a fraction: exact, and nothing like the evaluator under test. */
type Fraction = readonly [bigint, bigint];

type Tree =
  | { readonly number: number }
  | { readonly path: string; readonly number: number }
  | { readonly operator: "+" | "-" | "*"; readonly left: Tree; readonly right: Tree }
  | { readonly halves: Tree }
  | { readonly negated: Tree }
  | { readonly name: "min" | "max" | "ceil" | "floor" | "round"; readonly args: readonly Tree[] };

const fraction = (number: number): Fraction => [BigInt(number * 4), 4n];
const floorOf = ([a, b]: Fraction): bigint => a / b - (a % b < 0n ? 1n : 0n);
const isLess = ([a, b]: Fraction, [c, d]: Fraction): boolean => a * d < c * b;

function exact(tree: Tree): Fraction {
  if ("number" in tree) return fraction(tree.number);
  if ("halves" in tree) {
    const [a, b] = exact(tree.halves);
    return [a, b * 2n];
  }
  if ("negated" in tree) {
    const [a, b] = exact(tree.negated);
    return [-a, b];
  }
  if ("operator" in tree) {
    const [[a, b], [c, d]] = [exact(tree.left), exact(tree.right)];
    if (tree.operator === "*") return [a * c, b * d];
    return [tree.operator === "+" ? a * d + c * b : a * d - c * b, b * d];
  }
  const numbers = tree.args.map(exact);
  const [first = fraction(0)] = numbers;
  const [a, b] = first;
  switch (tree.name) {
    case "min":
      return numbers.reduce((least, each) => (isLess(each, least) ? each : least));
    case "max":
      return numbers.reduce((most, each) => (isLess(most, each) ? each : most));
    case "floor":
      return [floorOf(first), 1n];
    case "ceil":
      return [-floorOf([-a, b]), 1n];
    case "round":
      return [floorOf([a * 2n + b, b * 2n]), 1n];
  }
}

/** The text of a tree, with no more parentheses than a reader needs. */
function textOf(tree: Tree, precedence: number): string {
  if ("path" in tree) return tree.path;
  if ("number" in tree) return String(tree.number);
  if ("negated" in tree) return `-${textOf(tree.negated, 3)}`;
  if ("name" in tree) return `${tree.name}(${tree.args.map((arg) => textOf(arg, 0)).join(", ")})`;
  const own = "halves" in tree || tree.operator === "*" ? 2 : 1;
  const text =
    "halves" in tree
      ? `${textOf(tree.halves, 2)} / 2`
      : `${textOf(tree.left, own)} ${tree.operator} ${textOf(tree.right, own + 1)}`;
  return own < precedence ? `(${text})` : text;
}

function treeOf(random: ReturnType<typeof randomOf>, depth: number): Tree {
  const kind = depth === 0 ? random.below(2) : random.below(9);
  const number = random.below(80) / 4;
  if (kind === 0) return { number };
  if (kind === 1) return { path: `$Input{n}{${number * 4}}`, number };
  const one = () => treeOf(random, depth - 1);
  if (kind === 2) return { halves: one() };
  if (kind === 3) return { negated: one() };
  if (kind === 4) return { name: random.pick(["ceil", "floor", "round"]), args: [one()] };
  if (kind === 5) return { name: random.pick(["min", "max"]), args: [one(), one(), one()] };
  return { operator: random.pick(["+", "-", "*"]), left: one(), right: one() };
}

const SEED = seedOf();

it(`gives what exact fractions give, for random expressions, seed ${SEED}`, () => {
  const random = randomOf(SEED);
  const n = Object.fromEntries(Array.from({ length: 80 }, (_, i) => [i, i / 4]));
  let compared = 0;
  for (let i = 0; i < 20_000; i++) {
    const tree = treeOf(random, 1 + random.below(5));
    const text = textOf(tree, 0);
    const [a, b] = exact(tree);
    const isLarge = [a, b].some((part) => part > 2n ** 45n || part < -(2n ** 45n));
    if (text.length > 1_000 || isLarge) continue;
    const wanted = Number(a) / Number(b);
    const value = valueOf(text, { Input: { n } });
    const isSame = value === wanted || Number(value) === Number(wanted.toPrecision(15));
    expect(isSame, `${text} is ${wanted}, got ${value}`).toBe(true);
    compared++;
  }
  expect(compared).toBeGreaterThan(15_000);
});
