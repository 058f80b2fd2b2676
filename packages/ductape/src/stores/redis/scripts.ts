import { compactScript, scriptSource, type ScriptName } from "../../../lua.js";

/** The text of a script. A build has the texts in place of this module. */
export function scriptText(name: ScriptName): string {
  return compactScript(scriptSource(name));
}
