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
import { undoChanges } from "./collections.ts";
import {
  began as parameterBegan,
  checkParameters,
  ended as parameterEnded,
  forgetParameters,
  seen,
  seenText,
} from "./exceptions.ts";
import { allowOverrides } from "./overrides.ts";
import { areIntrinsicsChanged, learnIntrinsics, restore, seal } from "./seal.ts";
import { installStandIns, takeAway } from "./stand_ins.ts";
import { loadWebApis, settleWebApis } from "./web_apis.ts";
import {
  defineProperty,
  fault,
  faultReason,
  imported,
  isExtensible,
  old,
  phase,
  root,
} from "./state.ts";
import type { Cell } from "./state.ts";

/**
 * Passes on the object that is about to get private names. The texts of a template are frozen and
 * stay the same from one execution to the next.
 */
function young(_texts: unknown, object: object): object {
  if (old.has(object) || !isExtensible(object)) {
    fault("a private name of an object that may have been there before");
  }
  return object;
}

/** Read where something begins or ends; see `tagged` in the instrumenter. */
const state = {
  __proto__: null,
  get began(): void {
    if (phase === "import") imported.openCount += 1;
    else fault("a generator made at import");
    return undefined;
  },
  get ended(): void {
    imported.openCount -= 1;
    return undefined;
  },
  get parameterBegan(): void {
    return parameterBegan();
  },
  get parameterEnded(): void {
    return parameterEnded();
  },
};

/** Returns how to say in which way it is put back: what that takes returns the value. */
function register(get: () => unknown): (set: (value: () => unknown) => void) => void {
  const cell: Cell = { get, set: null };
  imported.cells = { value: cell, next: imported.cells };
  return (set) => {
    cell.set = (value) => set(() => value);
  };
}

/** An arrow function may call `super` in a constructor that has thrown: no execution may bind `this`. */
function bound(get: () => unknown): void {
  imported.bound = { value: get, next: imported.bound };
}

let stopImport: () => void = () => {};

/** `assigned`: names of properties that the app assigns somewhere. */
function onSeal(stop: () => void, assigned: readonly string[]): void {
  stopImport = stop;
  allowOverrides(assigned);
}

/** The app's script takes its helpers from a global that is gone at once. */
function offerHelpers(): void {
  const helpers = {
    register,
    bound,
    root: (_texts: unknown, value: unknown) => root(value),
    seen: (_texts: unknown, error: unknown) => seen(error),
    young,
    state,
    onSeal,
    parameterEnded(_texts: unknown, value: unknown) {
      parameterEnded();
      return value;
    },
  };
  defineProperty(globalThis, "__fenchelGuard", {
    get() {
      delete (globalThis as { __fenchelGuard?: unknown }).__fenchelGuard;
      return helpers;
    },
    configurable: true,
  });
}

/** `webApis`: the names of those that the app uses. */
function install(webApis: readonly string[]): Guard {
  installStandIns();
  loadWebApis(webApis);
  learnIntrinsics();
  const giveBack = takeAway();
  offerHelpers();
  return {
    seal(): string {
      giveBack();
      settleWebApis(areIntrinsicsChanged());
      seal();
      stopImport();
      forgetParameters();
      return faultReason() ?? "";
    },
    begin(): boolean {
      if (faultReason() !== null) return false;
      undoChanges();
      restore();
      return faultReason() === null;
    },
    seen,
    seenText,
    fault,
    faultReason(): string | null {
      checkParameters();
      return faultReason();
    },
  };
}

export default install;
