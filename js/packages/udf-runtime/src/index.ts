/**
 * The realm's side of the worker. Evaluated once per context, or once in a snapshot; leaves one
 * global function that attaches the worker and hands it the realm function. It serves whoever knows
 * this build's nonce, which user code does not.
 */
import { loadInspector } from "./console.ts";
import { begin, collect, fail, listFunctions, settle } from "./execution.ts";
import type { Payload } from "./execution.ts";
import { evaluate } from "./evaluators.ts";
import { installGlobals } from "./globals.ts";
import { prepareHttpActions } from "./http_actions.ts";
import { Command, REALM_GIVEN_UP } from "./host_interface.ts";
import type {
  EvaluatorKind,
  FunctionKind,
  Guard,
  HostFunction,
  LogLimits,
  RealmFunction,
  VendorName,
} from "./host_interface.ts";
import { evaluateModules, takeModules } from "./modules.ts";
import { parseJson, stringifyJson } from "./primordials.ts";
import { seedImport } from "./random.ts";
import { asyncContext, attachHost, checkHostNotMissed, realm } from "./state.ts";
import { offerVendors, receiveVendor } from "./vendor.ts";
import type { VendorThunk } from "./vendor.ts";

type InstallGuard = (webApis: readonly string[]) => Guard;

/** Set by the wrapper that the build puts around this bundle. */
declare const __fenchelNonce: string;

function configure(seedHex: string, unixMs: number, envJson: string, logLimitsJson: string): void {
  const env = parseJson(envJson) as Record<string, string>;
  realm.settings = { seedHex, unixMs, env, logLimits: parseJson(logLimitsJson) as LogLimits };
  seedImport();
}

/** Settles in the given order; the reactions run when the call returns to the host. */
function settleAll(args: unknown[]): void {
  asyncContext.stores = null;
  for (let index = 0; index < args.length; index += 3) {
    settle(args[index] as number, args[index + 1] as boolean, args[index + 2] as Payload);
  }
}

function beginFrom(args: unknown[]): void {
  takeModules();
  asyncContext.stores = null;
  const [kind, module, functionName, seedHex, unixMs, requestId, argsJson] = args as [
    FunctionKind,
    string,
    string,
    string,
    number,
    string,
    string,
  ];
  begin({ kind, module, functionName, seedHex, unixMs, requestId, argsJson });
}

const realmFunction: RealmFunction = (command, ...args) => {
  switch (command) {
    case Command.Settle:
      settleAll(args);
      return undefined;
    case Command.Collect:
      return collect();
    case Command.Begin:
      if (realm.guard !== null && !realm.guard.begin()) return REALM_GIVEN_UP;
      beginFrom(args);
      return undefined;
    case Command.ReceiveVendor:
      receiveVendor(args[0] as VendorName, args[1] as VendorThunk);
      return undefined;
    case Command.OfferVendors:
      offerVendors(args[0] as Record<VendorName, VendorThunk>);
      return undefined;
    case Command.FinishSnapshot:
      offerVendors({});
      checkHostNotMissed();
      return undefined;
    case Command.Configure:
      configure(...(args as [string, number, string, string]));
      return undefined;
    case Command.EvaluateModules:
      evaluateModules();
      return undefined;
    case Command.PrepareHttpActions:
      prepareHttpActions();
      return undefined;
    case Command.ListFunctions:
      takeModules();
      return stringifyJson(listFunctions());
    case Command.InstallGuard:
      loadInspector();
      realm.guard = (args[0] as InstallGuard)(parseJson(args[1] as string) as string[]);
      return undefined;
    case Command.Seal:
      return realm.guard?.seal();
    case Command.Fail:
      return fail(args[0] as string);
    case Command.Evaluate:
      takeModules();
      return stringifyJson(evaluate(args[0] as EvaluatorKind, args[1] as string));
    default:
      return undefined;
  }
};

installGlobals();

/** `contextNumber` and `host` are absent while a snapshot is built. */
function claim(nonce: unknown, contextNumber?: number, host?: HostFunction): unknown {
  if (nonce !== __fenchelNonce) return undefined;
  if (contextNumber !== undefined && host !== undefined) attachHost(contextNumber, host);
  return realmFunction;
}

Object.defineProperty(globalThis, "__fenchelClaim", {
  value: claim,
  writable: false,
  enumerable: false,
  configurable: false,
});
