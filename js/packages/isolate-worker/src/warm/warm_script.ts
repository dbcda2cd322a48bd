/** The script that warm realms run instead of the bundle's own. */
import { instrument } from "./instrument.ts";
import type { WarmScript } from "./instrument.ts";

/** A script, or why this app always runs fresh. */
export type WarmScriptAnswer =
  { isProven: true; script: WarmScript } | { isProven: false; reason: string };

export function buildWarmScript(script: string): WarmScriptAnswer {
  try {
    return { isProven: true, script: instrument(script) };
  } catch (error) {
    // Unproven, or a parser that gave up: no error of the app.
    return { isProven: false, reason: error instanceof Error ? error.message : String(error) };
  }
}
