/**
 * The guard of a realm that runs many executions one after the other (decision 0027). It is a script
 * of its own, evaluated before the app: fresh contexts carry nothing of it. Its value is a thunk
 * that installs it.
 *
 * What it holds: after `seal`, no execution can change anything that a later one could see. Objects
 * made at import are frozen, their bindings are put back, and whatever else could carry state makes
 * the guard fault; a realm with a fault runs nothing again.
 */
import type { Guard } from "../host_interface.ts";
import { learnIntrinsics, restore, seal } from "./seal.ts";
import { installStandIns, takeAway } from "./stand_ins.ts";
import {
  defineProperty,
  fault,
  faultReason,
  getPrototypeOf,
  imported,
  isExtensible,
  old,
  phase,
  reflectApply,
  root,
} from "./state.ts";
import type { Cell } from "./state.ts";

const { exec } = RegExp.prototype;
const { isError } = Error as unknown as { isError: (value: unknown) => boolean };
const { getOwnPropertyDescriptor } = Object;
const { prototype: typeErrors } = TypeError;
const { prototype: rangeErrors } = RangeError;

/** What the engine says when something frozen is written to (V8's message templates). */
const frozenMessage = new RegExp(
  [
    "^Cannot assign to read only property",
    "^Cannot (add|define) property .* object is not extensible$",
    "^Cannot (redefine|delete) property",
    "is not extensible$",
    "^Immutable prototype object",
    "^'.*' on proxy: ",
    "^Cannot freeze",
  ].join("|"),
  "s",
);

/** Looks at an exception on its way through user code. */
function seen<T>(error: T): T {
  if (phase !== "sealed" || !isError(error)) return error;
  const message = getOwnPropertyDescriptor(error, "message")?.value as unknown;
  if (typeof message !== "string") return error;
  const kind = getPrototypeOf(error);
  if (kind === typeErrors) {
    if (reflectApply(exec, frozenMessage, [message]) !== null) fault(message);
  } else if (kind === rangeErrors && message === "Maximum call stack size exceeded") {
    fault("a stack that was too deep to look at exceptions");
  }
  return error;
}

/**
 * Passes on the object whose private state is about to change. The texts of a template are frozen
 * and stay the same from one execution to the next.
 */
function young<T>(object: T): T {
  if (phase === "import") return root(object);
  if (old.has(object as object) || !isExtensible(object)) {
    fault("a private name of an object that may have been there before");
  }
  return object;
}

function began(): true {
  if (phase === "import") imported.openCount += 1;
  else fault("a generator made at import");
  return true;
}

function ended(): void {
  imported.openCount -= 1;
}

function register(
  getters: readonly (() => unknown)[],
  setters: readonly (((value: unknown) => void) | 0)[],
): void {
  for (let index = 0; index < getters.length; index++) {
    const set = index < setters.length ? setters[index] : 0;
    const cell: Cell = {
      get: getters[index] as () => unknown,
      set: set === 0 ? null : (set ?? null),
    };
    imported.cells = { value: cell, next: imported.cells };
  }
}

let stopImport: () => void = () => {};
const onSeal = (stop: () => void): void => {
  stopImport = stop;
};

/** The app's script takes its helpers from a global that is gone at once. */
function offerHelpers(): void {
  const helpers = { register, root, seen, young, began, ended, onSeal };
  defineProperty(globalThis, "__fenchelGuard", {
    get() {
      delete (globalThis as { __fenchelGuard?: unknown }).__fenchelGuard;
      return helpers;
    },
    configurable: true,
  });
}

function install(): Guard {
  installStandIns();
  learnIntrinsics();
  const giveBack = takeAway();
  offerHelpers();
  return {
    seal(): string {
      giveBack();
      seal();
      stopImport();
      return faultReason() ?? "";
    },
    begin(): boolean {
      if (faultReason() !== null) return false;
      restore();
      return true;
    },
    fault,
    faultReason,
  };
}

export default install;
