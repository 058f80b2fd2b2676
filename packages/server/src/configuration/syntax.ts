import type { YAMLParseError } from "yaml";

/** What is wrong with the text of a file, and where. */
interface SyntaxFault {
  readonly offset: number;
  readonly message: string;
}

const SELECTOR = "$Session";

/** A fault of the parser or, if a common mistake caused it, that mistake and what to write. */
export function syntaxFault(text: string, { pos, message }: YAMLParseError): SyntaxFault {
  const [offset] = pos;
  return tabFault(text, offset) ?? selectorFault(text, offset) ?? { offset, message };
}

function tabFault(text: string, offset: number): SyntaxFault | null {
  const begin = text.lastIndexOf("\n", offset - 1) + 1;
  const indent = /^[ \t]*/.exec(text.slice(begin))?.[0] ?? "";
  const tab = indent.indexOf("\t");
  if (tab === -1 || offset > begin + indent.length) return null;
  return { offset: begin + tab, message: "the line is indented with a tab; use spaces instead" };
}

/** Between brackets, the `{` of a selector ends the unquoted text. */
function selectorFault(text: string, offset: number): SyntaxFault | null {
  const begin = offset - SELECTOR.length;
  if (begin < 0 || !text.startsWith(SELECTOR, begin)) return null;
  const selector = /^\$Session\{[^{}\n]*\}/.exec(text.slice(begin))?.[0];
  if (selector === undefined) return null;
  const message = `${selector} needs quotes between brackets; write ${JSON.stringify(selector)}`;
  return { offset: begin, message };
}
