/**
 * What a push asks of the bundle: exported functions, routes, crons, schema, auth config,
 * definitions (1.7).
 */
import { importLinesText } from "./console.ts";
import { CallError, describeThrown } from "./errors.ts";
import type { EvaluatorKind, JsError } from "./host_interface.ts";
import { loadModule, modulePaths } from "./modules.ts";
import type { Namespace } from "./modules.ts";
import { NativeError, getOwnPropertyNames, stringifyJson } from "./primordials.ts";
import { realm } from "./state.ts";

export interface AnalyzedFunction {
  name: string;
  udfType: "Query" | "Mutation" | "Action";
  visibility: { kind: "public" | "internal" } | null;
  /** JSON texts of the validators; null when the function has no such export. */
  args: string | null;
  returns: string | null;
  /** The handler's source text: the worker finds its position with it and takes it out. */
  handlerText: string | null;
}

export interface AnalyzedModule {
  functions: AnalyzedFunction[];
  httpRoutes: { path: string; method: string }[] | null;
  /** JSON text of `crons.export()`. */
  cronSpecs: string | null;
  reuseContext: boolean;
}

/** A text for the host, or the error of the module's own code. */
export type Evaluation = { envRead: string[] } & (
  { ok: true; json: string } | { ok: false; error: JsError }
);

export function evaluate(kind: EvaluatorKind, module: string): Evaluation {
  try {
    const json = evaluators[kind](module);
    return { ok: true, json, envRead: [...realm.importEnvRead] };
  } catch (thrown) {
    const error = thrown instanceof AnalysisError ? thrown.described : describeThrown(thrown);
    return { ok: false, error, envRead: [...realm.importEnvRead] };
  }
}

const evaluators: Record<EvaluatorKind, (module: string) => string> = {
  analyze: analyzeModules,
  schema: evaluateSchema,
  authConfig: evaluateAuthConfig,
  appDefinition: evaluateDefinition,
};

// --- Functions, routes, crons ---

/** JSON `{path: AnalyzedModule}` of the module, or of all modules when `only` is "". */
function analyzeModules(only: string): string {
  const analyzed: Record<string, AnalyzedModule> = {};
  for (const path of only === "" ? modulePaths() : [only]) {
    try {
      analyzed[path] = analyzeModule(path, loadModule(path));
    } catch (thrown) {
      throw new AnalysisError(path, describeThrown(thrown));
    }
  }
  return stringifyJson(analyzed);
}

/** Wraps what a module threw while it was analysed, with its console lines. */
class AnalysisError extends NativeError {
  readonly described: JsError;

  constructor(path: string, thrown: JsError) {
    super();
    const logs = importLinesText();
    const tail = logs === "" ? "" : `\n\n${logs}`;
    const message = `Failed to analyze ${path}: ${thrown.message}${tail}`;
    this.described = { ...thrown, message };
  }
}

function analyzeModule(path: string, namespace: Namespace): AnalyzedModule {
  const functions: AnalyzedFunction[] = [];
  for (const name of getOwnPropertyNames(namespace)) {
    if (name === "__esModule") continue;
    const analyzed = analyzeExport(path, name, namespace[name]);
    if (analyzed !== null) functions.push(analyzed);
  }
  return {
    functions,
    httpRoutes: path === "http.js" ? analyzeRouter(namespace) : null,
    cronSpecs: path === "crons.js" ? analyzeCrons(namespace) : null,
    reuseContext: namespace["experimental_reuseContext"] === true,
  };
}

const UDF_MARKS = [
  ["isQuery", "Query"],
  ["isMutation", "Mutation"],
  ["isAction", "Action"],
] as const;

type Marked = Record<string, unknown>;

function analyzeExport(path: string, name: string, value: unknown): AnalyzedFunction | null {
  if (value === null || (typeof value !== "object" && typeof value !== "function")) return null;
  const udf = value as Marked;
  const types = UDF_MARKS.filter(([mark]) => mark in udf);
  const [only] = types;
  if (only === undefined || types.length !== 1) return null;
  if ("isPublic" in udf && "isInternal" in udf) return null;
  return {
    name,
    udfType: only[1],
    visibility: visibilityOf(udf),
    args: exportedText(path, name, udf, "exportArgs"),
    returns: exportedText(path, name, udf, "exportReturns"),
    handlerText: handlerText(udf),
  };
}

function visibilityOf(udf: Marked): AnalyzedFunction["visibility"] {
  if ("isPublic" in udf) return { kind: "public" };
  return "isInternal" in udf ? { kind: "internal" } : null;
}

function exportedText(path: string, name: string, udf: Marked, property: string): string | null {
  const exporter = udf[property];
  if (exporter === undefined) return null;
  const text: unknown = typeof exporter === "function" ? exporter.call(udf) : undefined;
  if (typeof text !== "string") {
    throw new CallError(
      `Invalid ${property} return value: ${path}:${name}.${property}() didn't return a string.`,
    );
  }
  return text;
}

function handlerText(udf: Marked): string | null {
  const handler = udf["_handler"] ?? udf;
  return typeof handler === "function" ? Function.prototype.toString.call(handler) : null;
}

function defaultExport(namespace: Namespace, missing: string): Marked {
  const value = namespace["default"];
  if (value === undefined || value === null) throw new CallError(missing);
  return value as Marked;
}

function analyzeRouter(namespace: Namespace): { path: string; method: string }[] {
  const router = defaultExport(
    namespace,
    "`convex/http.js` must have a default export of a Router.",
  );
  if (router["isRouter"] !== true || typeof router["getRoutes"] !== "function") {
    throw new CallError("The default export of `convex/http.js` is not a Router.");
  }
  const routes = router["getRoutes"]() as [path: string, method: string, handler: unknown][];
  return routes.map(([path, method]) => ({ path, method }));
}

function analyzeCrons(namespace: Namespace): string {
  const crons = defaultExport(
    namespace,
    "`convex/crons.js` must have a default export of a Crons.",
  );
  if (crons["isCrons"] !== true || typeof crons["export"] !== "function") {
    throw new CallError("The default export of `convex/crons.js` is not a Crons.");
  }
  return String(crons["export"]());
}

// --- Schema, auth config, definitions ---

function evaluateSchema(module: string): string {
  const schema = defaultExport(
    loadModule(module),
    "`convex/schema.js` must have a default export of a Schema.",
  );
  if (typeof schema["export"] !== "function") {
    throw new CallError("The default export of `convex/schema.js` is not a Schema.");
  }
  return String(schema["export"]());
}

function evaluateAuthConfig(module: string): string {
  const config = defaultExport(
    loadModule(module),
    "`convex/auth.config.js` must have a default export of an auth config.",
  );
  return stringifyJson(config);
}

/** JSON of one definition's `export()`; the caller adds its path (6.6). */
function evaluateDefinition(module: string): string {
  const definition = defaultExport(
    loadModule(module),
    "`convex.config.ts` must have a default export of an app or component definition.",
  );
  if (typeof definition["export"] !== "function") {
    throw new CallError("The default export of `convex.config.ts` is not a definition.");
  }
  return stringifyJson(definition["export"]());
}
