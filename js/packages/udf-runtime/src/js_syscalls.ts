/** `Convex.jsSyscall`: operations on live JavaScript values (specification 2.13). */
import { NativePromise } from "./primordials.ts";
import { requireAction, throwUncatchable } from "./state.ts";
import { loadVendor } from "./vendor.ts";

type Args = Record<string, unknown>;

export function jsSyscall(op: unknown, args: unknown): unknown {
  switch (op) {
    case "storage/storeBlob":
      return inAction("storage.store()", () => loadVendor("fetch").storeBlob(args as Args));
    case "storage/getBlob":
      return inAction("storage.get()", () => loadVendor("fetch").getBlob(args as Args));
    case "requestFromConvexJson":
      requireAction("Running HTTP actions");
      return loadVendor("fetch").requestFromConvexJson(args as Args);
    case "convexJsonFromResponse":
      requireAction("Running HTTP actions");
      return loadVendor("fetch").convexJsonFromResponse(args as Args);
    default:
      return throwUncatchable(`Unknown JS syscall: ${String(op)}`);
  }
}

function inAction<T>(what: string, run: () => Promise<T>): Promise<T> {
  return new NativePromise((resolve) => {
    requireAction(what);
    resolve(run());
  });
}
