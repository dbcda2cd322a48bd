/**
 * What the runtime offers to vendor scripts, which are evaluated apart from it and see nothing of
 * its modules. They know it as the constant `fenchel`.
 */
import { logSystemLine } from "./console.ts";
import { post, request, requestWithBytes } from "./execution.ts";
import { random } from "./random.ts";
import { callHostForBytes, executing, requireAction, throwUncatchable } from "./state.ts";
import type { Execution } from "./state.ts";
import { loadVendor } from "./vendor.ts";

declare function require(path: "./web/dom_exception.ts"): typeof import("./web/dom_exception.ts");
declare function require(path: "./web/abort.ts"): typeof import("./web/abort.ts");

export type { Execution };

export const runtimeFace = {
  loadVendor,
  executing,
  requireAction,
  throwUncatchable,
  request,
  requestWithBytes,
  post,
  logSystemLine,
  random,
  callHostForBytes,
  get DOMException() {
    return require("./web/dom_exception.ts").DOMException;
  },
  get AbortController() {
    return require("./web/abort.ts").AbortController;
  },
  get AbortSignal() {
    return require("./web/abort.ts").AbortSignal;
  },
};

export type RuntimeFace = typeof runtimeFace;
