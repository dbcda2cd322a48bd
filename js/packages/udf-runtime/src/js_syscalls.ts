/** `Convex.jsSyscall`: operations on live JavaScript values (specification 2.13). */
import { NativeError, NativePromise } from "./primordials.ts";
import { requireAction, throwUncatchable } from "./state.ts";

/**
 * Storage bodies and HTTP actions need streams to the backend, which this build does not carry yet.
 */
function unavailable(what: string): never {
  throw new NativeError(`${what} is not available in this version of Fenchel yet`);
}

export function jsSyscall(op: unknown, _args: unknown): unknown {
  switch (op) {
    case "storage/storeBlob":
    case "storage/getBlob": {
      const what = op === "storage/storeBlob" ? "storage.store()" : "storage.get()";
      return new NativePromise(() => {
        requireAction(what);
        unavailable(what);
      });
    }
    case "requestFromConvexJson":
    case "convexJsonFromResponse":
      return unavailable("Running HTTP actions");
    default:
      return throwUncatchable(`Unknown JS syscall: ${String(op)}`);
  }
}
