/** Runs an evaluator of a push in an isolate of its own (specification 1.7). */
import { Command } from "../../udf-runtime/src/host_interface.ts";
import type {
  AnalyzedFunction,
  AnalyzedModule,
  Evaluation,
} from "../../udf-runtime/src/evaluators.ts";
import type { HostAnswer } from "../../udf-runtime/src/host_interface.ts";
import type { Bundle } from "./bundle.ts";
import { CRYPTO_PREFIX, answerCrypto } from "./crypto.ts";
import { describeRejection } from "./execution.ts";
import type { ExecuteHeader, OutcomeHeader, OutcomeKind } from "./protocol.ts";
import { IsolateLost, TurnTimeout } from "./realm_context.ts";
import type { RealmContext } from "./realm_context.ts";
import { isStarved, threadMs } from "./user_time.ts";

export interface EvaluationResult {
  header: OutcomeHeader;
  result: string;
}

export function runEvaluator(bundle: Bundle, header: ExecuteHeader): EvaluationResult {
  const { userTimeoutMs } = header;
  const start = threadMs();
  const end = (
    kind: OutcomeKind,
    rest: Partial<OutcomeHeader>,
    result: string,
  ): EvaluationResult => ({
    header: {
      kind,
      logLines: [],
      observedTime: false,
      observedRandomness: false,
      envRead: [],
      consumed: [],
      userMs: threadMs() - start,
      heapBytes: 0,
      realm: "fresh",
      answeredAhead: 0,
      ...rest,
    },
    result,
  });
  let context: RealmContext | undefined;
  try {
    context = bundle.takeUnevaluated();
    context.onHostCall = (op, argsJson, ...bytes) => answer(bundle, op, argsJson, bytes);
    const clockMs = userTimeoutMs * header.patience;
    const text = context.call(clockMs, Command.Evaluate, header.kind, header.module);
    const evaluation = JSON.parse(text ?? "") as Evaluation;
    const { envRead } = evaluation;
    if (!evaluation.ok) return end("error", { error: evaluation.error, envRead }, "");
    const { json } = evaluation;
    return end("success", { envRead }, header.kind === "analyze" ? locate(bundle, json) : json);
  } catch (error) {
    if (error instanceof TurnTimeout) {
      return end(isStarved(threadMs() - start, userTimeoutMs) ? "starved" : "timeout", {}, "");
    }
    if (error instanceof IsolateLost) return end("memory", {}, "");
    return end("error", { error: describeRejection(error) }, "");
  } finally {
    context?.generation.release(context);
  }
}

function answer(bundle: Bundle, op: string, argsJson: string, bytes: ArrayBuffer[]): HostAnswer {
  if (op.startsWith(CRYPTO_PREFIX)) return answerCrypto(op, argsJson, bytes);
  if (op === "fenchel/mapFrames") {
    return bundle.stackMapper.answer(argsJson);
  }
  return `0${JSON.stringify({ message: `${op} unsupported at import time` })}`;
}

/** A position as the deploy protocol wants it. */
interface LocatedFunction extends Omit<AnalyzedFunction, "handlerText"> {
  pos: { path: string; start_lineno: number; start_col: number } | null;
}

/** Replaces handler texts by positions and sorts functions by them. */
function locate(bundle: Bundle, json: string): string {
  const modules = JSON.parse(json) as Record<string, AnalyzedModule>;
  const located: Record<
    string,
    Omit<AnalyzedModule, "functions"> & { functions: LocatedFunction[] }
  > = {};
  for (const [path, analyzed] of Object.entries(modules)) {
    const functions = analyzed.functions.map(({ handlerText, ...rest }) => ({
      ...rest,
      pos: positionOf(bundle, path, handlerText),
    }));
    located[path] = { ...analyzed, functions: functions.sort(byPosition) };
  }
  return JSON.stringify(located);
}

function byPosition(left: LocatedFunction, right: LocatedFunction): number {
  if (left.pos === null || right.pos === null)
    return Number(left.pos === null) - Number(right.pos === null);
  return left.pos.start_lineno - right.pos.start_lineno || left.pos.start_col - right.pos.start_col;
}

/**
 * Position of a handler whose text occurs exactly once in the bundle, if it stems from the module
 * itself.
 */
function positionOf(
  bundle: Bundle,
  path: string,
  handlerText: string | null,
): LocatedFunction["pos"] {
  if (handlerText === null) return null;
  const { script } = bundle;
  const offset = script.indexOf(handlerText);
  if (offset === -1 || script.indexOf(handlerText, offset + 1) !== -1) return null;
  const lineStart = script.lastIndexOf("\n", offset - 1) + 1;
  const line = script.slice(0, lineStart).split("\n").length;
  const position = bundle.stackMapper.position(line, offset - lineStart + 1);
  if (position === null || !isSourceOf(position.source, path)) return null;
  return { path, start_lineno: position.line, start_col: position.column };
}

/** Whether `../convex/messages.ts` is where `messages.js` was made from. */
function isSourceOf(source: string, path: string): boolean {
  const stem = (name: string): string => name.replace(/\.[^./]+$/, "");
  return `/${stem(source)}`.endsWith(`/${stem(path)}`);
}
