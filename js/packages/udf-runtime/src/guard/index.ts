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

/** `assigned`: names of properties that the app assigns somewhere. */
function onSeal(stop: () => void, assigned: readonly string[]): void {
  stopImport = stop;
  allowOverrides(assigned);
}

/** The app's script takes its helpers from a global that is gone at once. */
function offerHelpers(): void {
  const helpers = {
    register,
    root,
    seen,
    young,
    began,
    ended,
    onSeal,
    parameterBegan,
    parameterEnded,
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
      return true;
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
