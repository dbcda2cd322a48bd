/**
 * Reads what a realm says about a turn. User code shares the realm with the runtime and may have
 * damaged it, so the text is measured before it is believed: only its own execution pays.
 */
import type {
  JsError,
  LogLine,
  RealmOutcome,
  TurnOutput,
} from "../../udf-runtime/src/host_interface.ts";

/** The realm said something that its runtime, undamaged, never says. */
export class DamagedRealm extends Error {}

const LEVELS: readonly unknown[] = ["DEBUG", "ERROR", "INFO", "LOG", "WARN"];
const KINDS: readonly unknown[] = ["success", "error", "neverResolves"];

/** The output and the text after it. Raises DamagedRealm. */
export function readTurnOutput(text: string): { output: TurnOutput; rest: string } {
  const headEnd = text.indexOf("\n");
  let output: TurnOutput;
  try {
    output = JSON.parse(text.slice(0, headEnd)) as TurnOutput;
  } catch (error) {
    throw new DamagedRealm("no JSON", { cause: error });
  }
  const rest = text.slice(headEnd + 1);
  if (!isRecord(output) || !isOutput(output, rest.length)) throw new DamagedRealm("no turn output");
  return { output, rest };
}

function isOutput(
  { syscalls, sleeps, logLines, outcome }: TurnOutput,
  restLength: number,
): boolean {
  return (
    (syscalls === undefined || areSyscalls(syscalls, restLength)) &&
    (sleeps === undefined || isList(sleeps, isSleep)) &&
    (logLines === undefined || isList(logLines, isLogLine)) &&
    (outcome === undefined || isOutcome(outcome))
  );
}

function areSyscalls(value: unknown, restLength: number): boolean {
  let length = 0;
  return (
    isList(value, (item) => {
      if (!Array.isArray(item) || !isCount(item[0]) || typeof item[1] !== "string") return false;
      length += isCount(item[2]) ? item[2] : Infinity;
      return true;
    }) && length <= restLength
  );
}

function isSleep(value: unknown): boolean {
  return Array.isArray(value) && isCount(value[0]) && typeof value[1] === "number";
}

function isLogLine(value: unknown): boolean {
  if (!isRecord(value)) return false;
  const { level, messages, timestampMs, isTruncated, systemCode } = value as Partial<LogLine>;
  return (
    LEVELS.includes(level) &&
    isList(messages, isText) &&
    typeof timestampMs === "number" &&
    timestampMs >= 0 &&
    typeof isTruncated === "boolean" &&
    (systemCode === undefined || isText(systemCode))
  );
}

function isOutcome(value: unknown): boolean {
  if (!isRecord(value)) return false;
  const { kind, error, logLines, envRead, consumed, ...flags } = value as Partial<RealmOutcome>;
  return (
    KINDS.includes(kind) &&
    (error === undefined || isError(error)) &&
    isList(logLines, isLogLine) &&
    isList(envRead, isText) &&
    isList(consumed, (item) => Array.isArray(item) && item.length === 3 && item.every(isCount)) &&
    typeof flags.observedTime === "boolean" &&
    typeof flags.observedRandomness === "boolean"
  );
}

function isError(value: unknown): boolean {
  if (!isRecord(value)) return false;
  const { message, frames, dataJson } = value as Partial<JsError>;
  return isText(message) && isList(frames, isText) && (dataJson === undefined || isText(dataJson));
}

function isRecord(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function isList(value: unknown, isItem: (item: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(isItem);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}
