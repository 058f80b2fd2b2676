import { Argument, type Command } from "commander";
import { printLines } from "../print.js";

/** What can follow the words of a command line: flags follow `quota check`. */
interface Words {
  /** The commands so far, after `ductape`; empty at the start. */
  readonly path: string;
  readonly next: readonly string[];
}

const SHELLS = { bash: bashOf, zsh: zshOf, fish: fishOf } as const;
type Shell = keyof typeof SHELLS;

/** `ductape completion bash|zsh|fish`: a shell script made from the commands. */
export function addCompletion(command: Command, program: Command): void {
  const shells = Object.keys(SHELLS);
  command
    .description("print a script that completes commands and flags in a shell")
    .addArgument(new Argument("<shell>", "which shell").choices(shells))
    .addHelpText(
      "after",
      '\nbash, zsh: eval "$(ductape completion bash)"\nfish: ductape completion fish | source',
    )
    .action((shell: Shell) => printLines(SHELLS[shell](wordsOf(program, []))));
}

function wordsOf(command: Command, path: readonly string[]): Words[] {
  const parts = command.commands.map((part) => part.name());
  const flags = command.options.map(({ long, short }) => long ?? short ?? "");
  return [
    { path: path.join(" "), next: [...parts, ...flags, "--help"] },
    ...command.commands.flatMap((part) => wordsOf(part, [...path, part.name()])),
  ];
}

function casesOf(words: readonly Words[]): string {
  return words.map(({ path, next }) => `    "${path}") next="${next.join(" ")}" ;;`).join("\n");
}

function bashOf(words: readonly Words[]): string {
  return `_ductape() {
  local word path="" next="" i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    case "$word" in -*) break ;; esac
    path="\${path:+$path }$word"
  done
  case "$path" in
${casesOf(words)}
  esac
  COMPREPLY=($(compgen -W "$next" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _ductape ductape`;
}

function zshOf(words: readonly Words[]): string {
  return `autoload -Uz compinit && compinit
_ductape() {
  local word next="" line=""
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case "$word" in -*) break ;; esac
    line="\${line:+$line }$word"
  done
  case "$line" in
${casesOf(words)}
  esac
  compadd -- \${=next}
}
compdef _ductape ductape`;
}

function fishOf(words: readonly Words[]): string {
  const lines = words.map(({ path, next }) => {
    const at = path === "" ? "test -z (__ductape_path)" : `test (__ductape_path) = '${path}'`;
    return `complete -c ductape -f -n "${at}" -a '${next.join(" ")}'`;
  });
  return `function __ductape_path
  set -l path
  for word in (commandline -opc)[2..-1]
    string match -q -- '-*' $word; and break
    set -a path $word
  end
  string join ' ' -- $path
end
${lines.join("\n")}`;
}
