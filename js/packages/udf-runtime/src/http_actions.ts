/** The router of `convex/http.ts`: finds the HTTP action of a request and runs it (1.8). */
import { takeImportLines } from "./console.ts";
import { CallError } from "./errors.ts";
import { loadModule } from "./modules.ts";
import { NativePromise, parseJson, stringifyJson } from "./primordials.ts";
import { callHost, realm } from "./state.ts";
import { loadVendor } from "./vendor.ts";

interface Router {
  isRouter?: unknown;
  lookup?: (path: string, method: string) => readonly [unknown, string, string] | null;
  runRequest?: (requestJson: string, path: string) => Promise<unknown>;
}

/** What the backend says of a request; npm's router wants the first part as text again. */
interface Args {
  request: { method: string };
  path: string;
}

/** Loads now what a fresh context would spend most of a short action on. */
export function prepareHttpActions(): void {
  loadVendor("fetch");
  loadVendor("streams");
}

/**
 * A thunk that answers the request; its result says nothing, because the response leaves before it
 * is there. Tells the backend the route first: no word of it means that there is none.
 */
export function findHttpAction(module: string, argsJson: string): () => Promise<string> {
  const namespace = loadModule(module);
  takeImportLines(module);
  const router = namespace["default"] as Router | null | undefined;
  if (router?.isRouter !== true || !router.lookup || !router.runRequest) {
    throw new CallError("The default export of `convex/http.js` is not a Router.");
  }
  const { request, path } = parseJson(argsJson) as Args;
  const match = router.lookup(path, request.method);
  if (match === null) return () => NativePromise.resolve("null");
  const [, method, routePath] = match;
  callHost("fenchel/httpRoute", stringifyJson({ route: `${method} ${routePath}` }));
  return () => run(router, stringifyJson(request), path);
}

async function run(router: Router, requestJson: string, path: string): Promise<string> {
  const { execution } = realm;
  const head = await router.runRequest?.(requestJson, path);
  if (execution !== null) await loadVendor("fetch").respond(execution, String(head));
  return "null";
}
