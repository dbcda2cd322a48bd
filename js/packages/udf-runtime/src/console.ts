/** `console`: renders arguments as specified in 3.6 and collects log lines. */
import type { LogLine } from "./host_interface.ts";
import { nativeNow, NativeError } from "./primordials.ts";
import { realm } from "./state.ts";

const IMPORT_LINES_MAX = 100;

type Level = LogLine["level"];

/** Lines logged while a module was evaluated: they belong to every execution of that module. */
const importLines = new Map<string, LogLine[]>();
let importingModule: string | null = null;

export function beginModuleLines(path: string): void {
  importingModule = path;
}

export function endModuleLines(): void {
  importingModule = null;
}

/** Puts the lines of the module's evaluation in front of the execution's own. */
export function takeImportLines(path: string): void {
  const { execution } = realm;
  if (execution === null) return;
  for (const line of importLines.get(path) ?? []) append(line);
}

/** The last lines of all module evaluations, for error reports of evaluators. */
export function importLinesText(): string {
  const lines = [...importLines.values()].flat().slice(-IMPORT_LINES_MAX);
  return lines.map((line) => `[${line.level}] ${line.messages.join(" ")}`).join("\n");
}

function append(line: LogLine): void {
  const { execution } = realm;
  if (execution === null) return;
  const { lines: linesMax } = realm.settings.logLimits;
  execution.logLineCount += 1;
  if (execution.logLineCount < linesMax) execution.logLines.push(line);
  else if (execution.logLineCount === linesMax) {
    const message = `Log overflow (maximum ${linesMax}). Remaining log lines omitted.`;
    execution.logLines.push({ ...line, level: "ERROR", messages: [message], isTruncated: false });
  }
}

function logMessages(level: Level, messages: string[], systemCode?: string): void {
  const line: LogLine = { level, ...truncate(messages), timestampMs: nativeNow() };
  if (systemCode !== undefined) line.systemCode = systemCode;
  const { execution } = realm;
  if (importingModule === null && execution !== null && execution.phase !== "import") {
    append(line);
    return;
  }
  if (execution !== null) realm.guard?.fault("a log line while the function is looked up");
  const lines = importLines.get(importingModule ?? "") ?? [];
  if (lines.length < realm.settings.logLimits.lines) lines.push(line);
  importLines.set(importingModule ?? "", lines);
}

export function logSystemLine(level: Level, message: string, systemCode: string): void {
  logMessages(level, [message], systemCode);
}

/**
 * Cuts messages so that together, joined by single spaces, they take no more UTF-8 bytes than a line
 * may have.
 */
function truncate(messages: string[]): { messages: string[]; isTruncated: boolean } {
  let left = realm.settings.logLimits.lineBytes + 1;
  const kept: string[] = [];
  for (const message of messages) {
    left -= 1;
    const whole =
      message.length * 3 <= left ? byteLength(message) : Math.min(byteLength(message), left + 1);
    if (whole > left) {
      kept.push(cutToBytes(message, left));
      return { messages: kept, isTruncated: true };
    }
    kept.push(message);
    left -= whole;
  }
  return { messages: kept, isTruncated: false };
}

function byteLength(text: string): number {
  let bytes = text.length;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    if (unit < 0x80) continue;
    // A surrogate pair is two units and four bytes.
    bytes += unit < 0x800 || (unit >= 0xd800 && unit <= 0xdfff) ? 1 : 2;
  }
  return bytes;
}

function cutToBytes(text: string, bytesMax: number): string {
  let bytes = 0;
  let end = 0;
  for (const character of text) {
    bytes += byteLength(character);
    if (bytes > bytesMax) break;
    end += character.length;
  }
  return text.slice(0, end);
}

interface InspectOptions {
  maxStringLength: number;
  indent: number;
  customInspect: boolean;
}

type Inspect = (value: unknown, options: InspectOptions) => string;

declare function require(path: "object-inspect"): Inspect;

const PLAIN_TEXT = /^[^\\'\x00-\x1f\x7f-\x9f]*$/;

/** Plain strings and numbers are most of all logging: only the rest loads the inspector. */
function render(value: unknown): string {
  const { lineBytes: maxStringLength } = realm.settings.logLimits;
  if (typeof value === "string" && value.length <= maxStringLength && PLAIN_TEXT.test(value)) {
    return `'${value}'`;
  }
  if (typeof value === "number" && value !== 0) return String(value);
  return require("object-inspect")(value, { maxStringLength, indent: 2, customInspect: true });
}

/** Before a guard stands in for what the inspector looks at when it loads. */
export function loadInspector(): void {
  void require("object-inspect");
}

function log(level: Level, values: unknown[]): void {
  logMessages(level, values.map(render));
}

const timers = new Map<string, number>();

function labelText(label: unknown): string {
  return label === undefined ? "default" : String(label);
}

function elapsed(label: string): string | undefined {
  const start = timers.get(label);
  if (start === undefined) {
    logMessages("WARN", [`Timer '${label}' does not exist`]);
    return undefined;
  }
  return `${label}: ${nativeNow() - start}ms`;
}

function timeStart(label: unknown): void {
  const text = labelText(label);
  if (timers.has(text)) logMessages("WARN", [`Timer '${text}' already exists`]);
  else timers.set(text, nativeNow());
}

function timeLog(label: unknown, values: unknown[]): void {
  const text = elapsed(labelText(label));
  if (text !== undefined) logMessages("INFO", [text, ...values.map(render)]);
}

function timeEnd(label: unknown): void {
  const text = elapsed(labelText(label));
  timers.delete(labelText(label));
  if (text !== undefined) logMessages("INFO", [text]);
}

function trace(values: unknown[]): void {
  const { stack = "" } = new NativeError();
  const frames = stack.split("\n").slice(1).join("\n");
  logMessages("LOG", [...values.map(render), frames]);
}

export function createConsole(): object {
  return {
    debug: (...values: unknown[]) => log("DEBUG", values),
    error: (...values: unknown[]) => log("ERROR", values),
    info: (...values: unknown[]) => log("INFO", values),
    log: (...values: unknown[]) => log("LOG", values),
    warn: (...values: unknown[]) => log("WARN", values),
    trace: (...values: unknown[]) => trace(values),
    time: (label: unknown) => timeStart(label),
    timeLog: (label: unknown, ...values: unknown[]) => timeLog(label, values),
    timeEnd: (label: unknown) => timeEnd(label),
  };
}
